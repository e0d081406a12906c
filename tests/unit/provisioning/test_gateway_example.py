"""The example files load, and show every key."""

import re
import shutil
from pathlib import Path

import msgspec
import pytest
import yaml

from device_profiles import load_library
from edge.bus_config import Rs485, RtuBus, RtuOverTcpBus, TcpBus, UdpBus
from edge.config import DeviceConfig, Gateway, GatewayConfig, load
from linli.paths import config_dir
from telemetry.broker import Broker


@pytest.fixture
def example(tmp_path: Path) -> GatewayConfig:
    shutil.copy(config_dir() / "gateway.example.yaml", tmp_path / "gateway.yaml")
    shutil.copy(config_dir() / "devices.example.yaml", tmp_path / "devices.yaml")
    (tmp_path / "keys").mkdir()
    for name in ("gateway.key", "site.key", "broker.password"):
        (tmp_path / "keys" / name).touch(0o600)
        (tmp_path / "keys" / name).write_text("ab" * 32)
    (tmp_path / "keys" / "ca.pem").write_text("")
    return load(tmp_path / "gateway.yaml", load_library())


def test_the_examples_are_good_configuration(example: GatewayConfig) -> None:
    assert example.gateway.gateway.id == "gw-b3"
    ids = ["b3-pump-climate", "b3-meter", "b3-feeder", "b3-roof-door", "b3-fire-panel", "b3-lift-1"]
    assert [device.id for device in example.devices] == ids


@pytest.mark.parametrize(
    ("part", "type_"),
    [
        ((), Gateway),
        (("centre", "broker"), Broker),
        (("buses", 0), RtuBus),
        (("buses", 0, "rs485"), Rs485),
        (("buses", 1), TcpBus),
        (("buses", 2), RtuOverTcpBus),
        (("buses", 3), UdpBus),
    ],
)
def test_every_key_there_is_stands_in_the_example(part: tuple[str | int, ...], type_: type[msgspec.Struct]) -> None:
    text = (config_dir() / "gateway.example.yaml").read_text()
    shown = yaml.safe_load(re.sub(r"# ((certificate\w+|rs485|  \w+): ?\S*).*", r"\1", text))
    for step in part:
        shown = shown[step]
    assert {field.encode_name for field in msgspec.structs.fields(type_)} <= shown.keys()


def test_every_key_of_a_device_stands_in_the_example() -> None:
    shown = yaml.safe_load((config_dir() / "devices.example.yaml").read_text())["devices"]
    assert {field.encode_name for field in msgspec.structs.fields(DeviceConfig)} == set().union(*shown)
