"""A telemetry store that remembers what is to be thinned after each write to it."""

from collections.abc import Collection, Mapping, Sequence

from ingest.arrival import Arrival
from ingest.history.present import Present
from ingest.history.stale import StaleWindows
from ingest.store import Aside, Hour, Level, Limits, PointStore, Query, Refusal, Row, Summary, nowhere
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind


class NotingStore:
    """The ``PointStore`` behind it, with every window that is written to noted in ``stale`` first."""

    def __init__(self, store: PointStore, stale: StaleWindows, present: Present) -> None:
        self._store = store
        self._stale = stale
        self._present = present

    @property
    def limits(self) -> Limits:
        return self._store.limits

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def write(self, arrivals: Sequence[Arrival], aside: Aside = nowhere) -> Sequence[Refusal]:
        async with self._stale.noted(arrivals):
            refusals = await self._store.write(arrivals, aside)
        self._present.learn(arrivals)
        return refusals

    def foresee(self, arrivals: Sequence[Arrival]) -> None:
        self._store.foresee(arrivals)

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        async with self._stale.noted(arrivals):
            return await self._store.restore(arrivals)

    async def watermarks(self) -> Mapping[Stream, int]:
        return await self._store.watermarks()

    async def advance(self, stream: Stream, seq: int) -> None:
        await self._store.advance(stream, seq)

    async def forget(self, streams: Collection[Stream]) -> None:
        await self._store.forget(streams)

    async def read(self, query: Query) -> list[Row]:
        return await self._store.read(query)

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        return await self._store.counts(query)

    async def roll_up(self, level: Level, start: int, gateways: Collection[GatewayRef]) -> None:
        await self._store.roll_up(level, start, gateways)

    async def summaries(self, level: Level, query: Query) -> list[Summary]:
        return await self._store.summaries(level, query)

    async def drop_before(self, level: Level, at: int, kinds: Collection[Kind]) -> None:
        await self._store.drop_before(level, at, kinds)
