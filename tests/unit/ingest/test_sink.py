"""A sink's promises: never ahead of what was confirmed, bounded, in order, and patient with a store that is down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from ingest import sink as module
from ingest import waiting
from ingest.arrival import Arrival
from ingest.sequencer import UNKNOWN, Gap, Verdict
from ingest.sink import Sink
from ingest.waiting import OVERHEAD
from telemetry.batch import Lane
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Span
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
REF = GatewayRef("411202002001", "gw-test")
EPOCH = "0123456789abcdef"
STREAM = Stream(*REF, EPOCH, Lane.BULK)
READING = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0, values={"voltage": 230.0})


class Store:
    """Remembers what it was told to do; refuses while it is down, and holds a write while ``gate`` is closed."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.confirmed: list[Stream] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, arrivals: Sequence[Arrival]) -> None:
        await self.gate.wait()
        if self.down:
            raise StoreUnavailable("switched off")
        self.told.append([arrival.seq for arrival in arrivals])

    async def settle(self, gap: Gap) -> None:
        self.told.append((gap.reason, gap.last))


def arrival(seq: int, readings: int = 1) -> Arrival:
    return Arrival(STREAM, seq, (READING,) * readings, T0)


def sink_of(store: Store, known: int = 0) -> Sink:
    marks = {STREAM: known} if known else {}
    return Sink("points", store.write, store.settle, marks, store.confirmed.extend)


@contextlib.asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[None]:
    task = asyncio.create_task(sink.run())
    try:
        async with asyncio.timeout(5):
            yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(sink: Sink, seq: int) -> None:
    while sink.durable.get(STREAM, 0) < seq:
        await asyncio.sleep(0)


async def test_durable_follows_the_store_and_never_runs_ahead() -> None:
    store = Store()
    store.gate.clear()
    sink = sink_of(store)
    async with running(sink):
        sink.push(arrival(1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert sink.durable == {}
        store.gate.set()
        await until(sink, 1)
    assert store.confirmed == [STREAM]


async def test_what_waits_is_written_together_and_in_order() -> None:
    store = Store()
    sink = sink_of(store)
    for seq in (3, 1, 2, 2):
        sink.push(arrival(seq))
    async with running(sink):
        await until(sink, 3)
    assert store.told == [[1, 2, 3]]


async def test_a_group_is_bounded() -> None:
    store = Store()
    sink = Sink("points", store.write, store.settle, {}, store.confirmed.extend, group=10)
    for seq in range(1, 6):
        sink.push(arrival(seq, readings=4))
    async with running(sink):
        await until(sink, 5)
    assert store.told == [[1, 2], [3, 4], [5]]


async def test_the_next_group_is_told_while_one_is_written() -> None:
    store, foreseen = Store(), list[list[int]]()
    store.gate.clear()
    told = lambda arrivals: foreseen.append([one.seq for one in arrivals])  # noqa: E731
    sink = Sink("points", store.write, store.settle, {}, store.confirmed.extend, group=10, foresee=told)
    for seq in (1, 2, 3):
        sink.push(arrival(seq, readings=4))
    async with running(sink):
        for _ in range(10):
            await asyncio.sleep(0)
        assert foreseen == []  # what waits is no whole group
        sink.push(arrival(4, readings=4))
        assert foreseen == [[3, 4]]
        store.gate.set()
        await until(sink, 4)
    assert store.told == [[1, 2], [3, 4]]


async def test_a_store_that_is_down_keeps_what_waits_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF_S", (0.001, 0.01))
    store = Store()
    store.down = True
    sink = sink_of(store)
    sink.push(arrival(1))
    async with running(sink):
        while sink.errors < 3:
            await asyncio.sleep(0)
        assert (sink.failing, sink.durable) == ("switched off", {})
        store.down = False
        await until(sink, 1)
    assert (sink.failing, store.told) == ("", [[1]])


async def test_past_its_capacity_it_takes_nothing_and_takes_it_when_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CAPACITY", 2 * (OVERHEAD + 1_000))
    store = Store()
    sink = sink_of(store)
    verdicts = [sink.push(arrival(seq)._replace(size=1_000)) for seq in (1, 2, 3)]
    assert verdicts == [Verdict.NEW, Verdict.NEW, Verdict.DROPPED]
    async with running(sink):
        await until(sink, 2)
        assert sink.push(arrival(3)) is Verdict.NEW
        await until(sink, 3)
    assert store.told == [[1, 2], [3]]


async def test_a_gap_is_settled_in_its_turn_and_what_follows_is_stored() -> None:
    store = Store()
    sink = sink_of(store)
    sink.push(arrival(1))
    sink.push(arrival(9))
    (gap,) = sink.hello(REF, [Span(EPOCH, Lane.BULK, 9, 9)])
    assert (gap.first, gap.last) == (2, 8)
    async with running(sink):
        await until(sink, 9)
    assert store.told == [[1], (UNKNOWN, 8), [9]]


async def test_what_its_gateway_holds_no_more_is_settled_when_a_later_batch_proves_it() -> None:
    store = Store()
    sink = sink_of(store)
    assert sink.hello(REF, [Span(EPOCH, Lane.BULK, 9, 10)]) == []
    sink.push(arrival(9))
    async with running(sink):
        await until(sink, 9)
    assert store.told == [(UNKNOWN, 8), [9]]


async def test_it_begins_at_its_watermark() -> None:
    sink = sink_of(Store(), known=7)
    assert sink.durable == {STREAM: 7}
    assert sink.push(arrival(7)) is Verdict.DUPLICATE
    assert sink.push(arrival(8)) is Verdict.NEW
