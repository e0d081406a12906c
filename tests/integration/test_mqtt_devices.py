"""Devices behind a real mosquitto: what QoS 1 promised is durable before it is acknowledged, whoever is killed."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Literal

import aiomqtt
import pytest
import structlog

from device_profiles import Profile
from device_profiles.library import load_text
from edge.config import DeviceBroker
from edge.drivers.inbox import PAYLOAD_BYTES
from edge.drivers.routes import Listener
from telemetry.batch import Lane
from tests import mqtt_devices
from tests.mqtt_devices import Heard
from tests.servers import Server, free_port, mosquitto

PROFILE = """
id: test-reader
kind: access
vendor: Test
model: R1
name: {zh: 读卡器, en: Reader}
confidence: confirmed
sources: [test]
mqtt:
  messages:
    - topic: "doors/{name}/event"
      event: {path: what, map: {in: granted}}
      event_id: [n]
      values: {granted: {value: true}}
    - topic: "doors/{name}/state"
      values: {door_open: open}
points:
  granted: {}
  door_open: {heartbeat_s: 300}
examples:
  messages:
    - {origin: computed, topic: doors/a/state, parameters: {name: a}, payload: {open: true}, gives: [{values: {door_open: true}}]}
"""


@pytest.fixture(scope="module")
def reader() -> Profile:
    return load_text(PROFILE, "test-reader.yaml")


@asynccontextmanager
async def listening(
    folder: Path, url: str, listeners: Sequence[Listener], protocol: Literal["3.1.1", "5"] = "3.1.1"
) -> AsyncIterator[Heard]:
    async with mqtt_devices.listening(
        folder, DeviceBroker(id="devices", url=url, protocol=protocol, keepalive_s=2), listeners
    ) as heard:
        yield heard


async def subscribed(broker: Server, filter_: str) -> None:
    await logged(broker, f"{filter_} (QoS 1)")


async def logged(broker: Server, words: str) -> None:
    """Until the broker's own log says so."""
    async with asyncio.timeout(5):
        while words not in broker.log.read_text():
            await asyncio.sleep(0.02)


def door(profile: Profile, name: str = "a") -> Listener:
    return Listener(f"door-{name}", profile, {"name": name})


def swipe(n: int) -> str:
    return json.dumps({"what": "in", "n": n})


async def publish(url_port: int, topic: str, *payloads: str | bytes, qos: int = 1, retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", url_port) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=qos, retain=retain)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_events_and_states_become_urgent_readings_in_order(
    tmp_path: Path, reader: Profile, protocol: Literal["3.1.1", "5"]
) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader)], protocol) as (kept, _, _):
            await subscribed(broker, "doors/a/event")
            await publish(broker.port, "doors/a/state", '{"open": true}', '{"open": true}', '{"open": false}')
            await publish(broker.port, "doors/a/event", swipe(1), swipe(2))
            readings = await kept.until(4, "door-a")
            assert [reading.values for reading in readings if "door_open" in reading.values] == [
                {"door_open": True},
                {"door_open": False},
            ]
            assert [reading.event_id for reading in readings if "event" in reading.values] == ["1", "2"]
            assert len(await kept.readings(lane=Lane.URGENT)) == 4


async def test_a_message_goes_to_its_device_alone(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader, "a"), door(reader, "b")]) as (kept, _, _):
            await subscribed(broker, "doors/b/event")
            await publish(broker.port, "doors/b/event", swipe(1))
            assert [reading.device for reading in await kept.until(1)] == ["door-b"]


async def test_an_event_delivered_twice_is_taken_once(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, _):
            await subscribed(broker, "doors/a/event")
            await publish(broker.port, "doors/a/event", swipe(1), swipe(1), swipe(2))
            await kept.until(2)
            assert [reading.event_id for reading in await kept.readings()] == ["1", "2"]


async def test_payloads_that_cannot_be_decoded_are_counted_said_once_and_disturb_nothing(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker, structlog.testing.capture_logs() as logs:
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, tally):
            await subscribed(broker, "doors/a/event")
            await publish(broker.port, "doors/a/event", "{", b"\xff\xfe", "[" * 5000, b"x" * (PAYLOAD_BYTES + 1), swipe(1))
            await kept.until(1)
            assert tally.undecodable == 4
    assert [entry["event"] for entry in logs].count("message cannot be decoded") == 1


async def test_devices_come_and_go_while_it_listens(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader, "a")]) as (kept, link, _):
            await subscribed(broker, "doors/a/event")
            kept.logbook.open("door-b", reader)
            link.replace([door(reader, "b")])
            await subscribed(broker, "doors/b/event")
            await publish(broker.port, "doors/a/event", swipe(1))
            await publish(broker.port, "doors/b/event", swipe(2))
            assert [reading.device for reading in await kept.until(1)] == ["door-b"]


async def test_a_broker_that_comes_later_and_one_that_comes_back_are_two_lines_each(
    tmp_path: Path, reader: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.listening.LAST_RETRY_S", 0.2)
    monkeypatch.setattr("edge.drivers.listening.FIRST_RETRY_S", 0.1)
    broker = mosquitto(tmp_path, port=free_port())
    with structlog.testing.capture_logs() as logs:
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, _):
            await asyncio.sleep(0.8)
            with broker:
                await subscribed(broker, "doors/a/event")
                await publish(broker.port, "doors/a/event", swipe(1))
                await kept.until(1)
                broker.kill()
                broker.log.unlink()
                await asyncio.sleep(0.5)
                broker.start()
                await subscribed(broker, "doors/a/event")
                await publish(broker.port, "doors/a/event", swipe(2))
                await kept.until(2)
    lines = [entry["event"] for entry in logs]
    assert lines == ["device broker unavailable", "device broker connected"] * 2


async def test_wrong_credentials_are_one_line(tmp_path: Path, reader: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.drivers.listening.FIRST_RETRY_S", 0.1)
    with mosquitto(tmp_path, settings="allow_anonymous false\n") as broker, structlog.testing.capture_logs() as logs:
        async with listening(tmp_path, broker.url, [door(reader)]):
            await asyncio.sleep(0.6)
    (line,) = logs
    assert line["event"] == "device broker unavailable" and "auth" in line["reason"].lower()


async def test_what_came_while_nobody_listened_is_delivered(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader)]):
            await subscribed(broker, "doors/a/event")
        await publish(broker.port, "doors/a/event", *(swipe(n) for n in range(50)))
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, _):
            readings = await kept.until(50)
            assert [reading.event_id for reading in readings] == [str(n) for n in range(50)]


async def test_a_backlog_waits_in_the_socket_and_costs_no_connection(tmp_path: Path, reader: Profile) -> None:
    """mosquitto 2.0 sends twenty more for each acknowledgement of a backlog, so thousands are on their way."""
    with mosquitto(tmp_path, settings="allow_anonymous true\nmax_queued_messages 100000\n") as broker:
        async with listening(tmp_path, broker.url, [door(reader)]):
            await subscribed(broker, "doors/a/event")
        lines = "\n".join(swipe(n) for n in range(6_000))
        publisher = ["mosquitto_pub", "-p", str(broker.port), "-t", "doors/a/event", "-q", "1", "-l"]
        await asyncio.to_thread(subprocess.run, publisher, input=lines.encode(), check=True, timeout=60)
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, _):
            async with asyncio.timeout(30):
                while kept.accept.accepted < 6_000:
                    await asyncio.sleep(0.05)
            assert len({reading.event_id for reading in await kept.readings("door-a")}) == 6_000
        log = broker.log.read_text()
        assert log.count("as linli-test ") == 2, "one connection for each time it listened"
        assert "PUBLISH to linli-test (d1" not in log


async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path, reader: Profile) -> None:
    with mosquitto(tmp_path) as broker:
        async with listening(tmp_path, broker.url, [door(reader)]) as (kept, _, _):
            await subscribed(broker, "doors/a/event")
            release = threading.Event()
            busy = asyncio.create_task(kept.outbox.call(release.wait, 10))  # the outbox's one thread: nothing commits meanwhile
            await publish(broker.port, "doors/a/event", swipe(1))
            await logged(broker, "Sending PUBLISH to linli-test")
            await asyncio.sleep(0.2)
            assert "Received PUBACK from linli-test" not in broker.log.read_text()
            release.set()
            await logged(broker, "Received PUBACK from linli-test")
            assert await busy and len(await kept.readings()) == 1


KILLED = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from device_profiles.library import load_text
    from tests.integration.test_mqtt_devices import PROFILE, door, listening

    async def main():
        reader = load_text(PROFILE, "test-reader.yaml")
        async with listening(Path(sys.argv[1]), sys.argv[2], [door(reader)]):
            await asyncio.sleep(60)

    asyncio.run(main())
""")


@pytest.mark.slow
async def test_nothing_of_qos_1_is_lost_however_often_the_listener_is_killed(tmp_path: Path, reader: Profile) -> None:
    """A backlog at the broker, and SIGKILLs while it is worked off: each event is kept."""
    chance, sent = random.Random(7), 4_000
    with mosquitto(tmp_path, settings="allow_anonymous true\nmax_queued_messages 0\n") as broker:
        async with listening(tmp_path, broker.url, [door(reader)]):
            await subscribed(broker, "doors/a/event")
        async with aiomqtt.Client("127.0.0.1", broker.port, max_inflight_messages=sent) as client:
            client.pending_calls_threshold = sent
            await asyncio.gather(*(client.publish("doors/a/event", swipe(n), qos=1, timeout=30) for n in range(sent)))
        killed_at = []
        for _ in range(6):
            seen = await durable_events(tmp_path)
            if len(seen) == sent:  # a fast machine has worked it all off
                break
            process = start_listener(tmp_path, broker.url)
            async with asyncio.timeout(20):
                while await durable_events(tmp_path) == seen:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(chance.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.wait(5)
            killed_at.append(len(await durable_events(tmp_path)))
        assert len(set(killed_at)) > 3 and killed_at[3] < sent, f"the kills {killed_at} did not fall into the work"
        async with listening(tmp_path, broker.url, [door(reader)]), asyncio.timeout(30):
            while len(await durable_events(tmp_path)) < sent:
                await asyncio.sleep(0.1)


def start_listener(folder: Path, url: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", KILLED, str(folder), url], env=environment, stdout=subprocess.DEVNULL)


async def durable_events(folder: Path) -> frozenset[str]:
    """The events on disk, read beside whoever writes them."""
    with closing(sqlite3.connect(folder / "outbox.db", timeout=5)) as outbox:
        bodies = [zlib.decompress(packed) for (packed,) in outbox.execute("SELECT body FROM chunk WHERE lane='urgent'")]
    return frozenset(reading["event_id"] for body in bodies for reading in json.loads(b"[" + body + b"]"))
