"""When a rule is active: hours of workdays, rest days or all days, in a calendar's time zone.

Hours past midnight belong to the day on which they began, so that the night before a holiday is the night of a workday.
Pure; which edges stand in an hour is worked out once.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from ingest.calendar import PLAIN, Calendar

HOUR_US = 3_600_000_000
MINUTES = 24 * 60
AHEAD_DAYS = 20
"""How far ahead an edge is looked for: longer than any holiday."""


@dataclass(frozen=True)
class Schedule:
    """``hours`` are minutes of the day from and to, to past 1440 when it is tomorrow's; ``outside`` turns all of it round."""

    hours: tuple[tuple[int, int], ...]
    days: Literal["all", "workdays", "restdays"] = "all"
    outside: bool = False
    calendar: Calendar = PLAIN

    def active(self, at: int) -> bool:
        """Whether an instant, UTC microseconds, is within."""
        edges = _edges(self, at // HOUR_US)
        return bool(bisect_right(edges, at) % 2) != self.outside

    def turns(self, after: int) -> int | None:
        """The next edge after an instant."""
        hour = after // HOUR_US
        for ahead in range(AHEAD_DAYS * 24):
            if edge := next((edge for edge in _edges(self, hour + ahead) if edge > after), None):
                return edge
        return None


@lru_cache(maxsize=4096)
def _edges(schedule: Schedule, hour: int) -> tuple[int, ...]:
    """Begin, end, begin, ... of the stretches that touch an hour of UTC."""
    first, last = hour * HOUR_US, (hour + 1) * HOUR_US
    merged: list[list[int]] = []
    for begin, end in sorted(_stretches(schedule, first)):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([begin, end])
    return tuple(edge for begin, end in merged if end > first and begin < last for edge in (begin, end))


def _stretches(schedule: Schedule, at: int) -> Iterator[tuple[int, int]]:
    today = schedule.calendar.local(at).date()
    for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
        if schedule.days == "all" or schedule.calendar.is_workday(day) == (schedule.days == "workdays"):
            for begin, end in schedule.hours:
                yield schedule.calendar.instant(day, begin), schedule.calendar.instant(day, end)


def minutes_of(text: str) -> tuple[int, int] | None:
    """``08:00-18:00`` as minutes of the day; one that ends before it begins ends tomorrow. ``None`` when it is no such span."""
    first, _, last = text.partition("-")
    begin, end = minute_of(first), minute_of(last)
    if begin is None or end is None or begin == end:
        return None
    return (begin, end) if end > begin else (begin, end + MINUTES)


def minute_of(text: str) -> int | None:
    """``08:00`` as a minute of the day; ``None`` when it is no such time."""
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit() and len(minutes) == 2):
        return None
    found = int(hours) * 60 + int(minutes)
    return found if int(minutes) < 60 and found <= MINUTES else None
