"""What the desk does with a case (受理, 派单): takes it, files it, sends it to a unit, and decides on more time. Pure."""

from msgspec.structs import replace

from ingest.cases import joint
from ingest.cases import move as moves
from ingest.cases.case import Case, Extension, PartState, Stage, needs_settling
from ingest.cases.clock import Clock, Step, begun, extended, paused, resumed
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.turn import Turn, cancelled, enter, may_end, taken_back, undecided
from ingest.tokens import Role


def accept(case: Case, _move: moves.Accept, turn: Turn) -> Case:
    return enter(replace(case, times=replace(case.times, accepted=turn.at)), Stage.ACCEPTED, Step.DISPATCH, turn)


def reject(case: Case, move: moves.Reject, turn: Turn) -> Case:
    may_end(move.override, turn)
    return enter(cancelled(case, turn), Stage.REJECTED, None, turn)


def merge(case: Case, move: moves.Merge, turn: Turn) -> Case:
    if not turn.facts.target or move.into == case.id:
        raise MoveRefused(Why.NO_SUCH_CASE)
    return enter(replace(cancelled(case, turn), merged_into=move.into), Stage.MERGED, None, turn)


def file(case: Case, _move: moves.File, turn: Turn) -> Case:
    return replace(case, stage=Stage.FILED, times=replace(case.times, filed=turn.at))


def cancel(case: Case, move: moves.Cancel, turn: Turn) -> Case:
    may_end(move.override, turn)
    return enter(cancelled(case, turn), Stage.CANCELLED, None, turn)


def dispatch(case: Case, move: moves.Dispatch, turn: Turn) -> Case:
    settling = needs_settling(case)
    if settling and turn.by.role is not None and not turn.by.role.includes(Role.SUPERVISOR):
        raise MoveRefused(Why.NEEDS_SUPERVISOR)
    units = [move.unit, *(one.unit for one in move.assistants)]
    if len(set(units)) < len(units):
        raise MoveRefused(Why.SAME_UNIT)
    limit = joint.limit_of(case, move.limit_s, turn.terms)
    waiting = Clock(step=Step.HANDLE, limit=limit, begun_at=turn.at)
    parts = joint.given(case.parts, move.unit, "", waiting, lead=True)
    for one in move.assistants:
        parts = joint.given(parts, one.unit, one.task, begun(Step.HANDLE, limit, turn.at), lead=False)
    first = case.times.dispatched is None
    times = replace(case.times, **{"dispatched" if first else "redispatched": turn.at})
    return enter(replace(case, parts=parts, times=times, settled=case.settled or settling), Stage.DISPATCHED, Step.SIGN, turn)


def recall(case: Case, _move: moves.Recall, turn: Turn) -> Case:
    counted = replace(case.counts, wrong_dispatch=case.counts.wrong_dispatch + 1)
    return taken_back(replace(case, counts=counted, settled=False), PartState.RETURNED, turn)


def suspend(case: Case, _move: moves.Suspend, turn: Turn) -> Case:
    undecided(case)
    hours = turn.terms.hours(case.colour)
    parts = tuple(replace(part, clock=paused(part.clock, turn.at, hours)) for part in case.parts)
    return replace(case, stage=Stage.SUSPENDED, parts=parts, counts=replace(case.counts, hang=case.counts.hang + 1))


def resume(case: Case, _move: moves.Resume, turn: Turn) -> Case:
    parts = tuple(replace(part, clock=resumed(part.clock, turn.at)) if part.owed else part for part in case.parts)
    return replace(case, stage=Stage.IN_PROGRESS, parts=parts)


def grant_extension(case: Case, _move: moves.GrantExtension, turn: Turn) -> Case:
    asked, lead = _asked(case), case.lead
    if turn.by.is_one_of((asked.by,)):
        raise MoveRefused(Why.OWN_WORK)
    if lead is None or not lead.clock.runs or asked.until <= turn.at:
        raise MoveRefused(Why.TOO_LATE)
    longer = replace(lead, clock=extended(lead.clock, turn.at, asked.until, turn.terms.hours(case.colour)))
    counted = replace(case.counts, postpone=case.counts.postpone + 1)
    return replace(case, parts=joint.with_part(case.parts, longer), extension=None, counts=counted)


def refuse_extension(case: Case, _move: moves.RefuseExtension, turn: Turn) -> Case:
    _asked(case)
    return replace(case, extension=None)


def _asked(case: Case) -> Extension:
    if case.extension is None:
        raise MoveRefused(Why.NO_EXTENSION)
    return case.extension
