"""Time to a limit: a line through what was said lately, followed to where it meets the limit.

A forecast is worth little without its gates: the value must be past ``gate_at``, there must be ``MIN_POINTS`` over half of the
window, the trend must stand out of the noise, and what is told is a range from the sooner to the later. All of it is worked out
at a reading past the gate and at no other.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import median, quantiles

from ingest.alerts.level import Direction
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Fitted, Point, Smoothed
from ingest.alerts.sense import Shown

MAX_POINTS = 32
"""Of the window; pairs of them are 496, which the median of their slopes costs."""

MIN_POINTS = 6
NEVER = 1e12
MICROS = 1_000_000


@dataclass(frozen=True)
class Outlook:
    """What both methods ask: when ``metric`` meets ``limit``, if within ``within_s``; over when that is twice as far away."""

    metric: str
    limit: float
    gate_at: float
    direction: Direction
    within_s: float
    window_us: int

    @property
    def sign(self) -> int:
        return 1 if self.direction == "above" else -1

    def gated(self, value: float) -> bool:
        return self.sign * (value - self.gate_at) >= 0

    def until(self, value: float, slope: float) -> float:
        """Seconds until a line meets the limit; 0 when it has, ``NEVER`` when it goes the other way."""
        left = self.sign * (self.limit - value)
        if left <= 0:
            return 0.0
        return min(left / (self.sign * slope), NEVER) if self.sign * slope > 0 else NEVER

    def near(self, seconds: float, raised: bool) -> bool:
        return seconds <= self.within_s * (2 if raised else 1)


@dataclass(frozen=True)
class TheilSen:
    """The median of the slopes between all pairs of points: one spike in three moves it little. Significant when three of
    four slopes go towards the limit and the points lie nearer to the line than half of what it climbs over the window."""

    outlook: Outlook

    initial = Fitted()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.outlook.metric,))

    @property
    def slot_us(self) -> int:
        return max(self.outlook.window_us // MAX_POINTS, 1)

    def hear(self, memory: Fitted, sample: Sample, raised: bool) -> Fitted:
        value = sample.values.get(self.outlook.metric)
        if value is None or isinstance(value, str):
            return memory
        points = self._with(memory.points, Point(sample.at, float(value)))
        sooner, later = self._fit(points) if self.outlook.gated(float(value)) else (None, None)
        return Fitted(points, sooner, later)

    def holds(self, memory: Fitted, at: int, raised: bool) -> bool | None:
        if not memory.points:
            return None
        middle = None if memory.sooner_s is None or memory.later_s is None else (memory.sooner_s + memory.later_s) / 2
        return middle is not None and self.outlook.near(middle, raised)

    def turns(self, memory: Fitted, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Fitted, at: int) -> Shown:
        return Shown(minutes(memory.sooner_s, memory.later_s), self.outlook.limit)

    def _with(self, points: tuple[Point, ...], point: Point) -> tuple[Point, ...]:
        """One point a slot of the window, its newest."""
        kept = [one for one in points if one.at > point.at - self.outlook.window_us]
        if kept and kept[-1].at // self.slot_us == point.at // self.slot_us:
            kept.pop()
        return (*kept[-(MAX_POINTS - 1) :], point)

    def _fit(self, points: tuple[Point, ...]) -> tuple[float | None, float | None]:
        newest = points[-1]
        if len(points) < MIN_POINTS or newest.at - points[0].at < self.outlook.window_us / 2:
            return None, None
        slopes = [(two.value - one.value) * MICROS / (two.at - one.at) for one, two in combinations(points, 2)]
        low, middle, high = quantiles(slopes, n=4)
        slow, fast = (low, high) if self.outlook.direction == "above" else (high, low)
        level = median(one.value + middle * (newest.at - one.at) / MICROS for one in points)
        astray = median(abs(one.value + middle * (newest.at - one.at) / MICROS - level) for one in points)
        climbed = abs(middle) * (newest.at - points[0].at) / MICROS
        if self.outlook.sign * slow <= 0 or astray > climbed / 2:
            return None, None
        return self.outlook.until(level, fast), self.outlook.until(level, slow)


@dataclass(frozen=True)
class Holt:
    """Level and trend, each smoothed: cheaper, and quicker to follow a turn. Significant when the trend over a quarter of the
    window is more than the mean error one step ahead."""

    outlook: Outlook

    initial = Smoothed()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.outlook.metric,))

    def hear(self, memory: Smoothed, sample: Sample, raised: bool) -> Smoothed:
        value = sample.values.get(self.outlook.metric)
        if value is None or isinstance(value, str):
            return memory
        value, elapsed = float(value), (sample.at - memory.at) / MICROS
        if not memory.count or sample.at - memory.at > self.outlook.window_us:
            return Smoothed(sample.at, sample.at, 1, value)
        share = 1 - math.exp(-elapsed / self._pace)
        expected = memory.level + memory.trend * elapsed
        error = value - expected
        return Smoothed(
            first=memory.first,
            at=sample.at,
            count=memory.count + 1,
            level=expected + share * error,
            trend=memory.trend + share * share * error / elapsed,
            error=memory.error + share * (abs(error) - memory.error),
        )

    def holds(self, memory: Smoothed, at: int, raised: bool) -> bool | None:
        if not memory.count:
            return None
        enough = memory.count >= MIN_POINTS and memory.at - memory.first >= self.outlook.window_us / 2
        stands_out = self.outlook.sign * memory.trend * self._pace > memory.error
        gated = self.outlook.gated(memory.level)
        return enough and gated and stands_out and self.outlook.near(self._until(memory, 0.0), raised)

    def turns(self, memory: Smoothed, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Smoothed, at: int) -> Shown:
        return Shown(minutes(self._until(memory, memory.error), self._until(memory, -memory.error)), self.outlook.limit)

    @property
    def _pace(self) -> float:
        """Seconds over which it forgets."""
        return self.outlook.window_us / MICROS / 4

    def _until(self, memory: Smoothed, ahead: float) -> float:
        return self.outlook.until(memory.level + self.outlook.sign * ahead, memory.trend)


def minutes(sooner_s: float | None, later_s: float | None) -> str | None:
    """A range as people read it: ``25-40``."""
    if sooner_s is None or later_s is None:
        return None
    if later_s >= NEVER:
        return f">={sooner_s / 60:.0f}"
    sooner, later = f"{sooner_s / 60:.0f}", f"{later_s / 60:.0f}"
    return sooner if sooner == later else f"{sooner}-{later}"
