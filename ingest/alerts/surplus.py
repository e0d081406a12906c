"""More of one thing than of another within a window, as people who came in and doors that were granted.

Both are told as events; the first also as a counter, whose growth counts from when it is told until the window has passed over
the beginning of its growth: it came at some time in between, and is never held against excuses that left the window before it.
A function of what was said and not of its order; what is told twice counts once. At most ``MAX_ENTRIES`` of each are kept, the
newest.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec.structs import replace

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Flowed, Total
from ingest.alerts.sense import Shown

MAX_ENTRIES = 512

_Entry = tuple[int, str]


class _Leaving(NamedTuple):
    at: int
    came: float
    allowed: int


@dataclass(frozen=True)
class Surplus:
    """By ``by`` at least, and ``times`` as many; it is over when it is by less than half of that. A counter that was silent for a
    whole window starts anew."""

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
        return self._is_surplus(*self._within(memory, at), raised)

    def turns(self, memory: Flowed, after: int, raised: bool) -> int | None:
        """The first instant at which so much has left the window that the answer is another."""
        came, allowed = self._within(memory, after)
        now = self._is_surplus(came, allowed, raised)
        leaving = sorted(one for one in self._leaving(memory) if one.at > after)
        for number, one in enumerate(leaving):
            came, allowed = came - one.came, allowed - one.allowed
            is_last = number + 1 == len(leaving) or leaving[number + 1].at > one.at
            if is_last and self._is_surplus(came, allowed, raised) != now:
                return one.at
        return None

    def shown(self, memory: Flowed, at: int) -> Shown:
        came, allowed = self._within(memory, at)
        newest = max([*memory.more[-1:], *((one.at, one.device) for one in memory.totals[-1:])], default=(0, ""))
        return Shown(round(came), allowed, device=newest[1])

    def _is_surplus(self, came: float, allowed: int, raised: bool) -> bool:
        if raised:
            return came - allowed >= self.by / 2
        return came - allowed >= self.by and came >= self.times * allowed

    def _within(self, memory: Flowed, at: int) -> tuple[float, int]:
        there = [one for one in self._leaving(memory) if one.at > at]
        return sum(one.came for one in there), sum(one.allowed for one in there)

    def _leaving(self, memory: Flowed) -> Iterator[_Leaving]:
        """What was said, with the instant at which the window has passed over it."""
        yield from (_Leaving(at + self.within_us, 1, 0) for at, _ in memory.more)
        yield from (_Leaving(at + self.within_us, 0, 1) for at, _ in memory.than)
        before: dict[str, Total] = {}
        for one in memory.totals:
            last = before.get(one.device)
            if last is not None and one.at - last.at < self.within_us:
                yield _Leaving(last.at + self.within_us, max(0.0, one.total - last.total), 0)
            before[one.device] = one

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
