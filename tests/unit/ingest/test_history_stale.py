"""Stale windows: known before their readings are stored, until summaries made afterwards are durable."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.history import stale as module
from ingest.history.stale import DAY_US, PATIENCE_US, SETTLE_US, Due, StaleWindows, Window, table
from ingest.store import Level
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

pytestmark = pytest.mark.both_databases

FIVE, HOUR = Level.FIVE_MINUTES, Level.HOUR
T0 = HOUR.start(1_790_000_000_000_000)
REF = GatewayRef("411202002001", "gw-jianye-1")
OTHER = GatewayRef("411202002001", "gw-jianye-2")
ENDED = T0 + FIVE.width_us


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> Micros:
        return Micros(self.now)


class World:
    """Stale windows in a database that can be closed and opened again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "centre.db"
        self.clock = Clock()
        self.kept = dict.fromkeys(Kind, 0)
        self.database = Database(self.file)
        self.stale = StaleWindows(self.database, self.clock, self.kept.__getitem__)

    async def reopened(self) -> StaleWindows:
        """As after a crash: what is in memory is gone."""
        self.stale = StaleWindows(self.database, self.clock, self.kept.__getitem__)
        await self.stale.open()
        return self.stale

    async def store(self, *instants: int, ref: GatewayRef = REF, kind: Kind = Kind.ENVIRONMENT) -> None:
        async with self.stale.noted([arrival(*instants, ref=ref, kind=kind)]):
            pass


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def arrival(*instants: int, ref: GatewayRef = REF, kind: Kind = Kind.ENVIRONMENT) -> Arrival:
    readings = [Reading(device="b3-climate", kind=kind, at=at, values={"battery": 1.0}) for at in instants]
    return Arrival(Stream(*ref, "0" * 16, "bulk"), 1, readings, Micros(T0))


def what(due: Due | None) -> tuple[Window, set[GatewayRef]] | None:
    return None if due is None else (due.window, set(due.notes))


async def test_a_window_is_due_once_it_is_over_and_its_batches_have_ceased(world: World) -> None:
    await world.store(T0, T0 + 1)
    for now, expected in ((ENDED + SETTLE_US - 1, None), (ENDED + SETTLE_US, (Window(FIVE, T0), {REF}))):
        world.clock.now = now
        assert what(world.stale.due()) == expected
    await world.store(T0 + 2)
    assert world.stale.due() is None
    world.clock.now += SETTLE_US
    assert what(world.stale.due()) == (Window(FIVE, T0), {REF})


async def test_batches_that_do_not_cease_delay_a_window_only_so_long(world: World) -> None:
    world.clock.now = ENDED + SETTLE_US
    begun = world.clock.now
    while world.stale.due() is None:
        await world.store(T0)
        world.clock.now += SETTLE_US - 1
    assert begun + PATIENCE_US <= world.clock.now < begun + PATIENCE_US + SETTLE_US


async def test_the_newest_window_comes_first_and_gateways_go_together(world: World) -> None:
    await world.store(T0 - HOUR.width_us, T0)
    await world.store(T0, ref=OTHER)
    world.clock.now = ENDED + SETTLE_US
    first = world.stale.due()
    assert what(first) == (Window(FIVE, T0), {REF, OTHER})
    assert first is not None
    await world.stale.settled(first)
    assert what(world.stale.due()) == (Window(FIVE, T0 - HOUR.width_us), {REF})


async def test_a_step_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GATEWAYS", 2)
    for n in range(3):
        await world.store(T0, ref=REF._replace(gateway=f"gw-{n}"))
    world.clock.now = ENDED + SETTLE_US
    sizes = []
    while (due := world.stale.due()) is not None and due.window.level is FIVE:
        sizes.append(len(due.notes))
        await world.stale.settled(due)
    assert sizes == [2, 1]


async def test_a_window_is_known_before_its_readings_are_stored_and_after_a_crash(world: World) -> None:
    async with world.stale.noted([arrival(T0)]):
        rows = await world.database.read(lambda connection: connection.execute(sa.select(table)).all())
        assert [tuple(row) for row in rows] == [("5m", T0, *REF)]
    await world.reopened()
    world.clock.now = ENDED + SETTLE_US
    assert what(world.stale.due()) == (Window(FIVE, T0), {REF})


async def test_a_window_is_not_computed_while_it_is_being_written(world: World) -> None:
    world.clock.now = T0 + DAY_US
    async with world.stale.noted([arrival(T0)]):
        world.clock.now += SETTLE_US
        assert world.stale.due() is None
        async with world.stale.noted([arrival(T0)]):
            pass
        world.clock.now += SETTLE_US
        assert world.stale.due() is None
    assert what(world.stale.due()) == (Window(FIVE, T0), {REF})


async def test_what_falls_into_a_window_while_it_is_computed_makes_it_stale_again(world: World) -> None:
    await world.store(T0)
    await world.store(T0, ref=OTHER)
    world.clock.now = ENDED + SETTLE_US
    due = world.stale.due()
    assert due is not None
    await world.store(T0 + 1)
    await world.stale.settled(due)
    for stale in (world.stale, await world.reopened()):
        world.clock.now += SETTLE_US
        assert what(stale.due()) == (Window(FIVE, T0), {REF})


async def test_five_minutes_computed_make_their_hour_stale_and_the_hour_nothing(world: World) -> None:
    await world.store(T0)
    world.clock.now = T0 + HOUR.width_us + SETTLE_US
    due = world.stale.due()
    assert due is not None
    await world.stale.settled(due)
    for stale in (world.stale, await world.reopened()):
        world.clock.now += SETTLE_US
        hour = stale.due()
        assert what(hour) == (Window(HOUR, T0), {REF})
    assert hour is not None
    await world.stale.settled(hour)
    assert len(world.stale) == 0
    assert len(await world.reopened()) == 0


async def test_a_store_that_failed_leaves_the_window_stale_and_free(world: World) -> None:
    with pytest.raises(StoreUnavailable):
        async with world.stale.noted([arrival(T0)]):
            raise StoreUnavailable("down")
    world.clock.now = ENDED + SETTLE_US
    assert what(world.stale.due()) == (Window(FIVE, T0), {REF})


@pytest.mark.sqlite_file
async def test_what_cannot_be_noted_is_not_stored(world: World) -> None:
    with sqlite3.connect(world.file) as other:
        other.execute("DROP TABLE stale_window")
    other.close()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            async with world.stale.noted([arrival(T0)]):
                pytest.fail("stored all the same")
    assert len(world.stale) == 0


async def test_what_is_past_keeping_or_far_in_the_future_is_not_noted(world: World) -> None:
    world.kept[Kind.ACCESS] = T0
    await world.store(T0 - 1, kind=Kind.ACCESS)
    await world.store(T0 + DAY_US)
    assert len(world.stale) == 0
    await world.store(T0 - 1)
    await world.store(T0, kind=Kind.ACCESS)
    await world.store(T0 + DAY_US - 1)
    assert len(world.stale) == 3
    assert world.stale.oldest() == T0 - FIVE.width_us


async def test_one_gateway_cannot_fill_the_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OF_GATEWAY", 3)
    for n in range(10):
        await world.store(T0 - n * FIVE.width_us)
    await world.store(T0, ref=OTHER)
    assert len(world.stale) == 4
    assert len(await world.reopened()) == 4
