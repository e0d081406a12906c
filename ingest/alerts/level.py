"""A number against a limit, and a condition that is met or not: what one reading says by itself.

With ``need`` of the last ``of`` readings, a single odd reading neither raises nor restarts the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Verdict
from ingest.alerts.sense import Shown
from telemetry.metric import Value

Direction = Literal["above", "below"]


class Limit(NamedTuple):
    """In force from ``since`` until before ``until``, UTC microseconds; ``clear_at`` is where it is over again."""

    raise_at: float
    clear_at: float
    since: int = 0
    until: int = 1 << 62
    clause: str = ""


class Samples(NamedTuple):
    """How many of the last readings must agree."""

    need: int = 1
    of: int = 1


EACH = Samples()


@dataclass(frozen=True)
class Level:
    """The first of ``limits`` in force at a reading's instant judges it."""

    metric: str
    limits: tuple[Limit, ...]
    direction: Direction = "above"
    samples: Samples = EACH

    initial = Verdict()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Verdict, sample: Sample, raised: bool) -> Verdict:
        value = sample.values.get(self.metric)
        if value is None or isinstance(value, str):
            return memory
        limit = self._limit(sample.at)
        bound = limit.clear_at if raised else limit.raise_at
        past = value >= bound if self.direction == "above" else value <= bound
        return agreed(memory, self.samples, past, value, sample.at)

    def holds(self, memory: Verdict, at: int, raised: bool) -> bool | None:
        return memory.holds

    def turns(self, memory: Verdict, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Verdict, at: int) -> Shown:
        limit = self._limit(memory.at)
        return Shown(memory.value, limit.raise_at, limit.clause)

    def _limit(self, at: int) -> Limit:
        return next((limit for limit in self.limits if limit.since <= at < limit.until), self.limits[-1])


@dataclass(frozen=True)
class Met:
    """A condition that is met or not; ``limit`` is the time it may last, ``show`` the metric to show, if any.

    With ``gap_us`` it is not taken to last through a longer silence, until it has raised: an alert is not over by silence.
    """

    condition: Condition
    limit: Value | None = None
    show: str | None = None
    samples: Samples = EACH
    gap_us: int | None = None

    initial = Verdict()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return self.condition.metrics

    def hear(self, memory: Verdict, sample: Sample, raised: bool) -> Verdict:
        met = self.condition.holds(sample.values)
        return memory if met is None else agreed(memory, self.samples, met, self._value(sample.values), sample.at)

    def holds(self, memory: Verdict, at: int, raised: bool) -> bool | None:
        if memory.holds and not raised and self.gap_us is not None and at - memory.at > self.gap_us:
            return False
        return memory.holds

    def turns(self, memory: Verdict, after: int, raised: bool) -> int | None:
        silent = memory.at + (self.gap_us or 0) + 1
        return silent if self.gap_us is not None and memory.holds and not raised and silent > after else None

    def shown(self, memory: Verdict, at: int) -> Shown:
        return Shown(memory.value, self.limit)

    def _value(self, values: Mapping[str, Value]) -> Value | None:
        return values.get(self.show) if self.show else None


def agreed(memory: Verdict, samples: Samples, said: bool, value: Value | None, at: int) -> Verdict:
    """The verdict after one more reading."""
    if samples.of == 1:
        return Verdict(said, value, at)
    recent = (*memory.recent, said)[-samples.of :]
    return Verdict(recent.count(True) >= samples.need, value, at, recent)
