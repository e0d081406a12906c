"""What rules would have raised over a time that is past, beside what was raised then, whole and a page at a time. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from ingest.alerts.episode import AlertState, Episode, Key
from ingest.alerts.gate import FLOOD_WINDOW_US
from ingest.paging import Cursor

FLOOD = 10
"""Alerts within ten minutes that one person can still deal with (EEMUA 191)."""

TOP = 10
MISSED = "missed-"
MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
_CHINA = timezone(timedelta(hours=8))
_START = datetime(1970, 1, 1, tzinfo=UTC)

Keyed = tuple[Key, Episode]


class Compared(NamedTuple):
    """One alert that would have been raised; ``fired`` is the id of the one that was, or ``""``."""

    key: Key
    episode: Episode
    fired: str


class Line(NamedTuple):
    """An alert that would have been raised, or with ``would`` ``None`` one that was and would not have been, named by its id."""

    place: Cursor
    would: Compared | None


class Rehearsal(NamedTuple):
    """``readings`` were looked at. ``days`` counts by China's days, ``top`` by gateway and device, the most first. Of ``alerts``
    that would have been raised ``both`` were; ``fired`` is how many were raised at all. ``lines`` are in the order of their
    beginnings, each at a place of its own."""

    readings: int
    alerts: int
    both: int
    per_day: float
    days: Mapping[str, int]
    flood_minutes: int
    top: Sequence[tuple[str, int]]
    fired: int
    lines: Sequence[Line]


class Part(NamedTuple):
    """One page: ``missed`` are ids, ``more`` lines follow after it, and ``after`` is where they begin."""

    alerts: Sequence[Compared]
    missed: Sequence[str]
    more: int
    after: Cursor | None


def rehearsal(would: Iterable[Keyed], fired: Iterable[Keyed], start: int, end: int, readings: int) -> Rehearsal:
    """Of alerts that began from ``start`` until before ``end``, UTC microseconds."""
    found = sorted(would, key=lambda one: (one[1].alert.opened_at, one[0]))
    left: dict[Key, list[Episode]] = {}
    for key, episode in fired:
        if episode.alert.state is not AlertState.WITHDRAWN:
            left.setdefault(key, []).append(episode)
    total = sum(map(len, left.values()))
    compared = [Compared(key, episode, _taken(left.get(key, []), episode)) for key, episode in found]
    missed = [episode for ones in left.values() for episode in ones]
    instants: dict[str, list[int]] = {}
    for key, episode in found:
        instants.setdefault(key.community, []).append(episode.alert.opened_at)
    return Rehearsal(
        readings,
        len(found),
        total - len(missed),
        round(len(found) * DAY_US / max(end - start, 1), 2),
        dict(sorted(Counter(_day(episode.alert.opened_at) for _, episode in found).items())),
        sum(map(flood_minutes, instants.values())),
        Counter(f"{episode.alert.gateway}/{episode.alert.device}" for _, episode in found).most_common(TOP),
        total,
        sorted((*map(_would, compared), *map(_missed, missed)), key=lambda line: line.place),
    )


def part(found: Rehearsal, after: Cursor | None, limit: int) -> Part:
    """At most ``limit`` lines after a place, or the first ones."""
    begin = 0 if after is None else bisect_right(found.lines, after, key=lambda line: line.place)
    lines, more = found.lines[begin : begin + limit], max(0, len(found.lines) - begin - limit)
    return Part(
        [line.would for line in lines if line.would is not None],
        [line.place.id.removeprefix(MISSED) for line in lines if line.would is None],
        more,
        lines[-1].place if more else None,
    )


def flood_minutes(instants: Sequence[int]) -> int:
    """For how long more than ``FLOOD`` alerts lay within ten minutes, in minutes begun; ``instants`` in their order."""
    total, until = 0, 0
    for first, last in _floods(instants):
        total += max(0, last - max(first, until))
        until = max(until, last)
    return -(-total // MINUTE_US)


def _floods(instants: Sequence[int]) -> Iterator[tuple[int, int]]:
    for oldest, newest in zip(instants, instants[FLOOD:], strict=False):
        if newest - oldest < FLOOD_WINDOW_US:
            yield newest, oldest + FLOOD_WINDOW_US


def _would(one: Compared) -> Line:
    return Line(Cursor(one.episode.alert.opened_at, one.episode.alert.id), one)


def _missed(episode: Episode) -> Line:
    """What would have been raised at another subject may have begun at the same instant, or have the same id."""
    return Line(Cursor(episode.alert.opened_at, f"{MISSED}{episode.alert.id}"), None)


def _taken(left: list[Episode], episode: Episode) -> str:
    """The alert that was raised for the same, taken out of those of its key that are left; ``""``: there is none."""
    for one in left:
        if _share_time(one, episode):
            left.remove(one)
            return one.alert.id
    return ""


def _share_time(one: Episode, other: Episode) -> bool:
    first, second = sorted((one, other), key=lambda episode: episode.alert.opened_at)
    return first.over_at is None or first.over_at >= second.alert.opened_at


def _day(at: int) -> str:
    return (_START + timedelta(microseconds=at)).astimezone(_CHINA).date().isoformat()
