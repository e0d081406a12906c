"""Gathers what an audit compares, while readings go on coming in.

The two stores are never stopped for it. The tally is read; what it had counted by then is given ``SETTLE_S`` to reach the
telemetry store; that is counted, and is given as long to reach the tally, which is read again. A number between the two
is right; what is outside is missing or too much.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest import letterbox, tally
from ingest.audit import Audit, Evidence, Pending, compare, count_only
from ingest.database import Database
from ingest.gaps import Gaps
from ingest.registry import Registry
from ingest.store import HOUR_US, Hour, PointStore, Query
from ingest.tally import Certificate, Taken
from telemetry.identity import GatewayRef, Scope, Stream

SETTLE_S = 3.0
_LOOK_S = 0.05

Marks = Mapping[Stream, int]


class Asked(NamedTuple):
    """Whole hours from ``start`` to ``end``, UTC microseconds; one gateway, or all of the scope."""

    scope: Scope
    gateway: str | None
    start: int
    end: int


def whole_hours(scope: Scope, gateway: str | None, start: int, end: int) -> Asked:
    """The hours that [start, end) touches: the tally knows nothing finer."""
    return Asked(scope, gateway, start // HOUR_US * HOUR_US, -(-end // HOUR_US) * HOUR_US)


class Auditor:
    """``judged`` says the watermarks of the alert transaction, in which the tally is kept; the store keeps everything from
    ``kept_from`` on, UTC microseconds."""

    def __init__(
        self,
        database: Database,
        store: PointStore,
        registry: Registry,
        judged: Callable[[], Awaitable[Marks]],
        kept_from: Callable[[], int] = lambda: 0,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._database = database
        self._store = store
        self._registry = registry
        self._gaps = Gaps(database)
        self._judged = judged
        self._kept_from = kept_from
        self._settle_s = settle_s

    async def audit(self, asked: Asked) -> Audit:
        """Raises ``StoreUnavailable`` when one of the two sides does not answer."""
        countable = self._store.limits.countable
        before = await self._taken(asked)
        behind = await self._until(self._store.watermarks, await self._judged(), asked)
        stored = await self._store.counts(_query(asked)) if countable else {}
        behind |= await self._until(self._judged, await self._store.watermarks(), asked)
        after = await self._taken(asked)
        short = {GatewayRef(*hour[:2]) for hour, taken in before.items() if taken.readings > stored.get(hour, 0)}
        evidence = Evidence(
            before,
            stored,
            after,
            await self._database.read(lambda c: tally.certificates(c, *asked)),
            await self._refused(short) if countable and short else {},
            [row for row in await self._gaps.between(asked.scope.prefixes, asked.start, _FOREVER) if _of(row.gap.stream, asked)],
            frozenset(behind),
            self._kept_from(),
        )
        audit = compare(evidence) if countable else count_only(evidence)
        return Audit(audit.accepted, audit.stored, audit.findings, tuple(await self.pending(asked.scope, asked.gateway)))

    async def pending(self, scope: Scope, gateway: str | None) -> Sequence[Pending]:
        """What gateways had by their last word that is not durable here. Raises ``StoreUnavailable``."""
        marks = (await self._judged(), await self._store.watermarks())
        found = []
        for ref, (said_at, state) in self._registry.states(scope).items():
            batches = 0
            for span in state.hello:
                durable = min(each.get(Stream(*ref, span.epoch, span.lane), 0) for each in marks)
                batches += max(0, span.last - max(span.first - 1, durable))
            if batches and gateway in (None, ref.gateway):
                found.append(Pending(ref, batches, said_at))
        return found

    async def losses(self, ref: GatewayRef, device: str | None, most: int) -> list[Certificate]:
        """The latest that a gateway certified as lost, of one device or of all."""
        return await self._database.read(lambda connection: tally.newest_certificates(connection, ref, device, most))

    async def knows(self, asked: Asked) -> bool:
        """Whether the gateway that is asked for is of the scope."""
        if asked.gateway is None or any(seen.ref.gateway == asked.gateway for seen in self._registry.gateways(asked.scope)):
            return True
        return bool(await self._taken(asked))

    async def _taken(self, asked: Asked) -> dict[Hour, Taken]:
        return await self._database.read(lambda connection: tally.hours(connection, *asked))

    async def _refused(self, refs: set[GatewayRef]) -> Counter[Hour]:
        def look(connection: sa.Connection) -> Counter[Hour]:
            return sum((letterbox.sound_by_hour(connection, ref) for ref in sorted(refs)), Counter())

        return await self._database.read(look)

    async def _until(self, marks: Callable[[], Awaitable[Marks]], goal: Marks, asked: Asked) -> set[GatewayRef]:
        """Waits until a store has reached what of ``goal`` it can reach; the gateways of which it had not in time."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._settle_s
        held = self._held(asked)
        while True:
            reached = await marks()
            late = [stream for stream, seq in goal.items() if _of(stream, asked) and reached.get(stream, 0) < seq]
            behind = {stream.ref for stream in late if held(stream, reached.get(stream, 0) + 1)}
            if not behind or loop.time() >= give_up:
                return behind
            await asyncio.sleep(_LOOK_S)

    def _held(self, asked: Asked) -> Callable[[Stream, int], bool]:
        """Whether a gateway still has a batch to send: its hello names every epoch of which it has any, and the current one."""
        known = self._registry.states(asked.scope)
        firsts = {Stream(*ref, span.epoch, span.lane): span.first for ref, (_, state) in known.items() for span in state.hello}
        return lambda stream, seq: firsts.get(stream, seq + 1) <= seq if stream.ref in known else True


_FOREVER = (1 << 63) - 1


def _query(asked: Asked) -> Query:
    return Query(communities=asked.scope.prefixes, gateway=asked.gateway, start=asked.start, end=asked.end)


def _of(stream: Stream, asked: Asked) -> bool:
    return asked.scope.covers(stream.community) and asked.gateway in (None, stream.gateway)
