"""Summaries that a real InfluxDB computes are those that are computed from its readings."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import Address, InfluxStore, Level, Query
from ingest.store.line_server import LineServer
from ingest.store.reader import PORTION, InfluxqlReader, portions
from ingest.store.summary import Sample, counts, summarised
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.servers import influxdb

FIVE = Level.FIVE_MINUTES
BEGIN = FIVE.start(1_790_000_000_000_000)
HERE = [GatewayRef("411202002001", f"gw-{n}") for n in range(3)]
GRID = GatewayRef("411202002001001", "gw-0")
ALL = Query(("41",), limit=50_000, newest_first=False)


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[Address]:
    with influxdb(tmp_path) as server:
        yield Address(server.url, "linli")


@pytest.fixture
async def store(address: Address, tmp_path: Path) -> AsyncIterator[InfluxStore]:
    database = Database(tmp_path / "centre.sqlite")
    opened = InfluxStore(address, database)
    await opened.open()
    yield opened
    await opened.close()
    database.close()


@pytest.fixture
async def reader(address: Address, store: InfluxStore) -> AsyncIterator[InfluxqlReader]:
    server = LineServer(address)
    await server.prepare()
    yield InfluxqlReader(server)
    await server.close()


def mixed(ref: GatewayRef, chance: random.Random) -> Arrival:
    """Devices that tell numbers, faults, events, texts and what does not count, in seven minutes."""
    readings = []
    for n in range(300):
        device = f"device-{chance.randrange(12)}"
        values: dict[str, bool | int | float | str] = {"temperature": round(chance.gauss(20, 5), 2)}
        values |= chance.choice([{}, {"fault_code": n}, {"running": True}, {"mode": "auto"}])
        faults = {"temperature": "bad: frozen"} if device == "device-1" and chance.random() < 0.3 else None
        event_id = f"e-{n}" if device == "device-2" and chance.random() < 0.1 else None
        quality = chance.choices(list(Quality), [8] + [1] * (len(Quality) - 1))[0]
        at = BEGIN - 60_000_000 + n * 1_400_000
        readings.append(
            Reading(device=device, kind=Kind.ENVIRONMENT, at=at, values=values, quality=quality, faults=faults, event_id=event_id)
        )
    readings.append(Reading(device="b3-meter", kind=Kind.ENERGY, at=BEGIN, values={"frequency": 50}))
    return Arrival(Stream(*ref, "0" * 16, "bulk"), 1, readings, BEGIN)


async def test_the_server_counts_what_counts(store: InfluxStore, reader: InfluxqlReader) -> None:
    chance = random.Random(7)
    await store.write([mixed(ref, chance) for ref in (*HERE, GRID)])
    rows = await store.read(ALL)
    expected = summarised(
        (
            Sample(*row[:6], float(row.value))
            for row in rows
            if BEGIN <= row.at < BEGIN + FIVE.width_us
            and counts(row.kind, row.metric, row.value, row.quality, row.event_id)
            and (row.community, row.gateway) in HERE
        ),
        FIVE,
    )
    found = await reader._aggregated(BEGIN, HERE)
    assert [(*summary[:9], pytest.approx(summary.mean), summary.last) for summary in expected] == sorted(found)
    assert {summary.kind for summary in found} == {Kind.ENVIRONMENT, Kind.ENERGY}


async def test_a_mean_that_the_server_cannot_say_is_computed_from_readings(store: InfluxStore, reader: InfluxqlReader) -> None:
    huge = [Reading(device="yard", kind=Kind.ENVIRONMENT, at=BEGIN + n, values={"temperature": 1.7e308}) for n in (0, 1)]
    await store.write([Arrival(Stream(*HERE[0], "0" * 16, "bulk"), 1, huge, BEGIN)])
    with pytest.raises(StoreUnavailable):
        await reader._aggregated(BEGIN, HERE)
    (summary,) = await reader.computed(FIVE, BEGIN, HERE)
    assert summary.mean == pytest.approx(1.7e308)


async def test_nobody_said_anything(reader: InfluxqlReader) -> None:
    assert await reader.computed(FIVE, BEGIN, HERE) == []


def test_gateways_are_asked_for_by_community_and_some_at_once() -> None:
    many = [GatewayRef("411202002002", f"gw-{n:03}") for n in range(PORTION + 1)]
    assert [len(some) for some in portions([*many, *HERE, GRID])] == [3, 1, PORTION, 1]
    assert sorted(ref for some in portions([*many, *HERE]) for ref in some) == sorted([*many, *HERE])
    assert list(portions([])) == []
