"""What rules would have raised over a time that is past, beside what was raised then. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from ingest.alerts.episode import AlertState, Episode, Key
from ingest.alerts.gate import FLOOD_WINDOW_US

FLOOD = 10
"""Alerts within ten minutes that one person can still deal with (EEMUA 191)."""

TOP = 10
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


class Rehearsal(NamedTuple):
    """``readings`` were looked at. ``days`` counts by China's days, ``top`` by gateway and device, the most first. ``missed``:
    ids of alerts that were raised and would not have been."""

    readings: int
    alerts: Sequence[Compared]
    per_day: float
    days: Mapping[str, int]
    flood_minutes: int
    top: Sequence[tuple[str, int]]
    fired: int
    missed: Sequence[str]


def rehearsal(would: Iterable[Keyed], fired: Iterable[Keyed], start: int, end: int, readings: int) -> Rehearsal:
    """Of alerts that began from ``start`` until before ``end``, UTC microseconds."""
    found = sorted(would, key=lambda one: (one[1].alert.opened_at, one[0]))
    left = [one for one in fired if one[1].alert.state is not AlertState.WITHDRAWN]
    total = len(left)
    compared = [Compared(key, episode, _taken(left, key, episode)) for key, episode in found]
    days = Counter(_day(episode.alert.opened_at) for _, episode in found)
    top = Counter(f"{episode.alert.gateway}/{episode.alert.device}" for _, episode in found).most_common(TOP)
    instants: dict[str, list[int]] = {}
    for key, episode in found:
        instants.setdefault(key.community, []).append(episode.alert.opened_at)
    return Rehearsal(
        readings,
        compared,
        round(len(found) * DAY_US / max(end - start, 1), 2),
        dict(sorted(days.items())),
        sum(map(flood_minutes, instants.values())),
        top,
        total,
        [episode.alert.id for _, episode in left],
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


def _taken(left: list[Keyed], key: Key, episode: Episode) -> str:
    """The alert that was raised for the same, taken out of those that are left."""
    for one in left:
        other = one[1]
        if one[0] == key and _share_time(other, episode):
            left.remove(one)
            return other.alert.id
    return ""


def _share_time(one: Episode, other: Episode) -> bool:
    first, second = sorted((one, other), key=lambda episode: episode.alert.opened_at)
    return first.over_at is None or first.over_at >= second.alert.opened_at


def _day(at: int) -> str:
    return (_START + timedelta(microseconds=at)).astimezone(_CHINA).date().isoformat()
