"""When each unit of a bus is polled: at a fixed rate, without drift, and never twice for one slot.

1. A slot is ``anchor + n * interval``: a late poll does not shift the ones after it.
2. A slot that has passed is left out and counted; slots are never made up for in a bunch.
3. Units start spread over their interval, at a place that their id decides, so that a restart does not move them. Places
   stand on a grid: units that share one are polled one after the other in one awakening, which a small board feels.
4. All points of a unit that are due are polled together, and slow points stand on slots of its fastest ones; of several
   units the one polled longest ago comes first, so that a bus with too much to do is slow for all of them alike.
5. What a unit could not answer yet may be asked again between two slots, never in the place of one.

Pure: the caller says what time it is, in seconds of a monotonic clock.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

EARLY_S = 0.002
"""Slots this near are taken along: one poll, not two that follow each other."""


GRID_S = 0.05
"""What lies between two places. An idle core that wakes has cold caches: a poll that follows another costs half of one alone."""


class Turn(NamedTuple):
    """A unit to poll now. ``lateness_s`` is of its oldest slot; ``missed`` slots of its points were left out.

    ``tries``: how often these points were put off before.
    """

    device: str
    points: tuple[str, ...]
    lateness_s: float
    missed: int
    tries: int = 0


class _Again(NamedTuple):
    """Points put off until ``at``."""

    at: float
    points: tuple[str, ...]
    tries: int


class _Group:
    """Points of one unit with one interval."""

    def __init__(self, points: tuple[str, ...], interval_s: float, anchor: float) -> None:
        self.points = points
        self.interval_s = interval_s
        self.anchor = anchor
        self.n = 0

    @property
    def due(self) -> float:
        return self.anchor + self.n * self.interval_s

    def advance(self, now: float) -> int:
        """Goes on to the first slot after ``now``; how many slots in between are left out."""
        following = max(self.n + 1, math.floor((now + EARLY_S - self.anchor) / self.interval_s) + 1)
        missed = following - self.n - 1
        self.n = following
        return missed


def stagger(device: str, interval_s: float) -> float:
    """Where in its interval a unit stands, in seconds; decided by its id alone."""
    place = zlib.crc32(device.encode()) / (1 << 32) * interval_s
    return math.floor(place / GRID_S) * GRID_S if interval_s >= 10 * GRID_S else place


def anchor(device: str, interval_s: float, fastest_s: float) -> float:
    """Where the first slot of points stands, seconds from the start: on a slot of the unit's fastest ones, where they can."""
    return stagger(device, fastest_s) + math.floor(stagger(device, interval_s) / fastest_s) * fastest_s


def by_interval(intervals: Mapping[str, float]) -> dict[float, tuple[str, ...]]:
    """Points grouped by how often they are wanted, seconds."""
    groups: dict[float, list[str]] = {}
    for point, interval_s in intervals.items():
        groups.setdefault(interval_s, []).append(point)
    return {interval_s: tuple(points) for interval_s, points in sorted(groups.items())}


class Timetable:
    """The slots of one bus."""

    def __init__(self) -> None:
        self._units: dict[str, list[_Group]] = {}
        self._again: dict[str, _Again] = {}
        self._due: dict[str, float] = {}
        self._taken: dict[str, float] = {}

    def add(self, device: str, intervals: Mapping[str, float], now: float) -> None:
        """Takes a unit in, or replaces what was known of it. ``intervals``: seconds by point."""
        self.remove(device)
        groups = by_interval(intervals)
        fastest_s = min(groups, default=0.0)
        self._units[device] = [
            _Group(points, interval_s, now + anchor(device, interval_s, fastest_s)) for interval_s, points in groups.items()
        ]
        self._note(device)

    def remove(self, device: str) -> None:
        for known in (self._units, self._again, self._due, self._taken):
            known.pop(device, None)

    def put_off(self, turn: Turn, points: Iterable[str], at: float) -> bool:
        """Asks ``points`` of a turn once more at ``at``; false, and nothing changes, when one has a slot before."""
        again = _Again(at, tuple(points), turn.tries + 1)
        groups = (group for group in self._units[turn.device] if not set(group.points).isdisjoint(again.points))
        if any(group.due <= at + EARLY_S for group in groups):
            return False
        self._again[turn.device] = again
        self._note(turn.device)
        return True

    def next_at(self) -> float | None:
        """The instant of the next slot; it may have passed."""
        due = min(self._due.values(), default=math.inf)
        return None if due == math.inf else due

    def take(self, now: float) -> Turn | None:
        """Of the units that are due the one polled longest ago, with all its points that are due; ``None`` when none is."""
        soon = now + EARLY_S
        if min(self._due.values(), default=math.inf) > soon:
            return None
        device = min((device for device, due in self._due.items() if due <= soon), key=self._order)
        self._taken[device] = now
        due = [group for group in self._units[device] if group.due <= soon]
        lateness_s = max(0.0, now - min((group.due for group in due), default=now))
        missed = sum(group.advance(now) for group in due)
        points = tuple(point for group in due for point in group.points)
        again, tries = self._again.get(device), 0
        if again is not None and again.at <= soon:
            del self._again[device]
            points, tries = tuple(dict.fromkeys((*again.points, *points))), again.tries
        self._note(device)
        return Turn(device, points, lateness_s, missed, tries)

    def _note(self, device: str) -> None:
        due = min((group.due for group in self._units[device]), default=math.inf)
        again = self._again.get(device)
        self._due[device] = due if again is None else min(due, again.at)

    def _order(self, device: str) -> tuple[float, float]:
        return self._taken.get(device, -math.inf), self._due[device]
