"""The mean of a number over a sliding window against a limit: what a spike or a dip does not move.

1. A value counts until the next one, for a gateway says what changed; but for no longer than ``gap_us``: silence is no value.
2. Nothing is judged before ``covered`` of the window has been told.
3. The window moves in steps of its ``SLOTS``-th part, so that it is bounded however often a device speaks; whether it is raised
   can change at the end of a step and at no other time.
4. While ``unless`` is known to hold, what is said does not count.
5. With ``since_past`` the window begins with the first value past the limit, and while all is well nothing is remembered.
"""

import math
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from ingest.alerts.condition import Condition
from ingest.alerts.level import Direction, Limit
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Averaged, Slot
from ingest.alerts.sense import Shown

SLOTS = 24

Average = Literal["plain", "energy"]


@dataclass(frozen=True)
class Mean:
    """``average: energy`` is that of sound levels: ten times as loud counts ten times, as in an equivalent level (Leq)."""

    metric: str
    limits: tuple[Limit, ...]
    direction: Direction
    average: Average
    within_us: int
    gap_us: int
    covered: float
    unless: Condition
    since_past: bool = False

    initial = Averaged()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return self.unless.metrics | {self.metric}

    def hear(self, memory: Averaged, sample: Sample, raised: bool) -> Averaged:
        value = sample.values.get(self.metric)
        excused = self.unless.holds(sample.values) if self.unless.where else None
        if isinstance(value, str) or not sample.fresh or (value is None and excused in (None, memory.excused)):
            return memory
        excused = memory.excused if excused is None else excused
        if memory.value is None:
            return self._begun(memory, value, sample.at, excused)
        told = self._told(memory, sample.at)
        if value is None:
            return replace(told, excused=excused)
        value = float(value)
        if self.since_past and not raised and told.number != memory.number and self._is_well(told, value):
            return Averaged(excused=excused)
        low, high = min(told.low, value), max(told.high, value)
        return replace(told, value=value, said=sample.at, excused=excused, low=low, high=high)

    def holds(self, memory: Averaged, at: int, raised: bool) -> bool | None:
        mean = self._told(memory, at).mean if at // self._step != memory.number else memory.mean
        return None if mean is None else self._is_past(mean, memory, raised)

    def turns(self, memory: Averaged, after: int, raised: bool) -> int | None:
        """The end of the step, unless all that counts is on the one side, and so is its mean."""
        if memory.value is None or self.is_settled(memory, raised):
            return None
        end = (after // self._step + 1) * self._step
        return end if end <= memory.said + self.gap_us + self.within_us + self._step else None

    def shown(self, memory: Averaged, at: int) -> Shown:
        mean, limit = self._told(memory, at).mean, self.limit_at(memory.said)
        return Shown(None if mean is None else float(f"{mean:.4g}"), limit.raise_at, limit.clause)

    @property
    def _step(self) -> int:
        return max(self.within_us // SLOTS, 1)

    def _begun(self, memory: Averaged, value: float | None, at: int, excused: bool) -> Averaged:
        if value is None:
            return replace(memory, excused=excused)
        value = float(value)
        begun = Averaged(number=at // self._step, low=value, high=value, told=at, said=at, value=value, excused=excused)
        if self.since_past and not self._is_past(value, begun, False):
            return memory if excused == memory.excused else replace(memory, excused=excused)
        return begun

    def _told(self, memory: Averaged, until: int) -> Averaged:
        """With what its last value has counted for until then."""
        until, step = max(until, memory.told), self._step
        number = until // step
        counts_to = min(until, memory.said + self.gap_us) if memory.value is not None and not memory.excused else 0
        amount = self.amount(memory.value or 0.0)
        if number == memory.number:
            for_us = max(counts_to - memory.told, 0)
            return replace(memory, weight=memory.weight + for_us, total=memory.total + amount * for_us, told=until)
        slots = [slot for slot in memory.slots if slot.number >= number - SLOTS]
        now, weight, total, at = memory.number, memory.weight, memory.total, memory.told
        if now < number - SLOTS:
            now, weight, total, at = number - SLOTS, 0, 0.0, (number - SLOTS) * step
        while now < number:
            for_us = max(min(counts_to, (now + 1) * step) - at, 0)
            if weight + for_us:
                slots.append(Slot(now, weight + for_us, total + amount * for_us))
            now, weight, total, at = now + 1, 0, 0.0, (now + 1) * step
        for_us = max(counts_to - at, 0)
        levels = [self._level(slot.total / slot.weight) for slot in slots]
        low, high = min(levels, default=memory.value or 0.0), max(levels, default=memory.value or 0.0)
        return Averaged(
            slots=tuple(slots),
            number=number,
            weight=for_us,
            total=amount * for_us,
            mean=self._mean(slots),
            low=min(low, memory.value or 0.0),
            high=max(high, memory.value or 0.0),
            told=until,
            said=memory.said,
            value=memory.value,
            excused=memory.excused,
        )

    def _mean(self, slots: list[Slot]) -> float | None:
        """Of the steps that are over; ``None`` when too little of them has been told."""
        weight = sum([slot.weight for slot in slots])
        if not weight or weight < self.covered * SLOTS * self._step:
            return None
        return self._level(sum([slot.total for slot in slots]) / weight)

    def amount(self, level: float) -> float:
        return 10 ** (level / 10) if self.average == "energy" else level

    def _level(self, amount: float) -> float:
        """Of an amount; rounded, so that the mean of equal values is that value."""
        return round(10 * math.log10(amount) if self.average == "energy" else amount, 9)

    def _is_past(self, level: float, memory: Averaged, raised: bool) -> bool:
        limit = self.limit_at(memory.said)
        bound = limit.clear_at if raised else limit.raise_at
        return level >= bound if self.direction == "above" else level <= bound

    def is_settled(self, memory: Averaged, raised: bool) -> bool:
        """Whether all that counts is on the side on which the alert is."""
        mildest, worst = (memory.low, memory.high) if self.direction == "above" else (memory.high, memory.low)
        return self._is_past(mildest, memory, True) if raised else not self._is_past(worst, memory, False)

    def _is_well(self, memory: Averaged, value: float) -> bool:
        return self.is_settled(memory, False) and not self._is_past(value, memory, False)

    def unchanged_until(self, memory: Averaged) -> int:
        """When the step is over, or another limit may come into force."""
        edges = (edge for limit in self.limits for edge in (limit.since, limit.until) if edge > memory.said)
        return min((memory.number + 1) * self._step, *edges)

    def limit_at(self, at: int) -> Limit:
        """In force when the newest value was said."""
        return next((limit for limit in self.limits if limit.since <= at < limit.until), self.limits[-1])
