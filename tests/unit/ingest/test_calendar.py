"""The working calendar: the year 2026 as it was published, and files that are refused."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from ingest.calendar import PLAIN, load_calendar
from telemetry.errors import ConfigInvalid

SHIPPED = Path(__file__).parents[3] / "config" / "calendar" / "cn.yaml"


def test_the_shipped_year_has_the_days_that_were_published() -> None:
    calendar = load_calendar(SHIPPED)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    assert len(calendar.holidays) == 3 + 9 + 3 + 5 + 3 + 3 + 7
    assert all(day.weekday() >= 5 for day in calendar.workdays)
    assert sum(map(calendar.is_workday, days)) == 248, "as each year has: 365 days, 104 of weekends, 13 of festivals"


@pytest.mark.parametrize(
    ("day", "worked"),
    [("2026-02-14", True), ("2026-02-16", False), ("2026-02-24", True), ("2026-10-10", True), ("2026-10-11", False)],
)
def test_days_in_exchange_are_worked_and_holidays_rest(day: str, worked: bool) -> None:
    assert load_calendar(SHIPPED).is_workday(date.fromisoformat(day)) is worked


def test_of_a_year_that_is_not_told_weekdays_alone_decide() -> None:
    assert load_calendar(SHIPPED).is_workday(date(2031, 10, 1))
    assert not PLAIN.is_workday(date(2026, 5, 9))


def test_minutes_of_a_day_are_instants_and_back() -> None:
    at = PLAIN.instant(date(2026, 3, 2), 22 * 60)
    assert at == 1_772_460_000_000_000
    assert PLAIN.local(at).isoformat() == "2026-03-02T22:00:00+08:00"
    assert PLAIN.instant(date(2026, 3, 2), 1440) == PLAIN.instant(date(2026, 3, 3), 0)


def test_everything_wrong_with_a_calendar_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "calendar.yaml"
    file.write_text(
        "time_zone: Asia/Sanmenxia\nyears:\n  '2026':\n    source: none\n"
        "    holidays: [{name: {zh: a, en: a}, first: 2026-02-30, last: 2026-03-01},"
        " {name: {zh: b, en: b}, first: 2026-05-05, last: 2026-05-01}, {name: {zh: c, en: c},"
        " first: 2026-06-20, last: 2026-06-20}]\n"
        "    workdays: [2026-06-20, 2026-06-22, 2026-13-01]\n"
    )
    with pytest.raises(ConfigInvalid) as caught:
        load_calendar(file)
    assert [problem.path for problem in caught.value.problems] == [
        "time_zone",
        "years.2026.holidays[0]",
        "years.2026.holidays[1]",
        "years.2026.workdays[0]",
        "years.2026.workdays[1]",
        "years.2026.workdays[2]",
    ]
