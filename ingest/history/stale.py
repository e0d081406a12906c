"""Which windows hold readings that their summaries do not know yet.

1. A window is known to be stale, durably, before the first of these readings is stored, and stays so until summaries that
   were computed after the last of them are durable. A crash anywhere computes too often, never too rarely.
2. Coalesced: however many batches fall into a window of a gateway, it stands here once and is computed when they have ceased.
3. Bounded: ``MAX_OF_GATEWAY`` windows a gateway; nothing is noted that lies a day or more in the future, or is past keeping.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.arrival import Arrival
from ingest.database import Database, insert_new, metadata
from ingest.store import Level
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Micros

log = structlog.get_logger()

SETTLE_US = 30_000_000
"""Live batches are up to ten seconds old; a window is computed this long after it ended and its last batch came."""

PATIENCE_US = 600_000_000
"""A window into which batches keep falling is computed this often all the same."""

DAY_US = 86_400_000_000
MAX_OF_GATEWAY = 20_000
MAX_GATEWAYS = 200
"""Gateways computed in one step: a city's window of five minutes takes a dozen steps."""

table = sa.Table(
    "stale_window",
    metadata,
    sa.Column("level", sa.String(4), primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
)


class Window(NamedTuple):
    level: Level
    start: int

    @property
    def end(self) -> int:
        return self.start + self.level.width_us


class Note(NamedTuple):
    """When batches first and last fell into a window of one gateway, by the centre's clock."""

    first: Micros
    last: Micros

    def is_quiet(self, now: int) -> bool:
        return now >= self.last + SETTLE_US or now >= self.first + PATIENCE_US


class Due(NamedTuple):
    """A window to compute now, of these gateways, and what was known of each when it was taken."""

    window: Window
    notes: Mapping[GatewayRef, Note]


Place = tuple[Window, GatewayRef]


class StaleWindows:
    """The windows to compute. ``kept_from`` is the first instant at which readings of a kind are still kept."""

    def __init__(self, database: Database, clock: Callable[[], Micros], kept_from: Callable[[Kind], int]) -> None:
        self._database = database
        self._clock = clock
        self._kept_from = kept_from
        self._stale: dict[Window, dict[GatewayRef, Note]] = {}
        self._sizes: Counter[GatewayRef] = Counter()
        self._held: Counter[Place] = Counter()
        self._changing = asyncio.Lock()
        self._full: set[GatewayRef] = set()

    async def open(self) -> None:
        """Recalls what was stale when the centre ended. Raises ``StoreUnavailable``."""
        rows = await self._database.read(lambda connection: connection.execute(sa.select(table)).fetchall())
        for row in rows:
            self._put((Window(Level(row.level), row.start), GatewayRef(row.community, row.gateway)), Micros(0))

    @asynccontextmanager
    async def noted(self, arrivals: Sequence[Arrival]) -> AsyncIterator[None]:
        """Around the storing of ``arrivals``: their windows are stale, and none of them is computed meanwhile.

        Raises ``StoreUnavailable`` before anything is stored.
        """
        now = self._clock()
        touched = self._touched(arrivals, now)
        self._held.update(touched)
        try:
            async with self._changing:
                await self._remember(touched)
                for place in touched:
                    self._put(place, now)
            yield
        finally:
            for place in touched:
                self._held[place] -= 1
                if not self._held[place]:
                    del self._held[place]

    def due(self) -> Due | None:
        """What is to be computed now: the newest window first, so that the present does not wait for the past."""
        now = self._clock()
        for window in sorted(self._stale, key=lambda window: window.end, reverse=True):
            if now < window.end + SETTLE_US:
                continue
            notes: dict[GatewayRef, Note] = {}
            for ref, note in self._stale[window].items():
                if note.is_quiet(now) and (window, ref) not in self._held:
                    notes[ref] = note
                    if len(notes) == MAX_GATEWAYS:
                        break
            if notes:
                return Due(window, notes)
        return None

    async def settled(self, due: Due) -> None:
        """The summaries of ``due`` are durable. Of five minutes, the hour is stale now. Raises ``StoreUnavailable``."""
        window = due.window
        hour = Window(Level.HOUR, Level.HOUR.start(window.start))
        async with self._changing:
            held = self._stale.get(window, {})
            done = [ref for ref, note in due.notes.items() if held.get(ref) is note]
            wider = [(hour, ref) for ref in done] if window.level is Level.FIVE_MINUTES else []
            await self._database.write(lambda connection: _replace(connection, [(window, ref) for ref in done], wider))
            for ref in done:
                self._remove((window, ref))
            for place in wider:
                self._put(place, self._clock())

    def oldest(self) -> int | None:
        """The start of the oldest window that is stale."""
        return min((window.start for window in self._stale), default=None)

    def __len__(self) -> int:
        return sum(map(len, self._stale.values()))

    def _touched(self, arrivals: Iterable[Arrival], now: int) -> set[Place]:
        width, bounds = Level.FIVE_MINUTES.width_us, {kind: self._kept_from(kind) for kind in Kind}
        places: set[Place] = set()
        surely = max(bounds.values()), now + DAY_US
        for arrival in arrivals:
            starts = _window_of_all(arrival, width, *surely)
            if starts is None:
                starts = {one.at // width for one in arrival.readings if bounds[one.kind] <= one.at < surely[1]}
            places.update((Window(Level.FIVE_MINUTES, start * width), arrival.stream.ref) for start in starts)
        return {place for place in places if self._has_room(place)}

    def _has_room(self, place: Place) -> bool:
        window, ref = place
        if self._sizes[ref] < MAX_OF_GATEWAY or ref in self._stale.get(window, ()):
            return True
        if ref not in self._full:
            self._full.add(ref)
            log.warning("a gateway speaks of too many times at once; what it adds is not thinned", gateway=str(ref))
        return False

    async def _remember(self, touched: Collection[Place]) -> None:
        new = [(window, ref) for window, ref in touched if ref not in self._stale.get(window, ())]
        if new:
            await self._database.write(lambda connection: _replace(connection, [], new))

    def _put(self, place: Place, now: Micros) -> None:
        window, ref = place
        known = self._stale.setdefault(window, {})
        if ref not in known:
            self._sizes[ref] += 1
        known[ref] = Note(known[ref].first if ref in known else now, now)

    def _remove(self, place: Place) -> None:
        window, ref = place
        del self._stale[window][ref]
        if not self._stale[window]:
            del self._stale[window]
        self._sizes[ref] -= 1
        if not self._sizes[ref]:
            del self._sizes[ref]
            self._full.discard(ref)


def _window_of_all(arrival: Arrival, width: int, start: int, end: int) -> set[int] | None:
    """The number of the one window of all readings, as of most batches; ``None`` when it takes a closer look."""
    reach = arrival.reach
    if reach is None or reach[0] < start or reach[1] >= end:
        return None
    first, last = (at // width for at in reach)
    return {first} if first == last else None


def _replace(connection: sa.Connection, done: Sequence[Place], new: Sequence[Place]) -> None:
    if done:
        mine = sa.and_(*(column == sa.bindparam(f"its_{column.name}") for column in table.columns))
        connection.execute(
            table.delete().where(mine), [{f"its_{name}": value for name, value in _row(one).items()} for one in done]
        )
    insert_new(connection, table, [_row(place) for place in new])


def _row(place: Place) -> dict[str, object]:
    window, ref = place
    return {"level": window.level.value, "start": window.start, "community": ref.community, "gateway": ref.gateway}
