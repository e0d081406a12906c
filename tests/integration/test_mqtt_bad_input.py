"""Whatever comes over MQTT: it is decoded or counted, acknowledged, and what follows it is heard as if nothing had been.

The rows of the bad-input matrix for MQTT devices. What mosquitto refuses to pass on is said by a broker of our own.
"""

import asyncio
import gzip
import json
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from device_profiles import Profile
from device_profiles.library import load_text
from edge.config import DeviceBroker
from edge.drivers.inbox import PAYLOAD_BYTES
from edge.drivers.listening import COMPLAINTS
from edge.drivers.routes import Listener
from edge.tally import Tally
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.mqtt_devices import DOOR, listening
from tests.mqtt_hostile import HostileBroker, die, hostile_broker
from tests.recording import Recording
from tests.servers import mosquitto

SENSOR = """
id: test-sensor
kind: environment
vendor: Test
model: S1
name: {zh: 传感器, en: Sensor}
confidence: confirmed
sources: [test]
mqtt:
  messages:
    - topic: "site/{name}/state"
      time: {path: ts, format: epoch_ms}
      values: {temperature: t, air_quality: q}
    - {topic: "site/{name}/status", payload: text, values: {online: $}}
    - {topic: "site/{name}/extra/+", values: {co2: c}}
points:
  temperature: {unit: degC}
  air_quality: {}
  online: {map: {online: true, offline: false}}
  co2: {unit: ppm}
examples:
  messages:
    - {origin: computed, topic: site/a/state, parameters: {name: a}, payload: {t: 20}, gives: [{values: {temperature: 20}}]}
"""
GOOD = 99.5
"""The temperature that is said last, to see that it still is heard."""


class Gateway(NamedTuple):
    broker: HostileBroker
    kept: Recording
    tally: Tally

    async def heard_all(self) -> list[Reading]:
        """Everything that was said is dealt with, and a good message after it is heard; the readings before that."""
        self.broker.say(b"site/a/state", json.dumps({"t": GOOD}).encode())
        await self.broker.settled()
        readings = await self.kept.readings()
        assert readings.pop().values == {"temperature": GOOD}
        return readings


@pytest.fixture(scope="module")
def sensor() -> Profile:
    return load_text(SENSOR, "test-sensor.yaml")


@pytest.fixture(scope="module")
def door() -> Profile:
    return load_text(DOOR, "test-door.yaml")


def at(url: str) -> DeviceBroker:
    return DeviceBroker(id="devices", url=url, keepalive_s=5)


@pytest.fixture
async def gateway(tmp_path: Path, sensor: Profile) -> AsyncIterator[Gateway]:
    """A gateway that listens to a sensor through the hostile broker."""
    async with (
        hostile_broker() as broker,
        listening(tmp_path, at(broker.url), [Listener("sensor", sensor, {"name": "a"})]) as (kept, _, tally),
    ):
        await broker.listened(3)
        yield Gateway(broker, kept, tally)


@pytest.mark.parametrize(
    "topic",
    [
        pytest.param(b"site/\xff\xfe/state", id="not-utf-8"),
        pytest.param(b"site/a\x00/state", id="nul"),
        pytest.param(b"site/+/state", id="plus"),
        pytest.param(b"site/#", id="hash"),
        pytest.param(b"+/+/+/+", id="only-plus"),
        pytest.param(b"$SYS/broker/uptime", id="sys"),
        pytest.param(b"site/" + b"a" * 65_530, id="65535-bytes"),
        pytest.param(b"/" * 65_535, id="65535-levels"),
        pytest.param(b"site/nobody/state", id="unknown-device"),
    ],
)
async def test_a_topic_that_is_nobodys_is_acknowledged_and_says_nothing(gateway: Gateway, topic: bytes) -> None:
    for qos in (0, 1):
        gateway.broker.say(topic, b'{"t": 1}', qos=qos)
    assert await gateway.heard_all() == []
    assert gateway.tally.undecodable == 0 and gateway.broker.subscriptions == 3, "it never had to connect again"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"x" * (10 << 20), id="10-mib"),
        pytest.param(gzip.compress(b'{"t": 1}' * 1_000_000), id="gzip-bomb"),
        pytest.param(b"[" * 100_000, id="json-depth-100000"),
        pytest.param(b'{"a":' * 100_000, id="json-object-depth-100000"),
        pytest.param(b'{"t": NaN}', id="nan"),
        pytest.param(b'{"t": Infinity}', id="infinity"),
        pytest.param(b'{"t": 1e400}', id="10-to-the-400"),
        pytest.param(b'{"t": 1' + b"0" * 5_000 + b"}", id="10-to-the-5000"),
        pytest.param(b'{"t": "\xff"}', id="payload-not-utf-8"),
        pytest.param(b'{"t": 1}\x00', id="nul-at-the-end"),
        pytest.param(b'{"t"', id="cut-off"),
    ],
)
async def test_a_payload_that_cannot_be_decoded_is_counted_and_acknowledged(gateway: Gateway, payload: bytes) -> None:
    with structlog.testing.capture_logs() as logs:
        for qos in (0, 1, 1):
            gateway.broker.say(b"site/a/state", payload, qos=qos)
        assert await gateway.heard_all() == []
    assert gateway.tally.undecodable == 3
    assert [line["event"] for line in logs].count("message cannot be decoded") == 1


async def test_the_largest_payload_that_is_taken_is_decoded(gateway: Gateway) -> None:
    payload = b'{"t": 1, "x": ""}'
    gateway.broker.say(b"site/a/state", payload.replace(b'""', b'"' + b"y" * (PAYLOAD_BYTES - len(payload)) + b'"'))
    (reading,) = await gateway.heard_all()
    assert reading.values == {"temperature": 1.0}


async def test_an_empty_payload_says_nothing(gateway: Gateway) -> None:
    gateway.broker.say(b"site/a/state", b"", retain=True)
    gateway.broker.say(b"site/a/state", b"", qos=0)
    assert await gateway.heard_all() == []
    assert gateway.tally.undecodable == 0


@pytest.mark.parametrize(
    ("payload", "values"),
    [
        pytest.param(b'{"t": 1, "t": 2}', {"temperature": 2.0}, id="duplicate-keys"),
        pytest.param(b'{"t": 18446744073709551616}', {"temperature": 2.0**64}, id="2-to-the-64-as-a-number"),
        pytest.param(b'{"t": 5, "unknown": {"t": 7}}', {"temperature": 5.0}, id="unknown-fields"),
    ],
)
async def test_what_has_a_meaning_is_taken(gateway: Gateway, payload: bytes, values: dict[str, float]) -> None:
    gateway.broker.say(b"site/a/state", payload)
    (reading,) = await gateway.heard_all()
    assert reading.values == values and reading.faults is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("q", "18446744073709551616", id="2-to-the-64-as-a-whole-number"),
        pytest.param("q", "1" + "0" * 400, id="10-to-the-400-as-a-whole-number"),
        pytest.param("t", "1" + "0" * 400, id="10-to-the-400"),
        pytest.param("t", "1" + "0" * 4_000, id="10-to-the-4000"),
        pytest.param("t", '"21.5"', id="string-for-number"),
        pytest.param("q", "1.5", id="half-for-a-whole-number"),
        pytest.param("t", "true", id="bool-for-number"),
        pytest.param("t", "[1]", id="list-for-number"),
        pytest.param("t", '{"t": 1}', id="object-for-number"),
    ],
)
async def test_a_wrong_field_is_a_fault_of_that_field_alone(gateway: Gateway, field: str, value: str) -> None:
    wrong, right = {"t": ("temperature", "q"), "q": ("air_quality", "t")}[field]
    gateway.broker.say(b"site/a/state", f'{{"{field}": {value}, "{right}": 7}}'.encode())
    (reading,) = await gateway.heard_all()
    assert list(reading.values.values()) == [7] and wrong not in reading.values
    assert reading.faults is not None and list(reading.faults) == [wrong]
    assert gateway.tally.undecodable == 0


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(0, id="1970"),
        pytest.param(4_294_967_295_000, id="2106"),
        pytest.param(time.time_ns(), id="nanoseconds-for-milliseconds"),
        pytest.param(int(time.time()), id="seconds-for-milliseconds"),
        pytest.param(-1, id="negative"),
        pytest.param(10**400, id="10-to-the-400"),
        pytest.param("yesterday", id="text"),
        pytest.param([], id="list"),
    ],
)
async def test_a_time_that_cannot_be_believed_is_that_of_arrival(gateway: Gateway, told: object) -> None:
    before = time.time_ns() // 1000
    gateway.broker.say(b"site/a/state", json.dumps({"t": 1, "ts": told}).encode())
    (reading,) = await gateway.heard_all()
    assert before <= reading.at <= time.time_ns() // 1000
    assert reading.quality is Quality.UNCERTAIN and reading.values == {"temperature": 1.0}


async def test_a_time_that_can_be_believed_is_taken(gateway: Gateway) -> None:
    told = time.time_ns() // 1_000_000 - 5_000
    gateway.broker.say(b"site/a/state", json.dumps({"t": 1, "ts": told}).encode())
    (reading,) = await gateway.heard_all()
    assert (reading.at, reading.quality) == (told * 1_000, Quality.GOOD)


async def test_a_retained_value_is_stale(gateway: Gateway) -> None:
    gateway.broker.say(b"site/a/state", b'{"t": 1}', retain=True)
    (reading,) = await gateway.heard_all()
    assert reading.quality is Quality.STALE


async def test_the_same_message_twice_is_one_event(tmp_path: Path, door: Profile) -> None:
    device = Listener("door", door, {"name": "d"})
    async with hostile_broker() as broker, listening(tmp_path, at(broker.url), [device]) as (kept, *_):
        await broker.listened(1)
        broker.say(b"site/d/event", b'{"n": 1}')
        broker.say(b"site/d/event", b'{"n": 1}', again=True)
        broker.say(b"site/d/event", b'{"n": 1}')
        broker.say(b"site/d/event", b'{"n": 2}')
        await broker.settled()
        assert [reading.event_id for reading in await kept.readings("door")] == ["1", "2"]


@pytest.mark.parametrize("key", ["1" + "0" * 4_000, '"' + "k" * 10_000 + '"', "[1]", "null", "1.5", '"\\u0000"'])
async def test_an_event_with_an_odd_key_is_an_event_all_the_same(tmp_path: Path, door: Profile, key: str) -> None:
    async with (
        hostile_broker() as broker,
        listening(tmp_path, at(broker.url), [Listener("door", door, {"name": "d"})]) as (kept, _, tally),
    ):
        await broker.listened(1)
        broker.say(b"site/d/event", f'{{"n": {key}}}'.encode())
        broker.say(b"site/d/event", b'{"n": 2}')
        await broker.settled()
        first, last = await kept.readings("door")
        assert first.values == last.values and last.event_id == "2" and tally.undecodable == 0


@pytest.mark.slow
async def test_a_hundred_thousand_topics_leave_nothing_behind(gateway: Gateway) -> None:
    """Half of them nobody's, half of a device that is heard on any; none of them can be decoded."""
    before = _peak()
    with structlog.testing.capture_logs() as logs:
        for number in range(50_000):
            gateway.broker.say(b"site/nobody-%d/state" % number, b"{", qos=0)
            gateway.broker.say(b"site/a/extra/%d" % number, b"{", qos=0)
            if number % 1_000 == 0:
                await gateway.broker.drain()
        async with asyncio.timeout(30):
            while gateway.tally.undecodable < 50_000:
                await asyncio.sleep(0.05)
        assert await gateway.heard_all() == []
    assert len(logs) == COMPLAINTS
    assert _peak() - before < 40 << 20


async def test_a_storm_of_last_wills_is_heard_to_the_end(tmp_path: Path, sensor: Profile) -> None:
    """A power cut: two hundred devices are gone at once, and their broker says so for each of them."""
    names = [f"sensor-{number}" for number in range(200)]
    listeners = [Listener(name, sensor, {"name": name}) for name in names]
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, at(broker.url), listeners) as (kept, _, tally):
            await asyncio.gather(*(die(broker.port, name, f"site/{name}/status".encode(), b"offline") for name in names))
            async with asyncio.timeout(10):
                while {one.device for one in await kept.readings() if one.values == {"online": False}} < set(names):
                    await asyncio.sleep(0.1)
            assert tally.undecodable == 0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
