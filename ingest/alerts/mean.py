"""The mean of a number over a sliding window against a limit: what a spike or a dip does not move.

1. A value counts until the next one, for a gateway says what changed; but for no longer than ``gap_us``: silence is no value.
2. Nothing is judged before ``covered`` of the window has been told.
3. The window moves in steps of its ``SLOTS``-th part, so that it is bounded however often a device speaks; whether it is raised
   can change at the end of a step and at no other time.
4. While ``unless`` is known to hold, what is said does not count.
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

    initial = Averaged()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return self.unless.metrics | {self.metric}

    def hear(self, memory: Averaged, sample: Sample, raised: bool) -> Averaged:
        value = sample.values.get(self.metric)
        excused = self.unless.holds(sample.values) if self.unless.where else False
        if isinstance(value, str) or not sample.fresh:
            return memory
        if value is None and excused in (None, memory.excused):
            return memory
        memory = replace(self._told(memory, sample.at), excused=memory.excused if excused is None else excused)
        return memory if value is None else replace(memory, value=float(value), said=sample.at)

    def holds(self, memory: Averaged, at: int, raised: bool) -> bool | None:
        mean = self._mean(memory, at)
        return None if mean is None else self._is_past(mean, memory, raised)

    def turns(self, memory: Averaged, after: int, raised: bool) -> int | None:
        """The end of the step, unless all that counts is on the one side, and so is its mean."""
        if memory.value is None:
            return None
        parts = [self._level(slot.total / slot.weight) for slot in self._told(memory, after).slots]
        past = {self._is_past(part, memory, raised) for part in (*parts, memory.value)}
        end = (after // self._step + 1) * self._step
        is_settled = past == {raised} or end > memory.said + self.gap_us + self.within_us + self._step
        return None if is_settled else end

    def shown(self, memory: Averaged, at: int) -> Shown:
        mean, limit = self._mean(memory, at), self._limit(memory)
        return Shown(None if mean is None else float(f"{mean:.4g}"), limit.raise_at, limit.clause)

    @property
    def _step(self) -> int:
        return max(self.within_us // SLOTS, 1)

    def _mean(self, memory: Averaged, at: int) -> float | None:
        """Of the steps that are over; ``None`` when too little of them has been told."""
        now = at // self._step
        over = [slot for slot in self._told(memory, at).slots if now - SLOTS <= slot.number < now]
        weight = sum(slot.weight for slot in over)
        if not weight or weight < self.covered * SLOTS * self._step:
            return None
        return self._level(sum(slot.total for slot in over) / weight)

    def _told(self, memory: Averaged, until: int) -> Averaged:
        """With what its last value has counted for until then."""
        until = max(until, memory.told)
        first = until // self._step - SLOTS
        slots = {slot.number: slot for slot in memory.slots if slot.number >= first}
        if memory.value is not None and not memory.excused:
            end, amount = min(until, memory.said + self.gap_us), self._amount(memory.value)
            at = max(memory.told, first * self._step)
            while at < end:
                number = at // self._step
                upto = min(end, (number + 1) * self._step)
                slot = slots.get(number, Slot(number, 0, 0.0))
                slots[number] = Slot(number, slot.weight + upto - at, slot.total + amount * (upto - at))
                at = upto
        return replace(memory, slots=tuple(slots.values()), told=until)

    def _amount(self, level: float) -> float:
        return 10 ** (level / 10) if self.average == "energy" else level

    def _level(self, amount: float) -> float:
        """Of an amount; rounded, so that the mean of equal values is that value."""
        return round(10 * math.log10(amount) if self.average == "energy" else amount, 9)

    def _is_past(self, level: float, memory: Averaged, raised: bool) -> bool:
        limit = self._limit(memory)
        bound = limit.clear_at if raised else limit.raise_at
        return level >= bound if self.direction == "above" else level <= bound

    def _limit(self, memory: Averaged) -> Limit:
        """In force when the newest value was said."""
        return next((limit for limit in self.limits if limit.since <= memory.said < limit.until), self.limits[-1])
