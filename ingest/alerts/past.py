"""What devices said, read back from the telemetry store as the rules would hear it: in order, whole, and so much at most."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from ingest.alerts.review import Course, Heard, Review, Step
from ingest.store import PointStore, Query, Row
from telemetry.errors import TooMuch
from telemetry.identity import GatewayRef
from telemetry.metric import Kind, Value
from telemetry.quality import Quality, worst
from telemetry.reading import Micros, Reading

PAGE = 10_000
"""Rows asked for at once: other questions and the writing go on in between."""

MAX_BACK_US = 7 * 24 * 3_600_000_000
"""How far before late readings the past is looked at again at most."""

AHEAD_US = 3_600_000_000
"""How far ahead of the wall's clock a device's may be."""

PORTION = 500
YIELD_S = 0.002


class Asked(NamedTuple):
    """Whose readings, from ``start`` until before ``end``, UTC microseconds; of each all that it told, or one ``metric``.
    ``most_rows`` of the store's rows may be read."""

    communities: tuple[str, ...]
    start: int
    end: int
    gateway: str | None = None
    device: str | None = None
    kind: Kind | None = None
    most_rows: int = 200_000
    metric: str | None = None


class Past:
    """``kept_from`` is the first instant of which readings of a kind are still kept."""

    def __init__(self, store: PointStore, kept_from: Callable[[Kind], int]) -> None:
        self._store = store
        self._kept_from = kept_from

    @property
    def is_exact(self) -> bool:
        """Whether the store gives back what was said, every instant and text of it."""
        return self._store.limits.text and self._store.limits.countable

    def is_kept(self, kind: Kind, at: int) -> bool:
        return at >= self._kept_from(kind)

    async def readings(self, asked: Asked) -> AsyncIterator[list[Heard]]:
        """A page after the other, in the order of their instants. Raises ``StoreUnavailable``, and ``TooMuch`` past the limit."""
        start, left = asked.start, asked.most_rows
        while asked.communities:
            rows = await self._store.read(_query(asked, start, asked.end, PAGE, newest_first=False, metric=asked.metric))
            left -= len(rows)
            if left < 0:
                raise TooMuch(f"more than {asked.most_rows} values were said in that time")
            if rows:
                yield list(heard(rows))
            if len(rows) < PAGE:
                return
            start = rows[-1].at + 1

    async def last_words(self, ref: GatewayRef, device: str, metrics: Iterable[str], before: int) -> list[Heard]:
        """The newest readings before an instant that told each of ``metrics``, oldest first."""
        asked = Asked((ref.community,), 0, before, ref.gateway, device)
        instants: set[int] = set()
        for metric in sorted(metrics):
            rows = await self._store.read(_query(asked, None, before, 1, newest_first=True, metric=metric))
            instants |= {row.at for row in rows}
        found: list[Heard] = []
        for at in sorted(instants):
            found += heard(await self._store.read(_query(asked, at, at + 1, PAGE, newest_first=False)))
        return found


async def at_leisure(review: Review, heard: Sequence[Heard]) -> AsyncIterator[tuple[Course, Step]]:
    """Reviews what was heard in portions, and lets others go on in between."""
    for place in range(0, len(heard), PORTION):
        for one in heard[place : place + PORTION]:
            for step in review.hear(one):
                yield step
        await asyncio.sleep(YIELD_S)


def _query(asked: Asked, start: int | None, end: int, limit: int, *, newest_first: bool, metric: str | None = None) -> Query:
    return Query(
        asked.communities, asked.device, asked.kind, metric, start, end, limit, newest_first=newest_first, gateway=asked.gateway
    )


def heard(rows: Sequence[Row]) -> Iterator[Heard]:
    """Readings of rows that are in the order of their instants."""
    for (at, community, gateway, device, kind), told in groupby(rows, _of):
        yield Heard(GatewayRef(community, gateway), _reading(at, device, kind, list(told)))


def _of(row: Row) -> tuple[int, str, str, str, Kind]:
    return row.at, row.community, row.gateway, row.device, row.kind


def _reading(at: int, device: str, kind: Kind, rows: Sequence[Row]) -> Reading:
    """The quality of the whole is that of the metrics without a fault of their own; without any, that of the worst."""
    values: dict[str, Value] = {row.metric: row.value for row in rows if row.value is not None}
    faults = {row.metric: f"{row.quality}: {row.reason}" for row in rows if row.reason}
    plain = [row.quality for row in rows if not row.reason]
    quality = min(plain, key=tuple(Quality).index) if plain else worst(*(row.quality for row in rows))
    event_id = next((row.event_id for row in rows if row.event_id), None)
    return Reading(
        device=device, kind=kind, at=Micros(at), values=values, quality=quality, faults=faults or None, event_id=event_id
    )
