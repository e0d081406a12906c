"""The working calendar: which days are worked, in which time zone, as a file says it.

A day is worked from Monday to Friday, unless the file says otherwise of it: a holiday, or a weekend worked in exchange (调休).
Of a year that the file does not tell, weekdays alone decide. Pure but for ``load_calendar``.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from device_profiles import read_text
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.presence import Words

MAX_DAYS = 60
"""A holiday that lasts longer is a slip."""

Year = Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}\Z")]
Day = Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]\Z")]


class Holiday(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Words
    first: Day
    last: Day


class CalendarYear(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``workdays`` are weekends worked in exchange; ``source`` is where it was published."""

    source: str
    holidays: tuple[Holiday, ...] = ()
    workdays: tuple[Day, ...] = ()


class CalendarFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    time_zone: str
    years: dict[Year, CalendarYear] = {}


class Calendar(NamedTuple):
    """``holidays`` and ``workdays`` are the days that are not what their weekday says."""

    time_zone: ZoneInfo
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    def is_workday(self, day: date) -> bool:
        return day in self.workdays or (day.weekday() < 5 and day not in self.holidays)

    def local(self, at: int) -> datetime:
        """The wall's time there at an instant in UTC microseconds."""
        return datetime.fromtimestamp(at // 1_000_000, self.time_zone)

    def instant(self, day: date, minute: int) -> int:
        """UTC microseconds of a minute of a day there; 1440 is the end of the day."""
        local = datetime(day.year, day.month, day.day, tzinfo=self.time_zone) + timedelta(minutes=minute)
        return round(local.astimezone(UTC).timestamp()) * 1_000_000


PLAIN = Calendar(ZoneInfo("Asia/Shanghai"))


@lru_cache(maxsize=16)
def load_calendar(file: Path) -> Calendar:
    """Raises ``ConfigInvalid`` with everything that is wrong."""
    content = read(read_text(file), str(file), CalendarFile)
    problems = [Problem(str(file), *fault) for fault in _faults(content)]
    if problems:
        raise ConfigInvalid(problems)
    spans = (holiday for year in content.years.values() for holiday in year.holidays)
    workdays = (date.fromisoformat(day) for year in content.years.values() for day in year.workdays)
    return Calendar(ZoneInfo(content.time_zone), frozenset(day for span in spans for day in _days(span)), frozenset(workdays))


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # what it raises for names, paths and folders
        return False
    return True


def _days(span: Holiday) -> Iterator[date]:
    first, last = date.fromisoformat(span.first), date.fromisoformat(span.last)
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _faults(content: CalendarFile) -> Iterator[tuple[str, str, str]]:
    if not is_time_zone(content.time_zone):
        yield "time_zone", f"no time zone {content.time_zone!r}", "as Asia/Shanghai"
    for name, year in content.years.items():
        rested: set[date] = set()
        for number, holiday in enumerate(year.holidays):
            path = f"years.{name}.holidays[{number}]"
            first, last = _day(holiday.first), _day(holiday.last)
            if first is None or last is None:
                yield path, "names a day that does not exist", "as 2026-01-01"
            elif not 0 <= (last - first).days < MAX_DAYS:
                yield path, f"{holiday.last} is not within {MAX_DAYS} days after {holiday.first}", "give first, then last"
            else:
                rested.update(_days(holiday))
        for number, text in enumerate(year.workdays):
            path, day = f"years.{name}.workdays[{number}]", _day(text)
            if day is None:
                yield path, f"{text} does not exist", "as 2026-01-04"
            elif day in rested:
                yield path, f"{text} is a holiday too", "it is one or the other"
            elif day.weekday() < 5:
                yield path, f"{text} is worked anyway", "name weekends alone"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
