"""The same again with nothing in between: in, and in again, and never out.

Judged over the passages of one subject in the order of their instants, whatever the order in which they came. One that the same
device tells again soon is one passage, as of a car that waits at a gate. At most ``MAX_PASSAGES`` are kept, the newest.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Passage, Passed
from ingest.alerts.sense import Shown
from ingest.calendar import PLAIN, Calendar

MAX_PASSAGES = 32


@dataclass(frozen=True)
class Repeat:
    """``apart_us``: how soon a device may tell one passage again. ``resets``: the minute of the day at which all is forgotten."""

    again: Condition
    ends: Condition
    apart_us: int
    within_us: int
    resets: int | None = None
    show: str | None = None
    calendar: Calendar = PLAIN

    initial = Passed()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return self.again.metrics | self.ends.metrics

    def hear(self, memory: Passed, sample: Sample, raised: bool) -> Passed:
        again = self.again.holds(sample.values) is True
        if not sample.fresh or not (again or self.ends.holds(sample.values) is True):
            return memory
        passage = Passage(sample.at, sample.device, again, sample.values.get(self.show or "") if again else None)
        if any((one.at, one.device) == (passage.at, passage.device) for one in memory.passages):
            return memory
        passages = list(memory.passages)
        insort(passages, passage, key=lambda one: (one.at, one.device))
        return Passed(tuple(passages[-MAX_PASSAGES:]))

    def holds(self, memory: Passed, at: int, raised: bool) -> bool | None:
        return len(self._open(memory, at)) > 1

    def turns(self, memory: Passed, after: int, raised: bool) -> int | None:
        """What is forgotten can only end it."""
        if not self.holds(memory, after, raised):
            return None
        times = sorted((*(one.at + self.within_us for one in memory.passages), *self._resets(after)))
        return next((at for at in times if at > after and not self.holds(memory, at, raised)), None)

    def shown(self, memory: Passed, at: int) -> Shown:
        newest = next((one for one in reversed(memory.passages) if one.again), None)
        return Shown(newest.value, device=newest.device) if newest else Shown()

    def _open(self, memory: Passed, at: int) -> list[Passage]:
        """Passages since the last that ended it: the first words of each, told by its device again or not."""
        since = max((at - self.within_us, *(reset for reset in self._resets(at) if reset <= at)))
        found: list[Passage] = []
        told: dict[str, int] = {}
        for one in memory.passages:
            if one.at <= since:
                continue
            if not one.again:
                found, told = [], {}
                continue
            if one.device not in told or one.at - told[one.device] > self.apart_us:
                found.append(one)
            told[one.device] = one.at
        return found

    def _resets(self, at: int) -> Iterator[int]:
        """Those of the day and of the days around it."""
        if self.resets is not None:
            today = self.calendar.local(at).date()
            yield from (self.calendar.instant(today + timedelta(days=days), self.resets) for days in (-1, 0, 1))
