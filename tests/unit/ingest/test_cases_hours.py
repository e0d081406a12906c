"""Working time: the calendar's holidays and exchanged days, duty hours, and what is the inverse of what."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts import Colour
from ingest.calendar import Calendar, load_calendar
from ingest.cases.clock import Step, begun, deadline, ended, extended, instant_of, paused, resumed, used
from ingest.cases.hours import AroundTheClock, DutyHours, Shift
from ingest.cases.spec import WorkOrdersSpec, shift_of, terms_of, work_order_problems
from ingest.cases.terms import HOUR, LIMITS, MINUTE
from ingest.instant import parse
from linli.paths import config_dir

CALENDAR = load_calendar(config_dir() / "calendar" / "cn.yaml")
SHIFTS = (Shift(8 * 60, 12 * 60), Shift(14 * 60, 18 * 60))
DUTY = DutyHours(CALENDAR, SHIFTS)


def at(text: str) -> int:
    return int(parse(f"2026-{text}:00+08:00"))


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("11-24T09:00", 1, "11-24T10:00"),
        ("11-24T11:30", 1, "11-24T14:30"),
        ("11-24T17:30", 1, "11-25T08:30"),
        ("11-24T12:00", 4, "11-24T18:00"),
        ("11-27T17:00", 8, "11-30T17:00"),  # over a weekend
        ("11-28T10:00", 1, "11-30T09:00"),  # from a Saturday
        ("09-30T17:00", 2, "10-08T09:00"),  # over the National Day
        ("10-09T17:00", 2, "10-10T09:00"),  # a Saturday worked in exchange
        ("02-13T17:30", 1, "02-14T08:30"),  # another, before the Spring Festival
        ("02-14T17:30", 1, "02-24T08:30"),
    ],
)
def test_working_time_passes_in_the_shifts_of_worked_days_alone(start: str, hours: int, end: str) -> None:
    assert DUTY.after(at(start), hours * HOUR) == at(end)
    assert DUTY.between(at(start), at(end)) == hours * HOUR


def test_what_is_red_runs_at_night_and_what_is_yellow_waits_for_the_morning() -> None:
    terms = terms_of(WorkOrdersSpec(), Path)
    midnight = at("11-24T00:00")
    assert terms.hours(Colour.RED).after(midnight, HOUR) == midnight + HOUR
    assert terms.hours(Colour.ORANGE).after(midnight, HOUR) == midnight + HOUR
    assert terms.hours(Colour.YELLOW).after(midnight, HOUR) == at("11-24T09:00")
    assert terms.hours(Colour.BLUE).after(midnight, HOUR) == at("11-24T09:00")


STARTS = st.integers(at("01-01T00:00"), at("12-31T00:00"))


@settings(max_examples=200, deadline=None)
@given(STARTS, st.integers(1, 40 * HOUR))
def test_between_is_the_inverse_of_after(start: int, span: int) -> None:
    end = DUTY.after(start, span)
    assert DUTY.between(start, end) == span
    assert DUTY.between(start, end - 1) == span - 1


@settings(max_examples=100, deadline=None)
@given(st.lists(STARTS, min_size=3, max_size=3))
def test_working_time_adds_up(instants: list[int]) -> None:
    start, middle, end = sorted(instants)
    assert DUTY.between(start, middle) + DUTY.between(middle, end) == DUTY.between(start, end)
    assert DUTY.between(end, start) == 0 or start == end


def test_a_calendar_of_holidays_alone_ends_nowhere_but_is_not_waited_for() -> None:
    first = datetime(2026, 1, 1).date()  # noqa: DTZ001 - a day
    never = Calendar(CALENDAR.time_zone, frozenset(first + timedelta(days=number) for number in range(3000)))
    assert DutyHours(never, SHIFTS).after(at("01-01T00:00"), HOUR) > at("12-31T00:00")


def test_a_clock_uses_what_it_ran_and_nothing_of_its_pauses() -> None:
    hours = AroundTheClock()
    clock = begun(Step.HANDLE, 4 * HOUR, 0)
    clock = resumed(paused(clock, HOUR, hours), 5 * HOUR)
    assert used(clock, 6 * HOUR, hours) == 2 * HOUR
    assert deadline(clock, hours) == 8 * HOUR
    assert instant_of(clock, 0.75, hours) == 7 * HOUR
    done = ended(clock, 6 * HOUR, hours)
    assert (used(done, 99 * HOUR, hours), deadline(done, hours), done.ended_at) == (2 * HOUR, None, 6 * HOUR)


def test_an_extension_moves_the_deadline_there() -> None:
    clock = extended(begun(Step.HANDLE, HOUR, at("11-24T09:00")), at("11-24T09:30"), at("11-26T18:00"), DUTY)
    assert deadline(clock, DUTY) == at("11-26T18:00")


@pytest.mark.parametrize("text", ["", "08:00", "12:00-08:00", "08:00-08:00", "8-12", "08:60-09:00", "08:00-25:00", "²8:00-12:00"])
def test_what_is_no_part_of_a_day_is_no_shift(text: str) -> None:
    assert shift_of(text) is None


def test_shifts_are_of_one_day_and_in_order(tmp_path: Path) -> None:
    assert shift_of("00:00-24:00") == (0, 1440)
    spec = WorkOrdersSpec(duty=("14:00-18:00", "08:00-12:00", "x"), calendar="gone.yaml")
    problems = [problem.path for problem in work_order_problems(spec, tmp_path.joinpath, "centre.yaml")]
    assert problems == ["work_orders.duty[1]", "work_orders.duty[2]", ""]
    assert not list(work_order_problems(WorkOrdersSpec(), tmp_path.joinpath, "centre.yaml"))


def test_a_limit_of_the_file_stands_for_its_colour_and_step_alone() -> None:
    terms = terms_of(WorkOrdersSpec(limits_min={Colour.RED: {Step.HANDLE: 15}}, recheck_min=5), Path)
    assert terms.limit(Colour.RED, Step.HANDLE) == 15 * MINUTE
    assert terms.limit(Colour.RED, Step.SIGN) == LIMITS[Colour.RED][Step.SIGN]
    assert terms.limit(Colour.YELLOW, Step.HANDLE) == LIMITS[Colour.YELLOW][Step.HANDLE]
    assert terms.recheck == 5 * MINUTE
