"""Ten thousand devices behind one broker, each on topics of its own and on one that all of them share."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from device_profiles import Profile
from device_profiles.library import load_text
from edge.board import board_state
from edge.config import DeviceBroker
from edge.drivers.routes import Listener, Routes
from tests.mqtt_devices import listening
from tests.servers import HOST, mosquitto

DEVICES = 10_000
METER = """
id: test-meter
kind: energy
vendor: Test
model: M1
name: {zh: 电表, en: Meter}
confidence: confirmed
sources: [test]
mqtt:
  messages:
    - {topic: "meters/{name}/+", values: {voltage: v}}
    - {topic: "meters/bridge", payload: text, values: {online: $}}
points:
  voltage: {unit: V}
  online: {map: {online: true, offline: false}}
examples:
  messages:
    - {origin: computed, topic: meters/a/x, parameters: {name: a}, payload: {v: 230}, gives: [{values: {voltage: 230}}]}
"""


@pytest.fixture(scope="module")
def meter() -> Profile:
    return load_text(METER, "test-meter.yaml")


def meters(profile: Profile) -> list[Listener]:
    return [Listener(f"meter-{n}", profile, {"name": f"m{n}"}) for n in range(DEVICES)]


def test_a_topic_finds_its_device_among_ten_thousand_in_microseconds(meter: Profile) -> None:
    routes = Routes(meters(meter))
    topics = [f"meters/m{n}/state" for n in range(DEVICES)]
    began = time.process_time()
    found = [routes.of(topic)[0].device for topic in topics]
    took_s = time.process_time() - began
    assert found == [f"meter-{n}" for n in range(DEVICES)]
    assert took_s / DEVICES < 50e-6


@pytest.mark.slow
async def test_ten_thousand_devices_are_subscribed_to_and_heard_and_nobody_waits_for_them(tmp_path: Path, meter: Profile) -> None:
    listeners, before = meters(meter), board_state().memory_bytes or 0
    with mosquitto(tmp_path, settings="allow_anonymous true\nlog_type none\n") as broker:
        config = DeviceBroker(id="devices", url=broker.url)
        async with (
            listening(tmp_path, config, listeners) as (kept, *_),
            aiomqtt.Client(HOST, broker.port) as client,
            waits() as late,
        ):
            began = time.monotonic()
            while kept.accept.accepted == 0:
                await client.publish(f"meters/m{DEVICES - 1}/state", '{"v": 230}')
                await asyncio.sleep(0.1)
            subscribed_s = time.monotonic() - began
            await client.publish("meters/bridge", "offline", qos=1)
            async with asyncio.timeout(30):
                while kept.accept.accepted <= DEVICES:
                    await asyncio.sleep(0.05)
            grown = (board_state().memory_bytes or 0) - before
            assert subscribed_s < 20
            assert max(late) < 5  # 0.08 to 0.15 by itself; in one portion it would be all of them
            assert grown < 60 << 20


@asynccontextmanager
async def waits() -> AsyncIterator[list[float]]:
    """How much later than asked a task got its turn, seconds."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - began - 0.01)

    watching = asyncio.create_task(watch())
    try:
        yield late
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
