"""The life of a work order: every action at every stage and by every role, and what must never happen on any path."""

from collections.abc import Iterator
from typing import get_args

import pytest
from cases_world import (
    BOSS,
    DESK,
    HOLDS,
    NOON,
    PUMPS,
    QUIET,
    ROUND,
    STREET,
    TO_CHECK,
    TO_FILED,
    TO_SIGNED,
    TO_WORK,
    UNTIL,
    VIEWER,
    WUYE,
    after,
    at_stage,
    dispatched,
    reported,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.alerts import Colour
from ingest.cases import move as moves
from ingest.cases.case import ENDED, MACHINE, Case, CloseKind, Court, PartState, Person, Stage, court
from ingest.cases.clock import Step, deadline, used
from ingest.cases.lifecycle import advance
from ingest.cases.move import MachineMove, Move, action_of
from ingest.cases.refusal import WORDS, MoveRefused, Why
from ingest.cases.terms import HOUR, MINUTE
from ingest.cases.turn import Facts, Turn
from ingest.tokens import Role

EXAMPLES: dict[str, Move | MachineMove] = {
    action_of(move): move
    for move in (
        moves.Accept(),
        moves.Reject(reason="误报"),
        moves.Merge(into="other"),
        moves.File(),
        moves.Cancel(reason="误报"),
        dispatched("wuye", "weibao"),
        moves.Recall(reason="错派"),
        moves.Sign(),
        moves.Return(reason="不归我管"),
        moves.Start(),
        moves.Suspend(reason="等配件"),
        moves.Resume(),
        moves.AskExtension(until=UNTIL, reason="等配件"),
        moves.GrantExtension(),
        moves.RefuseExtension(reason="不行"),
        moves.GivePart(unit="weibao"),
        moves.TakePart(part=2),
        moves.FinishPart(part=1),
        moves.ReturnPart(part=2, reason="不归我管"),
        moves.WaivePart(part=2, reason="不用了"),
        moves.HandIn(result="修好了"),
        moves.Close(),
        moves.Fail(reason="还在漏"),
        moves.Reopen(reason="又漏了"),
        moves.Urge(reason="请抓紧"),
        moves.Supervise(grade=2, reason="群众投诉"),
        moves.ReportBack(text="情况说明"),
        moves.Visit(score=5),
        moves.Attach(alerts=("a",)),
        moves.Regrade(colour=Colour.RED),
        moves.Withdraw(),
        moves.Overdue(step=Step.ACCEPT, rung=1),
    )
}
MACHINES = {"attach", "regrade", "withdraw", "overdue"}

ALLOWED = {
    Stage.REPORTED: {"accept", "reject", "merge"},
    Stage.ACCEPTED: {"reject", "merge", "file", "cancel"},
    Stage.FILED: {"merge", "cancel", "dispatch"},
    Stage.DISPATCHED: {"recall", "sign", "return", "give_part"},
    Stage.SIGNED: {"recall", "return", "start", "ask_extension", "give_part", "finish_part"},
    Stage.IN_PROGRESS: {"recall", "suspend", "ask_extension", "give_part", "finish_part", "hand_in"},
    Stage.SUSPENDED: {"recall", "resume"},
    Stage.VERIFYING: {"close", "fail"},
    Stage.REWORK: {"recall", "start", "ask_extension", "give_part", "finish_part"},
    Stage.CLOSED: {"reopen", "visit"},
    Stage.REJECTED: set(),
    Stage.MERGED: set(),
    Stage.CANCELLED: set(),
}
"""What can be done at each stage of a case that came there the ordinary way, with one unit and nothing asked for."""

EVERYWHERE_OPEN = {"urge", "supervise"}


def by_whom(action: str) -> Person:
    """The lowest that may do it."""
    unit = {"sign", "return", "start", "ask_extension", "give_part", "take_part", "finish_part", "return_part", "waive_part"}
    if action in unit | {"hand_in", "report"}:
        return WUYE
    return BOSS if action in ("reopen", "supervise") else DESK


OPEN_TARGET = Facts(target=True)


def turn(by: Person, facts: Facts = OPEN_TARGET, at: int = NOON + HOUR) -> Turn:
    return Turn(by, facts, at, ROUND)


def refusal(case: Case, move: Move | MachineMove, by: Person, facts: Facts = QUIET, at: int = NOON + HOUR) -> Why:
    with pytest.raises(MoveRefused) as refused:
        advance(case, move, Turn(by, facts, at, ROUND))
    return refused.value.why


def test_the_examples_are_every_move() -> None:
    assert {type(move) for move in EXAMPLES.values()} == {*get_args(Move), *get_args(MachineMove)}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("action", sorted(set(EXAMPLES) - MACHINES - {"report"}))
def test_every_action_at_every_stage_is_taken_or_refused(stage: Stage, action: str) -> None:
    case = at_stage(stage)
    allowed = ALLOWED[stage] | (set() if stage in ENDED else EVERYWHERE_OPEN)
    if action in allowed:
        moved = advance(case, EXAMPLES[action], turn(by_whom(action)))
        assert moved.version == case.version + 1
    else:
        assert refusal(case, EXAMPLES[action], by_whom(action), Facts(target=True)) in (
            Why.WRONG_STAGE,
            Why.NO_SUCH_PART,
            Why.NOT_YOUR_UNIT,
            Why.NO_EXTENSION,
        )


@pytest.mark.parametrize("action", sorted(EXAMPLES))
def test_no_role_below_the_least_may_act_and_only_the_machine_does_what_sensors_say(action: str) -> None:
    order = list(Role)
    least = order.index(by_whom(action).role or Role.ADMIN)
    for stage in Stage:
        for number, role in enumerate(order):
            if action in MACHINES or number < least:
                assert refusal(at_stage(stage), EXAMPLES[action], replace(WUYE, role=role)) is Why.WRONG_ROLE


def test_the_ordinary_way_passes_all_five_steps_and_leaves_its_times() -> None:
    case = at_stage(Stage.CLOSED)
    assert case.version == 8
    times = case.times
    assert [times.accepted, times.filed, times.dispatched, times.signed, times.started, times.handed_in, times.closed] == [
        NOON + n * MINUTE for n in range(7)
    ]
    assert case.close_kind is CloseKind.NORMAL
    assert case.result == "水泵已更换"
    assert [(clock.step, clock.ended_at) for clock in case.past_clocks] == [
        (Step.ACCEPT, NOON),
        (Step.DISPATCH, NOON + 2 * MINUTE),
        (Step.SIGN, NOON + 3 * MINUTE),
        (Step.VERIFY, NOON + 6 * MINUTE),
    ]
    assert case.parts[0].clock.spent == 2 * MINUTE


@pytest.mark.parametrize("stage", [Stage.REPORTED, Stage.ACCEPTED, Stage.FILED, Stage.VERIFYING])
@pytest.mark.parametrize("action", ["reject", "cancel", "close"])
def test_nothing_ends_while_the_condition_holds_but_by_a_supervisors_override_with_a_reason(stage: Stage, action: str) -> None:
    if action not in ALLOWED[stage]:
        return
    case = at_stage(stage)
    plain = EXAMPLES[action]
    overriding = {
        "reject": moves.Reject(reason="现场无水", override=True),
        "cancel": moves.Cancel(reason="现场无水", override=True),
        "close": moves.Close(note="传感器故障", override=True),
    }[action]
    assert refusal(case, plain, BOSS, HOLDS) is Why.CONDITION_HOLDS
    assert refusal(case, overriding, DESK, HOLDS) is Why.CONDITION_HOLDS
    ended = advance(case, overriding, turn(BOSS, HOLDS))
    assert ended.ended
    assert ended.close_kind is (CloseKind.SPECIAL if action == "close" else None)
    if action == "close":
        assert refusal(case, moves.Close(override=True), BOSS, HOLDS) is Why.CONDITION_HOLDS


def test_who_had_a_hand_in_it_neither_closes_nor_fails_it_under_another_token_or_spelling() -> None:
    case = after(reported(), *TO_CHECK)
    same_token = Person("wuye", "别人", Role.SUPERVISOR, "ducha")
    same_person = Person("other", " 王 师傅", Role.ADMIN, "other")
    for by in (same_token, same_person):
        assert refusal(case, moves.Close(), by) is Why.OWN_WORK
        assert refusal(case, moves.Fail(reason="x"), by) is Why.OWN_WORK
    assert advance(case, moves.Fail(reason="x"), turn(MACHINE)).stage is Stage.REWORK


def test_a_failed_check_is_rework_with_what_is_left_of_the_time() -> None:
    case = after(after(reported(), *TO_CHECK), (moves.Fail(reason="还在漏"), DESK), at=NOON + HOUR)
    assert (case.stage, case.counts.rework) == (Stage.REWORK, 1)
    lead = case.lead
    assert lead is not None
    assert deadline(lead.clock, ROUND.duty) == NOON + HOUR + 8 * HOUR - 2 * MINUTE
    again = after(case, (moves.Start(), WUYE), (moves.HandIn(result="再修"), WUYE), (moves.Close(), DESK), at=NOON + 2 * HOUR)
    assert again.stage is Stage.CLOSED


def test_joint_handling_has_a_clock_for_each_unit_and_says_whose_move_it_is() -> None:
    case = after(reported(), *TO_FILED, (dispatched("wuye", "weibao"), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
    assert court(case) is Court.LEAD
    waiting = after(case, (moves.FinishPart(part=1), WUYE), at=NOON + HOUR)
    assert court(waiting) is Court.ASSISTANTS
    lead, assistant = waiting.parts
    assert not lead.clock.runs
    assert used(assistant.clock, NOON + 3 * HOUR, ROUND.duty) == 3 * HOUR - 2 * MINUTE
    assert refusal(waiting, moves.HandIn(result="好了"), WUYE) is Why.PARTS_OWED
    assert refusal(waiting, moves.FinishPart(part=2), WUYE) is Why.NOT_YOUR_UNIT
    done = after(waiting, (moves.TakePart(part=2), PUMPS), (moves.FinishPart(part=2), PUMPS), at=NOON + 4 * HOUR)
    handed = after(done, (moves.HandIn(result="好了"), WUYE), at=NOON + 5 * HOUR)
    assert (handed.stage, court(handed)) == (Stage.VERIFYING, Court.VERIFIER)
    assert handed.parts[0].clock.spent == 57 * MINUTE
    assert refusal(handed, moves.Close(), replace(PUMPS, role=Role.DISPATCHER)) is Why.OWN_WORK


def test_a_part_that_is_waived_or_returned_is_not_owed() -> None:
    case = after(reported(), *TO_FILED, (dispatched("wuye", "weibao", "jiedao"), DESK), (moves.Sign(), WUYE))
    case = after(case, (moves.Start(), WUYE), (moves.WaivePart(part=2, reason="不用了"), WUYE))
    case = after(case, (moves.ReturnPart(part=3, reason="不归我管"), STREET))
    assert [part.state for part in case.parts] == [PartState.WORKING, PartState.WAIVED, PartState.RETURNED]
    assert case.counts.shuffle == 1
    assert refusal(case, moves.WaivePart(part=1, reason="x"), DESK) is Why.NO_SUCH_PART
    assert after(case, (moves.HandIn(result="好了"), WUYE)).stage is Stage.VERIFYING


def test_after_two_returns_a_supervisor_settles_it_and_the_next_unit_must_keep_it() -> None:
    case = after(reported(), *TO_FILED)
    for unit, by in (("wuye", WUYE), ("weibao", PUMPS)):
        case = after(case, (dispatched(unit), DESK), (moves.Return(reason="不归我管"), by))
    assert (case.stage, case.counts.shuffle, case.supervision, court(case)) == (Stage.FILED, 2, 2, Court.SUPERVISOR)
    assert refusal(case, dispatched("jiedao"), DESK) is Why.NEEDS_SUPERVISOR
    settled = after(case, (dispatched("jiedao"), BOSS))
    assert refusal(settled, moves.Return(reason="也不归我管"), STREET) is Why.SETTLED
    recalled = after(settled, (moves.Recall(reason="错派"), DESK))
    assert recalled.counts.wrong_dispatch == 1
    assert refusal(recalled, dispatched("wuye"), DESK) is Why.NEEDS_SUPERVISOR


def test_an_extension_is_asked_before_the_deadline_and_granted_by_somebody_else() -> None:
    case = after(reported(), *TO_WORK)
    ask = moves.AskExtension(until=UNTIL, reason="等配件")
    assert refusal(case, ask, WUYE, at=NOON + 9 * HOUR) is Why.TOO_LATE
    for until in ("2026-11-24T12:30:00+08:00", "2028-11-24T12:30:00+08:00", "tomorrow", "2026-11-26T18:00:00"):
        assert refusal(case, moves.AskExtension(until=until, reason="x"), WUYE) is Why.BAD_INSTANT
    asked = after(case, (ask, WUYE), at=NOON + HOUR)
    assert court(asked) is Court.DESK
    for move in (ask, moves.FinishPart(part=1)):
        assert refusal(asked, move, WUYE) is Why.EXTENSION_PENDING
    assert refusal(asked, moves.Suspend(reason="x"), DESK) is Why.EXTENSION_PENDING
    assert refusal(asked, moves.GrantExtension(), replace(WUYE, role=Role.DISPATCHER)) is Why.OWN_WORK
    granted = after(asked, (moves.GrantExtension(), DESK), at=NOON + 2 * HOUR)
    lead = granted.lead
    assert lead is not None
    assert deadline(lead.clock, ROUND.duty) == 1_795_687_200_000_000
    assert (granted.counts.postpone, granted.extension) == (1, None)
    refused = after(asked, (moves.RefuseExtension(reason="不行"), DESK))
    assert (refused.counts.postpone, refused.extension) == (0, None)


def test_while_it_is_suspended_no_clock_runs() -> None:
    case = after(reported(), *TO_FILED, (dispatched("wuye", "weibao"), DESK), (moves.Sign(), WUYE), (moves.Start(), WUYE))
    hung = after(case, (moves.Suspend(reason="等配件"), DESK), at=NOON + HOUR)
    assert not any(part.clock.runs for part in hung.parts)
    resumed = after(hung, (moves.Resume(), DESK), at=NOON + 9 * HOUR)
    assert [used(part.clock, NOON + 10 * HOUR, ROUND.duty) for part in resumed.parts] == [
        2 * HOUR - 3 * MINUTE,
        2 * HOUR - 2 * MINUTE,
    ]
    assert resumed.counts.hang == 1


def test_a_red_card_closes_only_with_the_units_report() -> None:
    case = after(reported(), *TO_WORK, (moves.Supervise(grade=3, reason="群众投诉"), BOSS))
    assert refusal(case, moves.Supervise(grade=2, reason="x"), BOSS) is Why.NOT_HIGHER
    handed = after(case, (moves.HandIn(result="好了"), WUYE))
    assert refusal(handed, moves.Close(), DESK) is Why.REPORT_OWED
    assert refusal(handed, moves.ReportBack(text="情况说明"), PUMPS) is Why.NOT_YOUR_UNIT
    assert after(handed, (moves.ReportBack(text="情况说明"), WUYE), (moves.Close(), DESK)).stage is Stage.CLOSED


def test_a_closed_case_is_reopened_within_72_hours_by_a_supervisor() -> None:
    case = at_stage(Stage.CLOSED)
    closed = case.times.closed or 0
    assert refusal(case, moves.Reopen(reason="x"), BOSS, at=closed + 72 * HOUR + 1) is Why.TOO_LATE
    back = advance(case, moves.Reopen(reason="又漏了"), turn(BOSS, at=closed + 72 * HOUR))
    assert (back.stage, back.counts.reopened, back.close_kind) == (Stage.FILED, 1, None)
    again = after(back, (dispatched("weibao"), DESK), at=closed + 73 * HOUR)
    assert again.lead is not None
    assert (again.lead.unit, again.times.redispatched) == ("weibao", closed + 73 * HOUR)


def test_work_that_took_too_long_is_closed_as_overdue_also_when_an_extension_came_later() -> None:
    late = after(reported(), *TO_SIGNED[:3])
    late = after(late, (moves.Sign(), WUYE), (moves.Start(), WUYE), (moves.HandIn(result="好了"), WUYE), at=NOON + 3 * HOUR)
    assert after(late, (moves.Close(), DESK), at=NOON + 4 * HOUR).close_kind is CloseKind.OVERDUE
    mistaken = after(late, (moves.Close(kind="mistaken"), DESK), at=NOON + 4 * HOUR)
    assert mistaken.close_kind is CloseKind.MISTAKEN


def test_a_unit_is_named_once() -> None:
    case = after(reported(), *TO_FILED)
    assert refusal(case, dispatched("wuye", "wuye"), DESK) is Why.SAME_UNIT
    joint = after(case, (dispatched("wuye", "weibao"), DESK))
    assert refusal(joint, moves.GivePart(unit="weibao"), DESK) is Why.SAME_UNIT
    assert refusal(joint, moves.GivePart(unit="jiedao"), PUMPS) is Why.NOT_YOUR_UNIT


def test_it_merges_only_into_another_open_case() -> None:
    case = reported()
    assert refusal(case, moves.Merge(into="other"), DESK, Facts(target=False)) is Why.NO_SUCH_CASE
    assert refusal(case, moves.Merge(into=case.id), DESK, Facts(target=True)) is Why.NO_SUCH_CASE
    assert refusal(case, moves.Merge(into="other"), VIEWER, Facts(target=True)) is Why.WRONG_ROLE


def test_every_refusal_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(Why)
    assert all(words.zh and words.en for words in WORDS.values())


PEOPLE = [
    Person(token, name, role, unit)
    for token, name in (("a", "A"), ("b", "B"), ("c", "C"))
    for role in Role
    for unit in ("wuye", "weibao")
]


def choices() -> Iterator[Move | MachineMove]:
    yield from EXAMPLES.values()
    yield moves.Close(note="x", override=True)
    yield moves.Reject(reason="x", override=True)
    yield moves.Cancel(reason="x", override=True)
    yield dispatched("weibao")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(Stage),
    st.lists(
        st.tuples(st.sampled_from(list(choices())), st.sampled_from([*PEOPLE, MACHINE]), st.booleans(), st.integers(0, 9 * HOUR)),
        max_size=40,
    ),
)
def test_on_no_path_does_a_case_close_while_the_condition_holds_or_by_who_did_the_work(
    start: Stage, path: list[tuple[Move | MachineMove, Person, bool, int]]
) -> None:
    case, now = at_stage(start), NOON + HOUR
    for move, by, holds, later in path:
        now += later
        try:
            moved = advance(case, move, Turn(by, Facts(holds, 1, True), now, ROUND))
        except MoveRefused:
            continue
        assert moved.version == case.version + 1
        assert moved.supervision >= case.supervision
        if moved.ended and not case.ended and moved.stage is not Stage.MERGED and holds:
            assert getattr(move, "override", False)
            assert by.role is not None
            assert by.role.includes(Role.SUPERVISOR)
        if moved.stage is Stage.CLOSED and case.stage is not Stage.CLOSED:
            assert not any(hand.token == by.token or hand.name == by.name for hand in case.hands)
            assert not moved.report_due
            assert not any(part.owed for part in moved.parts)
        if moved.ended:
            assert moved.clock is None or not moved.clock.runs
            assert not any(part.clock.runs for part in moved.parts)
        assert sum(part.lead and part.state is not PartState.RETURNED and part.owed for part in moved.parts) <= 1
        case = moved
