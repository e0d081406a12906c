"""A storm of device messages is thinned to the latest of each value, and holds up neither polls nor events."""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiomqtt
import pytest

from device_profiles import Profile
from device_profiles.library import load_text
from edge.board import board_state
from edge.bus_config import TcpBus
from edge.config import DeviceBroker
from edge.drivers.modbus import open_bus
from edge.drivers.routes import Listener
from edge.poller import Poller
from edge.tally import Tally, taken_lateness
from edge.unit import Unit
from tests.modbus_peers import pymodbus_tcp, unit
from tests.mqtt_devices import DOOR, listening
from tests.recording import Recording
from tests.servers import HOST, Server, free_port, mosquitto

METERS = 50
QUIET = "allow_anonymous true\nlog_type none\n"
METER = """
id: test-meter
kind: energy
vendor: Test
model: M1
name: {zh: 电表, en: Meter}
confidence: confirmed
sources: [test]
modbus: {interval_s: 0.1}
mqtt: {messages: [{topic: "site/{name}/state", values: {voltage: v, current: i}}]}
points:
  voltage: {unit: V, heartbeat_s: 60, modbus: {table: holding, address: 0}}
  current: {unit: A, heartbeat_s: 60, modbus: {table: holding, address: 1}}
examples:
  messages:
    - {origin: computed, topic: site/a/state, parameters: {name: a}, payload: {v: 230}, gives: [{values: {voltage: 230}}]}
  vectors: [{origin: computed, point: voltage, words: [230], gives: 230}]
"""
STORM = textwrap.dedent("""
    import socket, struct, sys, time

    port, rate, seconds, qos, meters = (int(word) for word in sys.argv[1:])
    link = socket.create_connection(("127.0.0.1", port))
    link.sendall(bytes.fromhex("100f00044d5154540402003c0003") + b"gen")
    assert link.recv(4)[3] == 0
    if qos:
        import threading
        threading.Thread(target=lambda: any(not link.recv(65536) for _ in iter(int, 1)), daemon=True).start()

    def publish(number):
        topic = b"site/m%d/state" % (number % meters)
        mid = struct.pack(">H", number % 65535 + 1) if qos else b""
        body = struct.pack(">H", len(topic)) + topic + mid + b'{"v":%d.5,"i":%d}' % (number % 400, number)
        return bytes((0x30 | qos << 1, len(body))) + body

    began, number = time.monotonic(), 0
    while number < rate * seconds:
        due = int((time.monotonic() - began) * rate)
        link.sendall(b"".join(publish(n) for n in range(number, due)))
        number = max(number, due)
        time.sleep(0.005)
    print(number, flush=True)
    sys.stdin.read()
""")


@pytest.fixture(scope="module")
def meter() -> Profile:
    return load_text(METER, "test-meter.yaml")


@pytest.fixture(scope="module")
def door() -> Profile:
    return load_text(DOOR, "test-door.yaml")


@asynccontextmanager
async def gateway(folder: Path, broker: Server, meter: Profile, door: Profile) -> AsyncIterator[tuple[Recording, Tally]]:
    """Meters and a door behind the broker, and one meter on a bus that is polled ten times a second."""
    port = free_port()
    listeners = [Listener(f"meter-{n}", meter, {"name": f"m{n}"}) for n in range(METERS)] + [
        Listener("door", door, {"name": "d"})
    ]
    async with (
        pymodbus_tcp(port, unit(1, {0: 230, 1: 5})),
        listening(folder, DeviceBroker(id="devices", url=broker.url), listeners) as (kept, _, tally),
    ):
        bus = open_bus(TcpBus("meters", HOST, port, 0.5))
        poller = Poller(bus, kept.logbook, tally)
        kept.logbook.open("polled", meter)
        poller.replace([Unit("polled", meter, 1, None, 0.5)])
        polling = asyncio.create_task(poller.run())
        try:
            await all_heard(kept, broker, listeners)
            yield kept, tally
        finally:
            polling.cancel()
            await asyncio.wait((polling,))
            await bus.close()


async def all_heard(kept: Recording, broker: Server, listeners: Sequence[Listener]) -> None:
    async with asyncio.timeout(10), aiomqtt.Client(HOST, broker.port) as client:
        while {reading.device for reading in await kept.readings()} < {one.device for one in listeners}:
            for one in listeners:
                await client.publish(one.filters[0], '{"v": 1, "n": "first"}')
            await asyncio.sleep(0.2)


def storm(broker: Server, rate: int, seconds: int, qos: int = 0) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", STORM, *map(str, (broker.port, rate, seconds, qos, METERS))]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def urgent_commits(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "outbox.db", timeout=5)) as outbox:
        (count,) = outbox.execute("SELECT count(*) FROM chunk WHERE lane='urgent'").fetchone()
        return int(count)


async def event_delay_s(folder: Path, broker: Server, number: int) -> float:
    """From the publishing of an event until it is durable."""
    before = urgent_commits(folder)
    async with aiomqtt.Client(HOST, broker.port) as client:
        began = time.monotonic()
        await client.publish("site/d/event", f'{{"n": {number}}}')
        async with asyncio.timeout(10):
            while urgent_commits(folder) == before:
                await asyncio.sleep(0.005)
        return time.monotonic() - began


def memory() -> int:
    return board_state().memory_bytes or 0


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_storm_of_measurements_holds_up_neither_events_nor_polls(
    tmp_path: Path, meter: Profile, door: Profile, qos: int
) -> None:
    with mosquitto(tmp_path, settings=QUIET) as broker:
        async with gateway(tmp_path, broker, meter, door) as (kept, tally):
            await event_delay_s(tmp_path, broker, 0)
            taken_lateness(tally)
            before, polls, missed = memory(), tally.polls, tally.polls_missed
            with storm(broker, 10_000, 3, qos) as flood:
                delays = []
                for number in range(1, 6):
                    await asyncio.sleep(0.5)
                    delays.append(await event_delay_s(tmp_path, broker, number))
                grown = memory() - before
                assert flood.stdout and flood.stdin
                sent = int(await asyncio.to_thread(flood.stdout.readline))
                flood.stdin.close()
            await asyncio.sleep(1.5)
            late = taken_lateness(tally)
            assert statistics.median(delays) < 0.5 and max(delays) < 5  # 50 ms by itself; a busy machine adds its own
            assert grown < 30 << 20
            assert late.largest < 5 and tally.polls_missed - missed <= 20
            assert tally.polls - polls >= 30
            assert qos or (tally.thinned > sent / 4 and kept.accept.accepted < sent / 4)
