"""What the gateway agent itself is measured at: a real one, with Modbus units, a broker and a centre beside it."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psutil

from bench.demo.__main__ import bytes_written
from bench.report import Row
from edge.outbox import Outbox
from ingest.mqtt import Address, connected
from telemetry import topic
from telemetry.batch import Lane
from telemetry.errors import BrokerUnavailable
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading
from tests.faults.rig import REF, Rig

OUTAGES, AWAY_S = 8, 4.0
DEVICES, INTERVAL_S = 196, 12
"""Of a gateway of the city: five readings a minute of each."""
HOUR_US = 3_600_000_000
GIVE_UP_S = 60.0


def written(folder: Path) -> Iterator[Row]:
    yield bytes_written(folder, 30, 600)
    yield bytes_written(folder, 200, 200)


def reconnect(folder: Path) -> Iterator[Row]:
    """From a broker's return to the first acknowledgement of an event that waited for it; and what came of all of them."""
    with Rig(folder, meters=2, alarms=4) as rig:
        rig.start()
        rig.until_accepted(40)
        delays = sorted(_outage(rig) for _ in range(OUTAGES))
        rig.settle()
        lost = rig.verdict(alerts=False)
        accepted, repeated = sum(rig.settled.values()), rig.metric("duplicates")
    yield Row("after an outage: first event acknowledged, median", delays[len(delays) // 2], "s")
    yield Row("after an outage: first event acknowledged, largest", delays[-1], "s")
    yield Row("after outages: readings accepted", accepted, "")
    yield Row("after outages: lost, doubled or wrong in the store", len(lost), "", 0, at_least=False)
    yield Row("after outages: batches that came again and were skipped", repeated, "")


def _outage(rig: Rig) -> float:
    rig.broker.kill()
    time.sleep(AWAY_S)
    rig.broker.start()
    begun = time.monotonic()
    asyncio.run(_event_acknowledged(rig.broker.port))
    delay = time.monotonic() - begun
    rig.until_accepted(20)
    return delay


async def _event_acknowledged(port: int) -> None:
    """Until an acknowledgement that is not a retained one speaks of an urgent batch: the new broker has retained none."""
    heard = asyncio.Event()

    def hear(name: bytes, payload: bytes, retained: bool) -> None:
        if any(mark["lane"] == Lane.URGENT and mark["seq"] for mark in json.loads(payload)["marks"]):
            heard.set()

    async with asyncio.timeout(GIVE_UP_S):
        while not heard.is_set():
            try:
                async with connected(
                    Address("127.0.0.1", port, "bench-ear", "", None, 60, False, None), hear, lambda: False
                ) as link:
                    await link.subscribe([topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.ACK)], 1)
                    await heard.wait()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


def hour_of_backlog(folder: Path) -> Iterator[Row]:
    """An agent that starts with an hour of a city's gateway in its outbox."""
    with Rig(folder, meters=1, alarms=1) as rig:
        count = _fill(folder / "edge" / "data" / "outbox.db")
        rig.broker.start()
        rig.units.start()
        rig.edge.start()
        process = psutil.Process(rig.edge.pid)
        time.sleep(5)
        memory = [process.memory_info().rss]
        rig.centre.start()
        begun = time.monotonic()
        while rig.metric("readings") < count and time.monotonic() - begun < 10 * GIVE_UP_S:
            memory.append(process.memory_info().rss)
            time.sleep(0.1)
        took = time.monotonic() - begun
        cpu_s = sum(process.cpu_times()[:2])
        rig.edge.stop()
        time.sleep(2)
        rig.centre.stop()
        stored, different = _stored(folder / "centre" / "data" / "telemetry.duckdb")
    yield Row("an hour of backlog: readings", count, "")
    yield Row("an hour of backlog: memory of the agent, before it is sent", memory[0] / 1e6, "MB")
    yield Row("an hour of backlog: memory of the agent, at its largest", max(memory) / 1e6, "MB")
    yield Row("an hour of backlog: drained", count / took, "/s")
    yield Row("an hour of backlog: of the live rate", count / took / (DEVICES / INTERVAL_S), "x", 5)
    yield Row("an hour of backlog: CPU of the agent for each reading", cpu_s / count * 1e6, "us")
    yield Row("an hour of backlog: lost", 2 * count - different, "values", 0, at_least=False)
    yield Row("an hour of backlog: stored twice", stored - different, "values", 0, at_least=False)


def _fill(path: Path) -> int:
    """Committed once a second, as the agent does; how many readings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.time_ns() // 1_000 - 60_000_000
    outbox = Outbox.open(path, gateway=REF.gateway, now=Micros(end - HOUR_US))
    count = 0
    for second in range(3_600):
        now = end - HOUR_US + second * 1_000_000
        said = [device for device in range(DEVICES) if device % INTERVAL_S == second % INTERVAL_S]
        outbox.append([_climate(device, now + device) for device in said], Lane.BULK, Micros(now))
        outbox.seal(Micros(now))
        count += len(said)
    outbox.close()
    return count


def _climate(device: int, at: int) -> Reading:
    values = {"temperature": round(20 + at * 7919 % 100 / 10, 1), "humidity": round(50 + at * 104729 % 90 / 10, 1)}
    return Reading(device=f"room-{device:03}", kind=Kind.ENVIRONMENT, at=at, values=dict(values))


def _stored(path: Path) -> tuple[int, int]:
    """Values of rooms in the store, and how many of them differ in device, metric or instant."""
    with duckdb.connect(str(path), read_only=True) as file:
        found = "SELECT count(*), count(DISTINCT (device, metric, instant_utc)) FROM reading WHERE kind = 'environment'"
        ((stored, different),) = file.execute(found).fetchall()
        return stored, different
