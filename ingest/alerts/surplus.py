"""More of one thing than of another within a window, as people who came in and doors that were granted.

Both are told as events; the first also as a counter, whose growth counts at the instant at which it is told. A function of what
was said and not of its order; what is told twice counts once. At most ``MAX_ENTRIES`` of each are kept, the newest.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Flowed, Total
from ingest.alerts.sense import Shown

MAX_ENTRIES = 512

_Entry = tuple[int, str]


@dataclass(frozen=True)
class Surplus:
    """By ``by`` at least, and ``times`` as many. A counter that was silent for a whole window starts anew."""

    more: Condition | None
    counter: str | None
    than: Condition
    by: int
    times: float
    within_us: int

    initial = Flowed()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return self.than.metrics | (self.more.metrics if self.more else set()) | ({self.counter} if self.counter else set())

    def hear(self, memory: Flowed, sample: Sample, raised: bool) -> Flowed:
        if not sample.fresh:
            return memory
        entry = (sample.at, sample.device)
        if self.than.holds(sample.values) is True:
            return self._with(memory, than=_inserted(memory.than, entry))
        if self.more is not None and self.more.holds(sample.values) is True:
            return self._with(memory, more=_inserted(memory.more, entry))
        total = sample.values.get(self.counter or "")
        if not isinstance(total, int | float) or any((one.at, one.device) == entry for one in memory.totals):
            return memory
        totals = sorted((*memory.totals, Total(sample.at, sample.device, total)))
        return self._with(memory, totals=tuple(totals[-MAX_ENTRIES:]))

    def holds(self, memory: Flowed, at: int, raised: bool) -> bool | None:
        came, allowed = self._came(memory, at), self._count(memory.than, at)
        return came - allowed >= self.by and came >= self.times * allowed

    def turns(self, memory: Flowed, after: int, raised: bool) -> int | None:
        instants = [at for at, _ in (*memory.more, *memory.than)] + [one.at for one in memory.totals]
        return min((at + self.within_us for at in instants if at + self.within_us > after), default=None)

    def shown(self, memory: Flowed, at: int) -> Shown:
        return Shown(self._came(memory, at), self._count(memory.than, at))

    def _came(self, memory: Flowed, at: int) -> int:
        return self._count(memory.more, at) + round(sum(self._growth(memory.totals, at)))

    def _growth(self, totals: Iterable[Total], at: int) -> Iterator[float]:
        before: dict[str, Total] = {}
        for one in totals:
            last = before.get(one.device)
            if last is not None and one.at > at - self.within_us and one.at - last.at < self.within_us:
                yield max(0.0, one.total - last.total)
            before[one.device] = one

    def _count(self, entries: Iterable[_Entry], at: int) -> int:
        return sum(when > at - self.within_us for when, _ in entries)

    def _with(self, memory: Flowed, **changed: Any) -> Flowed:
        """Without what two windows have passed over; the very same when nothing changed."""
        new = replace(memory, **changed)
        newest = max([at for at, _ in (*new.more[-1:], *new.than[-1:])] + [one.at for one in new.totals[-1:]])
        oldest = newest - 2 * self.within_us
        kept = Flowed(
            tuple(one for one in new.more if one[0] > oldest),
            tuple(one for one in new.than if one[0] > oldest),
            tuple(one for one in new.totals if one.at > oldest),
        )
        return memory if kept == memory else kept


def _inserted(entries: tuple[_Entry, ...], entry: _Entry) -> tuple[_Entry, ...]:
    if entry in entries:
        return entries
    found = list(entries)
    insort(found, entry)
    return tuple(found[-MAX_ENTRIES:])
