"""What came in less what went out, against a count of what is there.

A census takes the place of what was reckoned and says by how much that was off; the verdict stands until the next one. What came
before a census counts for it also when it is told after it, as long as no later census came. Of crossings the ``MAX_RECENT``
newest are remembered one by one: what is told twice counts once among them, and a census may be told that many of them late.
"""

from bisect import insort
from dataclasses import dataclass

from msgspec.structs import replace

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Balanced, Crossing
from ingest.alerts.sense import Shown

MAX_RECENT = 256


@dataclass(frozen=True)
class Balance:
    """Off by more than ``share`` of the count and by ``at_least``. ``census`` is the metric that tells the count."""

    plus: Condition
    minus: Condition
    census: str
    share: float
    at_least: int

    initial = Balanced()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return self.plus.metrics | self.minus.metrics | {self.census}

    def hear(self, memory: Balanced, sample: Sample, raised: bool) -> Balanced:
        if not sample.fresh:
            return memory
        count = sample.values.get(self.census)
        if isinstance(count, int | float):
            return _counted(memory, sample, round(count))
        if self.plus.holds(sample.values) is True:
            return _crossed(memory, Crossing(sample.at, sample.device, 1))
        if self.minus.holds(sample.values) is True:
            return _crossed(memory, Crossing(sample.at, sample.device, -1))
        return memory

    def holds(self, memory: Balanced, at: int, raised: bool) -> bool | None:
        if memory.drift is None:
            return None
        return abs(memory.drift) >= self.at_least and abs(memory.drift) > self.share * memory.count

    def turns(self, memory: Balanced, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Balanced, at: int) -> Shown:
        return Shown(memory.count, memory.count + (memory.drift or 0), device=memory.device)


def _counted(memory: Balanced, sample: Sample, count: int) -> Balanced:
    if sample.at <= memory.at:
        return memory
    later = sum(one.way for one in memory.recent if one.at > sample.at)
    drift = memory.count + memory.net - later - count if memory.at else None
    return replace(memory, before=memory.at, at=sample.at, device=sample.device, count=count, net=later, drift=drift)


def _crossed(memory: Balanced, crossing: Crossing) -> Balanced:
    if any((one.at, one.device) == (crossing.at, crossing.device) for one in memory.recent):
        return memory
    recent = list(memory.recent)
    insort(recent, crossing)
    memory = replace(memory, recent=tuple(recent[-MAX_RECENT:]))
    if crossing.at > memory.at:
        return replace(memory, net=memory.net + crossing.way)
    if crossing.at > memory.before and memory.drift is not None:
        return replace(memory, drift=memory.drift + crossing.way)
    return memory
