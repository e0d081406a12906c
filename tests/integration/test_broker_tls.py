"""Beyond loopback there is TLS alone: the broker is known by its certificate, and each side by its password or certificate."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import aiomqtt
import pytest
import structlog

import ingest.broker
from device_profiles.library import load_text
from edge.broker import client
from edge.config import DeviceBroker
from edge.drivers.routes import Listener
from ingest.config import Centre, CentreConfig
from ingest.mqtt import Address, connected
from telemetry.broker import Broker
from telemetry.errors import BrokerUnavailable, ConfigInvalid
from tests.certificates import authority, issue
from tests.mqtt_devices import listening
from tests.servers import Server, mosquitto

SETTINGS = """allow_anonymous false
password_file {folder}/passwords
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.2
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    authority(tmp_path, "ca")
    authority(tmp_path, "other")
    issue(tmp_path, "broker", "localhost", names="DNS:localhost")
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "passwords"), "gateway", "right"], check=True, timeout=30)
    for name, secret in (("right", "right"), ("wrong", "wrong")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(secret)
    with mosquitto(tmp_path, settings=SETTINGS.format(folder=tmp_path)) as server:
        yield server


def reached(
    broker: Server, folder: Path, *, ca: str = "ca.pem", password: str = "right", host: str = "localhost"
) -> aiomqtt.Client:
    address = Broker(f"mqtts://{host}:{broker.port}", user="gateway", password_file=password, ca_file=ca)
    return client(address, lambda name: folder / name, "linli-test")


async def test_the_right_authority_and_password_get_through(tmp_path: Path, broker: Server) -> None:
    async with reached(broker, tmp_path) as link:
        await link.publish("a/b", b"x", qos=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ca": "other.pem"}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, "IP address mismatch"),
        ({"password": "wrong"}, "authori"),
    ],
)
async def test_another_authority_name_or_password_do_not(
    tmp_path: Path, broker: Server, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(aiomqtt.MqttError, match=reason):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(reached(broker, tmp_path, **change))


MUTUAL = """allow_anonymous true
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
require_certificate true
tls_version tlsv1.2
"""
METER = """
id: test-meter
kind: energy
vendor: Test
model: M1
name: {zh: 电表, en: Meter}
confidence: confirmed
sources: [test]
mqtt: {messages: [{topic: "meters/{name}", values: {voltage: v}}]}
points:
  voltage: {unit: V}
examples:
  messages:
    - {origin: computed, topic: meters/a, parameters: {name: a}, payload: {v: 230}, gives: [{values: {voltage: 230}}]}
"""
METERS = 500


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, and what each has issued."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        authority(folder, name)
    issue(folder, "broker", "localhost", names="DNS:localhost")
    issue(folder, "gateway", "gw-b3")
    issue(folder, "stranger", "gw-b3", authority="other")
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    return folder


@pytest.fixture
def devices(tmp_path: Path, certificates: Path) -> Iterator[Server]:
    """A device broker that wants a certificate of whoever comes."""
    with mosquitto(tmp_path, settings=MUTUAL.format(folder=certificates)) as server:
        yield server


def secured(
    broker: Server, certificates: Path, protocol: Literal["3.1.1", "5"], *, ca: str = "ca", own: str = "gateway"
) -> DeviceBroker:
    return DeviceBroker(
        id="devices",
        url=f"mqtts://localhost:{broker.port}",
        protocol=protocol,
        ca_file=str(certificates / f"{ca}.pem"),
        certificate_file=str(certificates / f"{own}.pem") if own else "",
        certificate_key_file=str(certificates / f"{own}.key") if own else "",
    )


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_devices_are_heard_over_tls_with_a_certificate_of_our_own_a_flood_of_them_too(
    tmp_path: Path, devices: Server, certificates: Path, protocol: Literal["3.1.1", "5"]
) -> None:
    """More than the inbox takes at once: what TLS has read already makes no socket readable, and is heard all the same."""
    meter = load_text(METER, "test-meter.yaml")
    listeners = [Listener(f"meter-{n}", meter, {"name": f"m{n}"}) for n in range(METERS)]
    config = secured(devices, certificates, protocol)
    async with listening(tmp_path, config, listeners) as (kept, *_), client(config, Path, "publisher") as publisher:
        for n in range(METERS):
            await publisher.publish(f"meters/m{n}", '{"v": 230}', qos=1, retain=True)
        async with asyncio.timeout(10):
            while {reading.device for reading in await kept.readings()} < {one.device for one in listeners}:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"ca": "other"}, "certificate verify failed", id="the-broker-is-of-another-authority"),
        pytest.param({"own": "stranger"}, "may not accept our certificate", id="we-are-of-another-authority"),
        pytest.param({"own": ""}, "may not accept our certificate", id="we-have-no-certificate"),
    ],
)
async def test_a_broker_or_gateway_of_another_authority_is_one_clear_line_and_polls_go_on(
    tmp_path: Path,
    devices: Server,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: Literal["3.1.1", "5"],
    change: dict[str, str],
    reason: str,
) -> None:
    monkeypatch.setattr("edge.drivers.listening.FIRST_RETRY_S", 0.1)
    meter = load_text(METER, "test-meter.yaml")
    with structlog.testing.capture_logs() as logs:
        async with listening(
            tmp_path, secured(devices, certificates, protocol, **change), [Listener("meter-a", meter, {"name": "a"})]
        ):
            for _ in range(15):
                began = time.monotonic()
                await asyncio.sleep(0.05)
                assert time.monotonic() - began < 1.5, "a poll would have had to wait for the handshakes"
    (line,) = logs
    assert line["event"] == "device broker unavailable" and reason in line["reason"]


def centre(broker: Server, folder: Path, *, ca: str = "ca.pem", password: str = "right", host: str = "localhost") -> Address:
    address = Broker(f"mqtts://{host}:{broker.port}", user="gateway", password_file=password, ca_file=ca)
    settings = Centre(broker=address, gateways_file="gateways.yaml", tokens_file="tokens.yaml", rules=("rules",))
    return ingest.broker.address(CentreConfig(folder / "centre.yaml", settings), "linli-test")


async def test_the_centre_gets_through_with_the_right_authority_and_password(tmp_path: Path, broker: Server) -> None:
    heard = asyncio.Event()
    async with connected(centre(broker, tmp_path), lambda topic, payload, retained: heard.set(), lambda: False) as link:
        await link.subscribe(["a/b"], qos=1)
        await link.publish("a/b", b"x" * 100_000, retain=False)
        await asyncio.wait_for(heard.wait(), 5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ca": "other.pem"}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, "IP address mismatch"),
        ({"password": "wrong"}, "not authorised"),
    ],
)
async def test_the_centre_does_not_with_another_authority_name_or_password(
    tmp_path: Path, broker: Server, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(BrokerUnavailable, match=reason):
        async with connected(centre(broker, tmp_path, **change), lambda topic, payload, retained: None, lambda: False):
            pass


def test_certificates_that_cannot_be_used_are_said(tmp_path: Path, broker: Server) -> None:
    with pytest.raises(ConfigInvalid, match="its certificates cannot be used"):
        centre(broker, tmp_path, ca="right")
