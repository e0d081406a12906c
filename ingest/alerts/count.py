"""Occurrences counted within a window: all of them, or how many different values or devices they came from.

Raised at ``count``; over when the window has become empty. Samples of several devices may come out of order, and one that is
told twice counts once. At most ``MAX_ENTRIES`` are kept, the newest.
"""

from bisect import insort
from dataclasses import dataclass

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Tallied
from ingest.alerts.sense import Shown

MAX_ENTRIES = 256


@dataclass(frozen=True)
class Count:
    """``distinct``: a metric whose different values count, ``device`` for different devices, or ``None`` for every occurrence."""

    condition: Condition
    count: int
    within_us: int
    distinct: str | None = None

    initial = Tallied()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return self.condition.metrics

    def hear(self, memory: Tallied, sample: Sample, raised: bool) -> Tallied:
        if self.condition.holds(sample.values) is not True:
            return memory
        by_value = self.distinct not in (None, "device")
        what = sample.values.get(self.distinct or "") if by_value else sample.device
        entry = (sample.at, str(what))
        newest = memory.entries[-1][0] if memory.entries else 0
        if what is None or entry in memory.entries or sample.at <= newest - self.within_us:
            return memory
        entries = [one for one in memory.entries if one[0] > sample.at - self.within_us]
        insort(entries, entry)
        return Tallied(tuple(entries[-MAX_ENTRIES:]))

    def holds(self, memory: Tallied, at: int, raised: bool) -> bool | None:
        return self._counted(memory, at) >= (1 if raised else self.count)

    def turns(self, memory: Tallied, after: int, raised: bool) -> int | None:
        """When the window is empty; before the alert stands, when it no longer holds enough."""
        if not raised and not self.holds(memory, after, raised):
            return None
        times = [at + self.within_us for at, _ in memory.entries]
        return next((at for at in (times[-1:] if raised else times) if at > after), None)

    def shown(self, memory: Tallied, at: int) -> Shown:
        return Shown(self._counted(memory, at), self.count)

    def _counted(self, memory: Tallied, at: int) -> int:
        within = [what for when, what in memory.entries if when > at - self.within_us]
        return len(set(within)) if self.distinct else len(within)
