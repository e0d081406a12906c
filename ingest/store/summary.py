"""Readings thinned to summaries of equal windows of time: what is counted, and how. Pure, and the same for every store.

1. A window begins at a multiple of its width since 1970, UTC, and its summary stands at that instant: computing it again
   overwrites it.
2. A value counts when it is a number of a measurement, good or uncertain. Bad and stale values, texts, booleans and what
   discrete events say do not.
3. The summaries of an hour made from its twelve windows of five minutes are those made from its readings.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import groupby
from math import fsum
from typing import NamedTuple

from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality

MINUTE_US = 60_000_000
SCALE = 2.0**-64
SOUND = (Quality.GOOD, Quality.UNCERTAIN)


class Level(StrEnum):
    """How finely history is kept."""

    RAW = "raw"
    FIVE_MINUTES = "5m"
    HOUR = "1h"

    @property
    def width_us(self) -> int:
        """The width of a window; 1 for readings as they came."""
        return {Level.RAW: 1, Level.FIVE_MINUTES: 5 * MINUTE_US, Level.HOUR: 60 * MINUTE_US}[self]

    def start(self, at: int) -> int:
        """The start of the window that ``at`` is in."""
        return at // self.width_us * self.width_us


class Summary(NamedTuple):
    """One metric of one device in one window, which begins ``at`` (UTC microseconds).

    Of its ``samples`` the ``last`` is the newest; of a counter it says all that is needed.
    """

    community: str
    gateway: str
    device: str
    kind: Kind
    metric: str
    at: int
    samples: int
    minimum: float
    maximum: float
    mean: float
    last: float


class Sample(NamedTuple):
    """One value of one metric, as ``Row`` names its parts."""

    community: str
    gateway: str
    device: str
    kind: Kind
    metric: str
    at: int
    value: float


def is_measured(kind: Kind, metric: str) -> bool:
    """Whether the vocabulary says that the metric is a number."""
    declared = METRICS[kind].get(metric)
    return declared is not None and declared.type in (ValueType.FLOAT, ValueType.INT)


def counts(kind: Kind, metric: str, value: Value | None, quality: Quality, event_id: str | None) -> bool:
    """Whether a row takes part in summaries."""
    return value is not None and quality in SOUND and event_id is None and is_measured(kind, metric)


def summarised(samples: Iterable[Sample], level: Level) -> list[Summary]:
    """The summaries of samples that count, in whatever order they come."""
    return [_summary(list(group), level) for _, group in groupby(sorted(samples), lambda sample: _place(sample, level))]


def merged(summaries: Iterable[Summary], level: Level) -> list[Summary]:
    """Wider windows from narrower ones, whole windows given."""
    return [_merge(list(group), level) for _, group in groupby(sorted(summaries), lambda summary: _place(summary, level))]


def _place(one: Sample | Summary, level: Level) -> tuple[str, str, str, Kind, str, int]:
    return one.community, one.gateway, one.device, one.kind, one.metric, level.start(one.at)


def _summary(samples: list[Sample], level: Level) -> Summary:
    values = [float(sample.value) for sample in samples]
    mean = _mean([(value, 1) for value in values])
    return Summary(*_place(samples[0], level), len(values), min(values), max(values), mean, values[-1])


def _merge(parts: list[Summary], level: Level) -> Summary:
    mean = _mean([(part.mean, part.samples) for part in parts])
    least, most = min(part.minimum for part in parts), max(part.maximum for part in parts)
    return Summary(*_place(parts[0], level), sum(part.samples for part in parts), least, most, mean, parts[-1].last)


def _mean(weighted: list[tuple[float, int]]) -> float:
    """Exact to the last digits, whatever the order. Scaled by a power of two, because a sum of large values may be no float."""
    total = fsum(value * SCALE * weight for value, weight in weighted)
    return total / sum(weight for _, weight in weighted) / SCALE
