"""A gateway's configuration: every mistake of both files in one pass, each with its place and its cure."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from device_profiles import load_library
from edge.config import GatewayConfig, load, profile_dirs, profile_of
from telemetry.errors import ConfigInvalid

GATEWAY = """
gateway: {id: gw-test, community: "411202002001"}
centre: {broker: {url: "mqtt://127.0.0.1"}, key_file: key}
privacy: {key_file: key}
buses:
  - {type: modbus-tcp, id: meters, host: 10.0.0.5}
  - {type: modbus-rtu, id: rs485-1, port: /dev/none}
brokers: [{id: local, url: "mqtt://127.0.0.1"}]
"""
METER = {"id": "b3-meter", "profile": "eastron-sdm630", "address": {"bus": "meters", "unit_id": 1}}
CLIMATE = {"id": "b3-climate", "profile": "renke-rs-ws-n01", "address": {"bus": "rs485-1", "unit_id": 2}}


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., GatewayConfig]:
    (tmp_path / "key").write_text("ab" * 32)
    (tmp_path / "key").chmod(0o600)

    def loaded(*devices: dict[str, object], gateway: str = GATEWAY) -> GatewayConfig:
        file = tmp_path / "gateway.yaml"
        file.write_text(gateway)
        (tmp_path / "devices.yaml").write_text(yaml.safe_dump({"devices": list(devices)}))
        return load(file, load_library(profile_dirs(file)))

    return loaded


def at(device: dict[str, object], **address: object) -> dict[str, object]:
    return {**device, "address": {**device["address"], **address}}  # type: ignore[dict-item]  # it is a dictionary


def refused(site: Callable[..., GatewayConfig], *devices: dict[str, object], gateway: str = GATEWAY) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        site(*devices, gateway=gateway)
    return [f"{Path(problem.file).name}: {problem.path}: {problem.reason}" for problem in caught.value.problems]


def test_a_sound_site_is_taken(site: Callable[..., GatewayConfig]) -> None:
    assert [device.id for device in site(METER, CLIMATE).devices] == ["b3-meter", "b3-climate"]


@pytest.mark.parametrize("unit", [1, 247])
def test_every_unit_of_a_line_can_be_named(site: Callable[..., GatewayConfig], unit: int) -> None:
    assert site(at(CLIMATE, unit_id=unit)).devices[0].address.unit_id == unit


@pytest.mark.parametrize("unit", [0, 248, 255])
def test_nobody_answers_to_everybodys_or_a_reserved_unit_of_a_line(site: Callable[..., GatewayConfig], unit: int) -> None:
    assert refused(site, at(CLIMATE, unit_id=unit)) == [f"devices.yaml: devices[0].address.unit_id: no unit can have {unit}"]


@pytest.mark.parametrize("unit", [0, 255])
def test_a_device_with_a_port_of_its_own_may_be_unit_0_or_255(site: Callable[..., GatewayConfig], unit: int) -> None:
    assert site(at(METER, unit_id=unit)).devices[0].address.unit_id == unit


def test_a_reserved_unit_is_refused_behind_a_port_too(site: Callable[..., GatewayConfig]) -> None:
    assert refused(site, at(METER, unit_id=248)) == ["devices.yaml: devices[0].address.unit_id: no unit can have 248"]


def test_a_device_cannot_report_under_the_gateways_id(site: Callable[..., GatewayConfig]) -> None:
    assert refused(site, {**METER, "id": "gw-test"}) == ["devices.yaml: devices[0].id: is the gateway's own"]


@pytest.mark.parametrize("interval_s", [0, -1, 0.01, 90_000])
def test_an_interval_that_no_bus_can_keep_is_refused(site: Callable[..., GatewayConfig], interval_s: float) -> None:
    (problem,) = refused(site, {**METER, "interval_s": interval_s})
    assert problem.startswith("devices.yaml: devices[0].interval_s: ")


def test_a_meter_behind_transformers_must_say_their_ratio(site: Callable[..., GatewayConfig]) -> None:
    feeder = {"id": "b3-feeder", "profile": "acrel-adl3000", "address": {"bus": "rs485-1", "unit_id": 7}}
    (device,) = site({**feeder, "parameters": {"ct": 20}}).devices
    assert profile_of(device, load_library()).points["current_l1"].conversion.factor == Fraction(20, 100)
    (problem,) = refused(site, feeder)
    assert problem.startswith("devices.yaml: devices[0].parameters.ct: is missing: current transformer ratio")
    assert refused(site, {**METER, "parameters": {"ct": 20}}) == [
        "devices.yaml: devices[0].parameters.ct: is no parameter of eastron-sdm630"
    ]


def test_mistakes_of_both_files_are_said_at_once(site: Callable[..., GatewayConfig]) -> None:
    gateway = GATEWAY.replace("10.0.0.5", "''").replace(
        '[{id: local, url: "mqtt://127.0.0.1"}]', '[{id: local, url: "mqtt://[::1"}]'
    )
    gateway = gateway.replace('{url: "mqtt://127.0.0.1"}', '{url: "mqtts://127.0.0.1", ca_file: no.pem}')
    assert refused(site, at(METER, bus="metres"), {**CLIMATE, "profile": "renke"}, gateway=gateway) == [
        "gateway.yaml: brokers[0].url: 'mqtt://[::1' is not a broker's address",
        "no.pem: : cannot be read: No such file or directory",
        "gateway.yaml: buses[0].host: '' is not a host",
        "devices.yaml: devices[0].address.bus: no bus 'metres' in gateway.yaml",
        "devices.yaml: devices[1].profile: no profile 'renke'",
    ]


def test_a_gateway_file_that_cannot_be_read_hides_no_mistake_of_the_devices_file(site: Callable[..., GatewayConfig]) -> None:
    nameless = {key: value for key, value in METER.items() if key != "profile"}
    for broken, reason in (("type: modbus-tcp", "type: modbus"), ("modbus-tcp, id", "modbus-tcp id")):
        found = refused(site, nameless, gateway=GATEWAY.replace(broken, reason))
        assert [problem.partition(":")[0] for problem in found] == ["gateway.yaml", "devices.yaml"]


@pytest.mark.parametrize(
    ("host", "good"), [("10.0.0.5:502", False), ("plc:502", False), ("fe80::1%eth0", True), ("plc.local", True)]
)
def test_a_host_is_given_without_its_port(site: Callable[..., GatewayConfig], host: str, good: bool) -> None:
    gateway = GATEWAY.replace("10.0.0.5", f"'{host}'")
    if good:
        assert site(gateway=gateway).gateway.buses[0].id == "meters"
    else:
        assert refused(site, gateway=gateway) == [f"gateway.yaml: buses[0].host: {host!r} is not a host"]


def test_a_serial_port_is_given_by_its_whole_path(site: Callable[..., GatewayConfig]) -> None:
    found = refused(site, gateway=GATEWAY.replace("/dev/none", "ttyUSB0"))
    assert found == ["gateway.yaml: buses[1].port: 'ttyUSB0' is not the path of a port"]


def test_a_file_of_devices_that_cannot_be_read_is_a_problem_and_no_empty_site(
    tmp_path: Path, site: Callable[..., GatewayConfig]
) -> None:
    gateway = GATEWAY + "devices_file: loop.yaml\n"
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (problem,) = refused(site, gateway=gateway)
    assert problem.startswith("loop.yaml: : cannot be read: Too many levels")


PANEL = {
    "id": "b3-fire-panel",
    "profile": "wellpro-wp8028",
    "address": {"bus": "rs485-1", "unit_id": 4},
    "inputs": {"input_1": "released"},
}
LIFT = {
    **PANEL,
    "id": "b3-lift-1",
    "address": {"bus": "rs485-1", "unit_id": 4},
    "inputs": {"input_2": {"word": "lift_fault", "inverted": True}},
}


def test_inputs_of_one_module_are_devices_of_several_kinds(site: Callable[..., GatewayConfig]) -> None:
    panel, lift = site(PANEL, LIFT).devices
    kinds = [profile_of(device, load_library()).kind for device in (panel, lift)]
    assert kinds == ["access", "environment"]
    assert lift.meanings == {"input_2": ("lift_fault", True)}


def test_a_contact_belongs_to_one_device(site: Callable[..., GatewayConfig]) -> None:
    again = {**LIFT, "inputs": {"input_1": "lift_fault"}}
    assert refused(site, PANEL, again) == ["devices.yaml: devices[1].inputs.input_1: the same as devices[0] (b3-fire-panel)"]


@pytest.mark.parametrize("other", [{"inputs": {}}, {"profile": "lc-modbus-8r-d7"}])
def test_only_devices_with_inputs_of_one_module_share_an_address(
    site: Callable[..., GatewayConfig], other: dict[str, object]
) -> None:
    assert refused(site, PANEL, {**LIFT, **other}) == ["devices.yaml: devices[1].address: the same as devices[0] (b3-fire-panel)"]


def test_a_word_that_nobody_knows_is_named_with_its_input(site: Callable[..., GatewayConfig]) -> None:
    assert refused(site, {**PANEL, "inputs": {"input_1": "releasd"}}) == [
        "devices.yaml: devices[0].inputs.input_1: no word 'releasd' for yes or no"
    ]
