"""What those do with a case who answer for it (反馈, 督办): check it, close it, bring it back, supervise it. Pure."""

from msgspec.structs import replace

from ingest.cases import joint
from ingest.cases import move as moves
from ingest.cases.case import Case, CloseKind, PartState, Stage
from ingest.cases.clock import Step, resumed, used
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.turn import Turn, enter, had_no_hand, may_end


def close(case: Case, move: moves.Close, turn: Turn) -> Case:
    had_no_hand(case, turn)
    if case.report_due:
        raise MoveRefused(Why.REPORT_OWED)
    may_end(move.override and bool(move.note), turn)
    closed = enter(replace(case, times=replace(case.times, closed=turn.at)), Stage.CLOSED, None, turn)
    return replace(closed, close_kind=_kind(closed, move, turn), raised=turn.facts.raised)


def fail(case: Case, _move: moves.Fail, turn: Turn) -> Case:
    had_no_hand(case, turn)
    lead = case.lead
    parts = case.parts
    if lead is not None:
        parts = joint.with_part(parts, replace(lead, state=PartState.WORKING, clock=resumed(lead.clock, turn.at)))
    failed = replace(case, parts=parts, counts=replace(case.counts, rework=case.counts.rework + 1))
    return enter(failed, Stage.REWORK, None, turn)


def reopen(case: Case, _move: moves.Reopen, turn: Turn) -> Case:
    if case.times.closed is None or turn.at - case.times.closed > turn.terms.reopen:
        raise MoveRefused(Why.TOO_LATE)
    counted = replace(case.counts, reopened=case.counts.reopened + 1)
    back = replace(case, counts=counted, close_kind=None, score=None)
    return enter(back, Stage.FILED, Step.DISPATCH, turn)


def urge(case: Case, _move: moves.Urge, turn: Turn) -> Case:
    counted = replace(case.counts, urged=case.counts.urged + 1)
    return replace(case, counts=counted, supervision=max(case.supervision, 1))


def supervise(case: Case, move: moves.Supervise, turn: Turn) -> Case:
    if move.grade <= case.supervision:
        raise MoveRefused(Why.NOT_HIGHER)
    return replace(case, supervision=move.grade, report_due=case.report_due or move.grade == 3)


def visit(case: Case, move: moves.Visit, turn: Turn) -> Case:
    had_no_hand(case, turn)
    return replace(case, score=move.score)


def _kind(case: Case, move: moves.Close, turn: Turn) -> CloseKind:
    if turn.facts.holds:
        return CloseKind.SPECIAL
    if move.kind:
        return CloseKind(move.kind)
    hours = turn.terms.hours(case.colour)
    clocks = (*case.past_clocks, *(part.clock for part in case.parts if part.state is PartState.DONE))
    return CloseKind.OVERDUE if any(used(clock, turn.at, hours) > clock.limit for clock in clocks) else CloseKind.NORMAL
