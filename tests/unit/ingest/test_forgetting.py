"""A stream that was forgotten, and whose card is put back: nothing is stored twice, nothing is lost, and no gap is seen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.acknowledger import Acknowledger
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.finished import FINISHED_US, Finished, Finishing
from ingest.forgetting import Forgetting, Recalling
from ingest.sequencer import Gap
from ingest.sink import Sink
from ingest.store import EmbeddedStore, Query
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Span, State
from telemetry.reading import Micros, Reading
from tests.delivery import eventually

REF = GatewayRef("411202002001", "gw-test")
OLD, LIVE = (Stream(*REF, digit * 16, Lane.BULK) for digit in "0f")
T0 = 1_700_000_000_000_000


def batch(seq: int, stream: Stream = OLD) -> Arrival:
    reading = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + seq, values={"voltage": 230.0 + seq})
    return Arrival(stream, seq, (reading,), Micros(T0), size=100, checked=True)


class World:
    """One sink of a centre, with its store behind it."""

    def __init__(self, folder: Path) -> None:
        self.now = Micros(T0)
        self.gaps: list[Gap] = []
        self.database = Database(folder / "centre.db")
        self.store = EmbeddedStore(folder / "telemetry.duckdb")
        self.finished, lock = Finished(self.database), asyncio.Lock()
        recalling = Recalling(
            "points", self.finished, lock, lambda: self.sink.durable, self._write, self._settle, self.store.advance
        )
        self.sink = Sink("points", recalling.write, recalling.settle, {}, lambda streams: None)
        self.acknowledger = Acknowledger([self.sink.durable], lambda ref: b"k" * 32, lambda: self.now, lambda: 1.0)
        hello = [Span(LIVE.epoch, Lane.BULK, 1, 1)]
        finishing = Finishing(lambda ref: State(online=True, at=self.now, hello=hello))
        self.forgetting = Forgetting(
            self.finished, finishing, lock, [self.sink], self.acknowledger, [self.store.forget], lambda: self.now
        )

    async def _write(self, arrivals: object) -> None:
        await self.store.write(arrivals)  # type: ignore[arg-type]  # what the sink gave

    async def _settle(self, gap: Gap) -> None:
        self.gaps.append(gap)
        await self.store.advance(gap.stream, gap.last)

    async def day_after(self) -> None:
        await self.forgetting.sweep()
        self.now = Micros(self.now + FINISHED_US)
        await self.forgetting.sweep()

    async def take(self, *arrivals: Arrival) -> None:
        for arrival in arrivals:
            self.sink.push(arrival)
        last = arrivals[-1]
        await eventually(lambda: self.sink.durable.get(last.stream, 0) >= last.seq)

    async def stored(self) -> list[int]:
        rows = await self.store.read(Query(("41",), newest_first=False))
        return [row.at - T0 for row in rows]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.store.open()
    running = asyncio.create_task(made.sink.run())
    yield made
    running.cancel()
    await made.store.close()
    made.database.close()


async def test_a_finished_stream_is_forgotten_everywhere_and_the_one_that_lives_is_not(world: World) -> None:
    await world.take(batch(1), batch(2), batch(7, LIVE._replace(epoch="1" * 16))._replace(seq=1))
    await world.take(batch(9, LIVE)._replace(seq=1))
    await world.day_after()
    assert set(world.sink.durable) == set(await world.store.watermarks()) == {LIVE}
    assert await world.finished.of("points", [OLD, LIVE]) == {OLD: 2}
    assert await world.stored() == [1, 2, 7, 9]


async def test_what_is_sent_again_from_the_beginning_is_stored_once_and_what_follows_is_stored(world: World) -> None:
    await world.take(batch(1), batch(2), batch(3))
    await world.day_after()
    assert OLD not in world.sink.durable
    await world.take(batch(1), batch(2), batch(3), batch(4))
    assert await world.stored() == [1, 2, 3, 4]
    assert (await world.store.watermarks())[OLD] == 4


async def test_what_is_sent_again_from_the_middle_is_no_gap(world: World) -> None:
    await world.take(batch(1), batch(2), batch(3))
    await world.day_after()
    world.sink.hello(REF, [Span(OLD.epoch, Lane.BULK, 3, 4)])
    await world.take(batch(3), batch(4))
    assert await world.stored() == [1, 2, 3, 4] and world.gaps == []


async def test_a_gap_beyond_what_was_forgotten_is_one(world: World) -> None:
    await world.take(batch(1), batch(2), batch(3))
    await world.day_after()
    world.sink.hello(REF, [Span(OLD.epoch, Lane.BULK, 6, 6)])
    await world.take(batch(6))
    assert await world.stored() == [1, 2, 3, 6]
    assert [(gap.first, gap.last) for gap in world.gaps] == [(1, 5)]


async def test_a_stream_of_which_something_waits_is_not_forgotten(world: World) -> None:
    await world.take(batch(1))
    world.sink.push(batch(3))
    await world.day_after()
    assert world.sink.durable == {OLD: 1}
    await world.take(batch(2), batch(3))
    assert await world.stored() == [1, 2, 3]


async def test_a_stream_is_forgotten_again(world: World) -> None:
    await world.take(batch(1))
    for _ in range(2):
        await world.day_after()
        assert world.sink.durable == {}
        await world.take(batch(1), batch(2))
    assert await world.stored() == [1, 2]
