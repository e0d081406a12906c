"""What time and sensors do to a case by themselves: the ladder of supervision, rechecks, reopening, withdrawal."""

import pytest
from cases_world import (
    BOSS,
    DESK,
    DUTY,
    HOLDS,
    NOON,
    QUIET,
    ROUND,
    TO_CHECK,
    TO_FILED,
    TO_SIGNED,
    WUYE,
    after,
    at_stage,
    dispatched,
    reported,
)
from msgspec.structs import replace

from ingest.alerts import Colour
from ingest.cases import move as moves
from ingest.cases.case import MACHINE, Case, Stage
from ingest.cases.clock import Step
from ingest.cases.following import look_at, recheck_at, sensed, timed
from ingest.cases.lifecycle import advance
from ingest.cases.terms import HOUR, MINUTE, Terms
from ingest.cases.turn import Facts, Turn

TWICE = Facts(holds=True, raised=2)


def watched(case: Case, until: int, terms: Terms = ROUND) -> tuple[Case, list[tuple[int, moves.MachineMove]]]:
    """The case at ``until`` when nobody acts, and what happened to it when."""
    happened: list[tuple[int, moves.MachineMove]] = []
    now = look_at(case, 0, terms)
    while now is not None and now <= until:
        move = timed(case, now, terms)
        assert move is not None
        case = advance(case, move, Turn(MACHINE, QUIET, now, terms))
        happened.append((now, move))
        now = look_at(case, now, terms)
    return case, happened


def test_a_clock_reminds_urges_and_climbs_to_the_red_card() -> None:
    case = after(reported(), *TO_SIGNED[:3])
    before = NOON + 2 * MINUTE
    late, happened = watched(case, before + 3 * HOUR)
    assert [(at - before, move) for at, move in happened] == [
        (45 * MINUTE, moves.Overdue(step=Step.SIGN, rung=1)),
        (60 * MINUTE, moves.Overdue(step=Step.SIGN, rung=2)),
        (90 * MINUTE, moves.Overdue(step=Step.SIGN, rung=3)),
        (120 * MINUTE, moves.Overdue(step=Step.SIGN, rung=4)),
    ]
    assert (late.supervision, late.counts.reminded, late.counts.urged, late.report_due) == (3, 1, 1, True)


@pytest.mark.parametrize(("minutes", "grade"), [(44, 0), (45, 0), (60, 1), (90, 2), (120, 3)])
def test_each_grade_comes_at_its_share_of_the_limit(minutes: int, grade: int) -> None:
    late, _ = watched(after(reported(), *TO_SIGNED[:3]), NOON + (2 + minutes) * MINUTE)
    assert late.supervision == grade


def test_what_is_red_and_overdue_is_under_the_third_grade_at_once() -> None:
    case = after(reported(Colour.RED), *TO_FILED, (dispatched(), DESK))
    late, _ = watched(case, NOON + 2 * MINUTE + 5 * MINUTE)
    assert (late.supervision, late.report_due) == (3, True)


def test_the_desk_owes_itself_no_report() -> None:
    late, _ = watched(reported(), NOON + 24 * HOUR)
    assert (late.supervision, late.report_due) == (3, False)


def test_nothing_climbs_at_night_or_while_it_is_suspended() -> None:
    friday = NOON + 3 * 24 * HOUR + 5 * HOUR
    case = reported(at=friday, terms=DUTY)
    assert look_at(case, friday, DUTY) == friday + 22 * MINUTE + MINUTE // 2
    case = reported(at=friday + 50 * MINUTE, terms=DUTY)
    assert look_at(case, friday, DUTY) == friday + 63 * HOUR + 12 * MINUTE + MINUTE // 2
    assert look_at(at_stage(Stage.SUSPENDED), NOON, ROUND) is None


def test_each_part_climbs_by_its_own_clock() -> None:
    case = after(reported(), *TO_FILED, (dispatched("wuye", "weibao"), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
    _, happened = watched(case, NOON + 8 * HOUR)
    assert [(at - NOON, move.part) for at, move in happened if isinstance(move, moves.Overdue)] == [
        (6 * HOUR + 2 * MINUTE, 2),
        (6 * HOUR + 3 * MINUTE, 1),
    ]


def test_a_condition_that_is_raised_anew_fails_the_check_at_once_and_one_that_stays_fails_the_recheck() -> None:
    handed = after(reported(), *TO_CHECK, facts=HOLDS)
    recheck = recheck_at(handed, ROUND)
    assert recheck == NOON + 15 * MINUTE
    assert sensed(handed, HOLDS, Colour.YELLOW, recheck - 1, ROUND) is None
    assert isinstance(sensed(handed, HOLDS, Colour.YELLOW, recheck, ROUND), moves.Fail)
    assert sensed(handed, QUIET, None, recheck, ROUND) is None
    assert isinstance(sensed(handed, TWICE, Colour.YELLOW, NOON + 6 * MINUTE, ROUND), moves.Fail)


def test_the_recheck_is_looked_for_in_time() -> None:
    handed = replace(after(reported(), *TO_CHECK, facts=HOLDS), alerts=("a",))
    assert look_at(handed, NOON + 6 * MINUTE, ROUND) == NOON + 15 * MINUTE


def test_a_closed_case_comes_back_only_when_it_is_raised_anew_and_within_72_hours() -> None:
    closed = at_stage(Stage.CLOSED)
    end = closed.times.closed or 0
    assert isinstance(sensed(closed, HOLDS, Colour.YELLOW, end + 72 * HOUR, ROUND), moves.Reopen)
    assert sensed(closed, HOLDS, Colour.YELLOW, end + 72 * HOUR + 1, ROUND) is None
    assert sensed(closed, QUIET._replace(raised=9), None, end, ROUND) is None
    overridden = after(after(reported(), *TO_CHECK, facts=HOLDS), (moves.Close(note="x", override=True), BOSS), facts=HOLDS)
    assert sensed(overridden, HOLDS, Colour.YELLOW, end, ROUND) is None
    assert isinstance(sensed(overridden, TWICE, Colour.YELLOW, end, ROUND), moves.Reopen)


def test_only_a_blue_case_that_nobody_touched_is_withdrawn_when_it_is_over() -> None:
    blue = replace(reported(Colour.BLUE), alerts=("a",), touched=False)
    assert sensed(blue, QUIET, None, NOON, ROUND) == moves.Withdraw()
    assert sensed(blue, HOLDS, Colour.BLUE, NOON, ROUND) is None
    assert sensed(replace(blue, colour=Colour.YELLOW), QUIET, None, NOON, ROUND) is None
    assert sensed(replace(blue, touched=True), QUIET, None, NOON, ROUND) is None
    assert sensed(replace(blue, alerts=()), QUIET, None, NOON, ROUND) is None
    assert advance(blue, moves.Withdraw(), Turn(MACHINE, QUIET, NOON, ROUND)).stage is Stage.CANCELLED


def test_a_case_takes_the_graver_colour_of_its_alert_and_its_hours_from_then_on() -> None:
    evening = NOON + 5 * HOUR + 50 * MINUTE
    case = reported(at=evening, terms=DUTY)
    assert sensed(case, HOLDS, Colour.RED, evening, DUTY) == moves.Regrade(colour=Colour.RED)
    assert sensed(case, HOLDS, Colour.BLUE, evening, DUTY) is None
    graver = advance(case, moves.Regrade(colour=Colour.RED), Turn(MACHINE, QUIET, evening + 5 * HOUR, DUTY))
    assert graver.clock is not None
    assert graver.clock.spent == 10 * MINUTE
    assert look_at(graver, evening, DUTY) == evening + 5 * HOUR + 12 * MINUTE + MINUTE // 2
