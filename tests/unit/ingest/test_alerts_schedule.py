"""When rules are active: nights, workdays, holidays, and the instants at which that changes."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts.schedule import Schedule, minutes_of
from ingest.calendar import load_calendar

CHINA = load_calendar(Path(__file__).parents[3] / "config" / "calendar" / "cn.yaml")
NIGHT = Schedule(((22 * 60, 30 * 60),), calendar=CHINA)
OFF_HOURS = Schedule(((8 * 60, 18 * 60),), "workdays", True, CHINA)
REST = Schedule(((0, 1440),), "restdays", False, CHINA)
BROKEN = Schedule(((8 * 60, 12 * 60), (11 * 60, 14 * 60), (23 * 60, 25 * 60)), calendar=CHINA)


def at(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}+08:00").timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("schedule", "text", "active"),
    [
        (NIGHT, "2026-03-02T21:59:59", False),
        (NIGHT, "2026-03-02T22:00", True),
        (NIGHT, "2026-03-03T05:59:59", True),
        (NIGHT, "2026-03-03T06:00", False),
        (OFF_HOURS, "2026-03-02T12:00", False),
        (OFF_HOURS, "2026-03-02T18:00", True),
        (OFF_HOURS, "2026-02-16T12:00", True),  # Spring Festival, a Monday
        (OFF_HOURS, "2026-02-14T12:00", False),  # a Saturday that is worked
        (REST, "2026-02-28T12:00", False),  # another
        (REST, "2026-03-01T00:00", True),
        (BROKEN, "2026-03-02T11:30", True),
        (BROKEN, "2026-03-02T13:59", True),
        (BROKEN, "2026-03-02T14:00", False),
        (BROKEN, "2026-03-03T00:30", True),
    ],
)
def test_hours_are_of_their_day_in_the_calendar_s_time_zone(schedule: Schedule, text: str, active: bool) -> None:
    assert schedule.active(at(text)) is active


@pytest.mark.parametrize(
    ("schedule", "text", "edge"),
    [
        (NIGHT, "2026-03-02T12:00", "2026-03-02T22:00"),
        (NIGHT, "2026-03-02T22:00", "2026-03-03T06:00"),
        (OFF_HOURS, "2026-02-14T18:00", "2026-02-24T08:00"),
        (BROKEN, "2026-03-02T09:00", "2026-03-02T14:00"),
    ],
)
def test_the_next_edge_is_found_also_behind_a_long_holiday(schedule: Schedule, text: str, edge: str) -> None:
    assert schedule.turns(at(text)) == at(edge)


@pytest.mark.parametrize("schedule", [NIGHT, OFF_HOURS, REST, BROKEN], ids=["night", "off hours", "rest", "broken"])
@given(minutes=st.integers(0, 40 * 1440))
@settings(max_examples=40, deadline=None)
def test_between_two_edges_nothing_changes(schedule: Schedule, minutes: int) -> None:
    start = at("2026-02-01T00:00") + minutes * 60_000_000
    edge = schedule.turns(start)
    assert edge is not None and edge > start
    step = int(timedelta(minutes=7).total_seconds() * 1_000_000)
    assert {schedule.active(instant) for instant in range(start, edge, step)} == {schedule.active(start)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("22:00-06:00", (1320, 1800)),
        ("8:30 - 18:00", (510, 1080)),
        ("00:00-24:00", (0, 1440)),
        ("22-6", None),
        ("8:00-8:00", None),
        ("8:60-9:00", None),
        ("8:00-25:00", None),
        ("8:0-9:00", None),
        ("-", None),
        ("８:00-9:00", None),
    ],
)
def test_a_span_of_hours_is_read_or_refused(text: str, found: tuple[int, int] | None) -> None:
    assert minutes_of(text) == found
