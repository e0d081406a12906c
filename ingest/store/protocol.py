"""What the centre asks of a telemetry store, whichever it is.

1. Durable: what ``write`` returned for survives a crash, with its watermark.
2. Once: what the watermark has seen is skipped, and what a crash cut in half may be written again without a trace.
3. Poison never blocks: a reading that the store will never take comes back as a ``Refusal``; the rest is stored.
4. Nothing is skipped by accident: an arrival beyond a gap is not taken, and the watermark says so.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from ingest.arrival import Arrival
from ingest.store.summary import Level, Summary
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind, Value
from telemetry.quality import Quality

WHOLE = "*"
"""The metric of a row that speaks of the whole reading, because the reading holds no value."""

MAX_ROWS = 50_000
"""No answer is longer than about this, whatever the limit of the query."""

HOUR_US = 3_600_000_000


class Refusal(NamedTuple):
    """One reading that the store will never take: ``body`` is its JSON. The rest of its batch is stored."""

    stream: Stream
    seq: int
    body: bytes
    reason: str


Aside = Callable[[Sequence[Refusal]], Awaitable[None]]
"""Makes refusals durable, or raises ``StoreUnavailable``."""


async def nowhere(refusals: Sequence[Refusal]) -> None:
    """For who makes them durable from what ``write`` returns, or does without."""


class Row(NamedTuple):
    """One metric of one reading. ``at`` is UTC microseconds.

    ``value`` is ``None`` where only a fault is known, and ``reason`` then says which; a reading without any value is one
    row of the metric ``"*"``. ``quality`` is of this metric.
    """

    community: str
    gateway: str
    device: str
    kind: Kind
    metric: str
    at: int
    value: Value | None
    quality: Quality
    reason: str = ""
    event_id: str | None = None


class Query(msgspec.Struct, frozen=True):
    """Which rows: ``communities`` are the prefixes of a scope (none: no rows), ``start`` <= at < ``end`` in microseconds.

    Rows come ordered by instant, then by device and metric. ``limit`` counts rows, but an instant is never split: all rows
    of the last one come, so that the next page is ``end=rows[-1].at`` (newest first) or ``start=rows[-1].at + 1``.
    """

    communities: tuple[str, ...]
    device: str | None = None
    kind: Kind | None = None
    metric: str | None = None
    start: int | None = None
    end: int | None = None
    limit: int = 1_000
    newest_first: bool = True
    gateway: str | None = None


class Limits(NamedTuple):
    """What a store cannot keep. ``resolution_us`` is its finest step of time; without ``text`` it keeps numbers only,
    to about 15 digits, and no event id or reason; not ``durable``: what it confirmed last may be lost when its machine fails;
    not ``deletes``: how long it keeps anything is a setting of its server, and ``drop_before`` does nothing. ``group`` is how
    many readings it is best given at once."""

    resolution_us: int = 1
    text: bool = True
    durable: bool = True
    deletes: bool = True
    group: int = 20_000

    @property
    def countable(self) -> bool:
        """Whether its readings can be counted one by one: where instants are rounded, two become one."""
        return self.resolution_us == 1


class Hour(NamedTuple):
    """One hour of one gateway; ``at`` is its first microsecond, UTC."""

    community: str
    gateway: str
    at: int


class PointStore(Protocol):
    """One process opens a store; all methods are of one event loop and none blocks it."""

    @property
    def limits(self) -> Limits: ...

    async def open(self) -> None:
        """Raises ``StoreUnavailable`` when it cannot be opened at all; a server that is down is tried again at each write."""

    async def close(self) -> None: ...

    async def write(self, arrivals: Sequence[Arrival], aside: Aside = nowhere) -> Sequence[Refusal]:
        """Stores the readings of ``arrivals`` that are new, in one step; durable when it returns.

        What it refuses is given to ``aside`` before the watermark moves past it, so that a crash cannot lose it; it may be
        given again. Raises ``StoreUnavailable`` (nothing has moved: write the same again later), or what ``aside`` raises.
        """

    def foresee(self, arrivals: Sequence[Arrival]) -> None:
        """Told, while a ``write`` is under way, what will probably be given to the next: a store may prepare it. Never raises."""

    async def watermarks(self) -> Mapping[Stream, int]:
        """The highest ``seq`` of each stream up to which everything is durable here."""

    async def read(self, query: Query) -> list[Row]:
        """Raises ``StoreUnavailable``, or ``IdentityInvalid`` for a malformed prefix."""

    async def advance(self, stream: Stream, seq: int) -> None:
        """Declares everything of ``stream`` up to ``seq`` settled without being stored: poison, tombstones, a known gap.

        Durable when it returns; never moves a watermark back.
        """

    async def forget(self, streams: Collection[Stream]) -> None:
        """Forgets the watermarks of ``streams``, durably: what came of them stays, and they are as new as any other.

        Raises ``StoreUnavailable`` (forget the same again later).
        """

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        """Stores those readings of ``arrivals`` that are not here, whatever the watermarks say, and moves no watermark.

        For what was acknowledged once and lost since: a reading that is here (same gateway, device and instant) stays, once.
        Durable when it returns. Raises ``StoreUnavailable`` (restore the same again later).
        """

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        """How many readings (not rows) are here, by gateway and hour; hours without any are left out.

        Two that different batches say of one device at one instant are two where both stand, and one where the later took the
        place of the other.
        Of the query count ``communities``, ``gateway``, ``start`` and ``end``, which must be given. Nothing where ``limits``
        say that readings are not countable. Raises ``StoreUnavailable``.
        """

    async def roll_up(self, level: Level, start: int, gateways: Collection[GatewayRef]) -> None:
        """Computes again the summaries of the window of ``level`` that begins at ``start``, of all devices of ``gateways``.

        Five minutes from readings, an hour from its windows of five minutes, as ``ingest.store.summary`` says. What is there
        already is overwritten; a series that says nothing in the window is left alone. Durable when it returns, and writes go
        on meanwhile. Raises ``StoreUnavailable`` (nothing is lost: do the same again later).
        """

    async def summaries(self, level: Level, query: Query) -> list[Summary]:
        """The summaries that ``query`` asks for, ``at`` being the start of a window; order and limit as of ``read``.

        ``level`` is not raw. Raises ``StoreUnavailable``, or ``IdentityInvalid`` for a malformed prefix.
        """

    async def drop_before(self, level: Level, at: int, kinds: Collection[Kind]) -> None:
        """Deletes what is older than ``at`` at one level, of ``kinds``; durable when it returns, and writes go on meanwhile.

        Only that level: summaries stay when their readings go. Raises ``StoreUnavailable`` (do the same again later).
        """
