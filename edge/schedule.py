"""When each unit of a bus is polled: at a fixed rate, without drift, and never twice for one slot.

1. A slot is ``anchor + n * interval``: a late poll does not shift the ones after it.
2. A slot that has passed is left out and counted; slots are never made up for in a bunch.
3. Units start spread over their interval, at a place that their id decides, so that a restart does not move them.
4. All points of a unit that are due are polled together; of several units the one that waits longest comes first.

Pure: the caller says what time it is, in seconds of a monotonic clock.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

EARLY_S = 0.002
"""Slots this near are taken along: one poll, not two that follow each other."""


class Turn(NamedTuple):
    """A unit to poll now. ``lateness_s`` is of its oldest slot; ``missed`` slots of its points were left out."""

    device: str
    points: tuple[str, ...]
    lateness_s: float
    missed: int


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
    return zlib.crc32(device.encode()) / (1 << 32) * interval_s


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

    def add(self, device: str, intervals: Mapping[str, float], now: float) -> None:
        """Takes a unit in, or replaces what was known of it. ``intervals``: seconds by point."""
        self._units[device] = [
            _Group(points, interval_s, now + stagger(device, interval_s)) for interval_s, points in by_interval(intervals).items()
        ]

    def remove(self, device: str) -> None:
        self._units.pop(device, None)

    def next_at(self) -> float | None:
        """The instant of the next slot; it may have passed."""
        return min((group.due for group in self._groups()), default=None)

    def take(self, now: float) -> Turn | None:
        """The unit that has waited longest, with all its points that are due; ``None`` when nothing is due."""
        device = min(self._units, key=self._due_of, default=None)
        if device is None or self._due_of(device) > now + EARLY_S:
            return None
        due = [group for group in self._units[device] if group.due <= now + EARLY_S]
        lateness_s = max(0.0, now - min(group.due for group in due))
        missed = sum(group.advance(now) for group in due)
        return Turn(device, tuple(point for group in due for point in group.points), lateness_s, missed)

    def _due_of(self, device: str) -> float:
        return min((group.due for group in self._units[device]), default=math.inf)

    def _groups(self) -> Iterable[_Group]:
        return (group for groups in self._units.values() for group in groups)
