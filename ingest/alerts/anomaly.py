"""What is unusual for this device: against its own past, its own hours, its own mean, or its siblings of the moment.

1. Nothing is judged before enough was learnt.
2. Nothing is learnt while the alert stands: a fault must not become the usual.
3. A spread is never less than ``floor``, the smallest difference that means anything: quantised values have none of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from msgspec.structs import replace

from ingest.alerts.machine import Sample
from ingest.alerts.memory import Drifting, Point, Seasons, Siblings, Usual
from ingest.alerts.schedule import HOUR_US
from ingest.alerts.sense import Shown
from ingest.calendar import Calendar

MAX_SLOTS = 64
MIN_SLOTS = 16
MAX_SAME_HOURS = 20
MIN_SAME_HOURS = 5
MAX_SIBLINGS = 64
MIN_SIBLINGS = 3
SIBLING_US = 2 * HOUR_US
"""What a sibling said longer ago than this says nothing of now."""

CLIP = 4.0
"""A single value counts for no more deviations than these: one misreading is no drift."""

NORMAL = 0.6745
"""The median deviation of a normal spread, in standard deviations."""

Side = Literal["above", "below", "either"]


def strays(by: float, side: Side) -> float:
    """How far a difference goes to the side that counts."""
    return abs(by) if side == "either" else by if side == "above" else -by


def centre_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Median, and the median distance from it as a standard deviation."""
    middle = median(values)
    return middle, median(abs(value - middle) for value in values) / NORMAL


@dataclass(frozen=True)
class Spread:
    """Robust z: more than ``limit`` usual spreads from the median of the past ``window_us``."""

    metric: str
    limit: float
    floor: float
    window_us: int
    side: Side

    initial = Usual()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Usual, sample: Sample, raised: bool) -> Usual:
        value = sample.values.get(self.metric)
        if value is None or isinstance(value, str):
            return memory
        value, slot = float(value), max(self.window_us // MAX_SLOTS, 1)
        is_new_slot = not memory.points or sample.at // slot != memory.points[-1].at // slot
        if raised or not is_new_slot or self._strays(memory, value) >= self.limit:
            return replace(memory, value=value)
        points = (*(one for one in memory.points if one.at > sample.at - self.window_us), Point(sample.at, value))[-MAX_SLOTS:]
        middle, spread = centre_and_spread([one.value for one in points])
        return Usual(points, middle, spread, value)

    def holds(self, memory: Usual, at: int, raised: bool) -> bool | None:
        return None if memory.value is None else self._strays(memory, memory.value) >= self.limit

    def turns(self, memory: Usual, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Usual, at: int) -> Shown:
        return Shown(memory.value, round(memory.median, 6))

    def _strays(self, memory: Usual, value: float) -> float:
        if len(memory.points) < MIN_SLOTS:
            return 0.0
        return strays(value - memory.median, self.side) / max(memory.spread, self.floor)


@dataclass(frozen=True)
class Drift:
    """CUSUM and EWMA: the mean has moved, by little but lastingly, from what it was over the first ``learn_us``.

    ``cusum`` adds up what goes past half a deviation and is over ``limit`` (5 is usual); ``ewma`` lets the newest fifth count and
    is past ``limit`` of its own deviations (3 is usual).
    """

    metric: str
    method: Literal["cusum", "ewma"]
    limit: float
    floor: float
    learn_us: int
    side: Side

    initial = Drifting()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Drifting, sample: Sample, raised: bool) -> Drifting:
        value = sample.values.get(self.metric)
        if value is None or isinstance(value, str):
            return memory
        value = float(value)
        if not memory.learnt:
            return self._learnt(memory, value, sample.at)
        step = max(-CLIP, min((value - memory.mean) / self._deviation(memory), CLIP))
        if self.method == "ewma":
            return replace(memory, up=memory.up + 0.2 * (step - memory.up), value=value)
        return replace(memory, up=max(0.0, memory.up + step - 0.5), down=max(0.0, memory.down - step - 0.5), value=value)

    def holds(self, memory: Drifting, at: int, raised: bool) -> bool | None:
        if not memory.learnt:
            return None
        if self.method == "ewma":
            return strays(memory.up, self.side) >= self.limit / 3  # the square root of 0.2 / 1.8
        return {"above": memory.up, "below": memory.down, "either": max(memory.up, memory.down)}[self.side] >= self.limit

    def turns(self, memory: Drifting, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Drifting, at: int) -> Shown:
        return Shown(memory.value, round(memory.mean, 6))

    def _learnt(self, memory: Drifting, value: float, at: int) -> Drifting:
        first, count = memory.first or at, memory.count + 1
        off = value - memory.mean
        mean = memory.mean + off / count
        squares = memory.squares + off * (value - mean)
        return Drifting(first, count, mean, squares, at - first >= self.learn_us and count >= MIN_SLOTS, value=value)

    def _deviation(self, memory: Drifting) -> float:
        return max(math.sqrt(memory.squares / (memory.count - 1)), self.floor)


@dataclass(frozen=True)
class Seasonal:
    """More than ``limit`` usual spreads from what this hour of such a day (worked or not) had before."""

    metric: str
    limit: float
    floor: float
    calendar: Calendar
    side: Side

    initial = Seasons()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Seasons, sample: Sample, raised: bool) -> Seasons:
        value = sample.values.get(self.metric)
        if value is None or isinstance(value, str):
            return memory
        value, hour = float(value), sample.at // HOUR_US
        if hour == memory.hour:
            total, count = (memory.total, memory.count) if raised else (memory.total + value, memory.count + 1)
            return replace(memory, total=total, count=count, value=value)
        past = dict(memory.past)
        if memory.count:
            name = self._name(memory.hour)
            past[name] = (*past.get(name, ()), memory.total / memory.count)[-MAX_SAME_HOURS:]
        total, count = (0.0, 0) if raised else (value, 1)
        return Seasons(past, hour, total, count, value)

    def holds(self, memory: Seasons, at: int, raised: bool) -> bool | None:
        if memory.value is None:
            return None
        past = memory.past.get(self._name(memory.hour), ())
        if len(past) < MIN_SAME_HOURS:
            return False
        middle, spread = centre_and_spread(past)
        return strays(memory.value - middle, self.side) >= self.limit * max(spread, self.floor)

    def turns(self, memory: Seasons, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Seasons, at: int) -> Shown:
        past = memory.past.get(self._name(memory.hour), ())
        return Shown(memory.value, round(median(past), 6) if past else None)

    def _name(self, hour: int) -> str:
        local = self.calendar.local(hour * HOUR_US)
        return f"{'w' if self.calendar.is_workday(local.date()) else 'r'}{local.hour:02}"


def _forgotten(memory: Siblings) -> int:
    """Up to when a word may be one that was heard, and was let go as too old."""
    return max((point.at for point in memory.newest.values()), default=SIBLING_US) - SIBLING_US


@dataclass(frozen=True)
class Peers:
    """A device of a zone more than ``limit`` usual spreads from the median of its siblings; it needs three of them."""

    metric: str
    limit: float
    floor: float
    side: Side

    initial = Siblings()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Siblings, sample: Sample, raised: bool) -> Siblings:
        value, old = sample.values.get(self.metric), memory.newest.get(sample.device)
        if value is None or isinstance(value, str) or sample.at <= (old.at if old is not None else _forgotten(memory)):
            return memory
        newest = {name: point for name, point in memory.newest.items() if point.at > sample.at - SIBLING_US}
        newest[sample.device] = Point(sample.at, float(value))
        kept = sorted(newest, key=lambda name: newest[name].at)[-MAX_SIBLINGS:]
        return Siblings({name: newest[name] for name in kept})

    def holds(self, memory: Siblings, at: int, raised: bool) -> bool | None:
        if not memory.newest:
            return None
        worst = self._worst(memory)
        return worst is not None and worst[0] >= self.limit

    def turns(self, memory: Siblings, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Siblings, at: int) -> Shown:
        worst = self._worst(memory)
        if worst is None:
            return Shown()
        _, name, others = worst
        return Shown(memory.newest[name].value, round(others, 6), "", name)

    def _worst(self, memory: Siblings) -> tuple[float, str, float] | None:
        """How far the farthest device strays, in spreads; its name; the median of the others."""
        if len(memory.newest) <= MIN_SIBLINGS:
            return None
        found = []
        for name, point in memory.newest.items():
            middle, spread = centre_and_spread([one.value for other, one in memory.newest.items() if other != name])
            found.append((strays(point.value - middle, self.side) / max(spread, self.floor), name, middle))
        return max(found)
