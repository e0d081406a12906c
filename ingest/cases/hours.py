"""Working time: how much of it lies between two instants, and when so much of it will have passed. Pure.

``between(start, after(start, span)) == span`` for every span, whatever the calendar says.
Instants are UTC microseconds, spans microseconds.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple, Protocol

from ingest.calendar import Calendar

MAX_IDLE_DAYS = 366


class Hours(Protocol):
    def between(self, start: int, end: int) -> int:
        """Working time from ``start`` to ``end``; 0 when ``end`` is earlier."""
        ...

    def after(self, start: int, span: int) -> int:
        """The first instant by which ``span`` of working time has passed since ``start``."""
        ...


class AroundTheClock:
    """Every minute counts: for what is red, and at night too."""

    def between(self, start: int, end: int) -> int:
        return max(0, end - start)

    def after(self, start: int, span: int) -> int:
        return start + span


class Shift(NamedTuple):
    """Part of a working day, minutes since midnight; ``ends`` is later than ``begins``, and both are of the same day."""

    begins: int
    ends: int


class DutyHours:
    """The shifts, in order and apart, of each day that the calendar says is worked."""

    def __init__(self, calendar: Calendar, shifts: Sequence[Shift]) -> None:
        self._calendar = calendar
        self._shifts = tuple(shifts)

    def between(self, start: int, end: int) -> int:
        total = 0
        for begins, ends in self._from(start):
            if begins >= end:
                break
            total += max(0, min(ends, end) - max(begins, start))
        return total

    def after(self, start: int, span: int) -> int:
        if span <= 0:
            return start
        for begins, ends in self._from(start):
            room = max(0, ends - max(begins, start))
            if room >= span:
                return max(begins, start) + span
            span -= room
        raise AssertionError("the shifts do not end")

    def _from(self, start: int) -> Iterator[tuple[int, int]]:
        """Every shift from the day of ``start`` on, as instants. A calendar with a year of holidays is taken to have none."""
        day, idle = self._calendar.local(start).date(), 0
        while True:
            idle = 0 if self._works(day) else idle + 1
            if not 0 < idle <= MAX_IDLE_DAYS:
                for shift in self._shifts:
                    yield self._calendar.instant(day, shift.begins), self._calendar.instant(day, shift.ends)
            day += timedelta(days=1)

    def _works(self, day: date) -> bool:
        return self._calendar.is_workday(day)
