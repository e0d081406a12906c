"""What time, sensors and other cases do with a case. Pure."""

from msgspec.structs import replace

from ingest.cases import joint
from ingest.cases import move as moves
from ingest.cases.case import Case, Stage
from ingest.cases.clock import Clock, paused, resumed
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.supervision import climbed
from ingest.cases.turn import Turn, cancelled, enter, may_end

NAMED_ALERTS = 100
"""A case names its newest alerts; that all of them belong to it stands elsewhere."""


def attach(case: Case, move: moves.Attach, _turn: Turn) -> Case:
    alerts = (*case.alerts, *(one for one in move.alerts if one not in case.alerts))[-NAMED_ALERTS:]
    merged = (*case.merged, move.merged) if move.merged else case.merged
    return replace(case, alerts=alerts, merged=merged)


def regrade(case: Case, move: moves.Regrade, turn: Turn) -> Case:
    """The new hours count from now on; the limits of what is under way stay, those of later steps are of the new colour."""
    before, now = turn.terms.hours(case.colour), turn.at

    def switched(clock: Clock) -> Clock:
        return resumed(paused(clock, now, before), now) if clock.runs else clock

    parts = tuple(replace(part, clock=switched(part.clock)) for part in case.parts)
    return replace(case, colour=move.colour, parts=parts, clock=switched(case.clock) if case.clock else None)


def withdraw(case: Case, _move: moves.Withdraw, turn: Turn) -> Case:
    may_end(False, turn)
    if case.touched:
        raise MoveRefused(Why.WRONG_STAGE)
    return enter(cancelled(case, turn), Stage.CANCELLED, None, turn)


def overdue(case: Case, move: moves.Overdue, turn: Turn) -> Case:
    if move.part is None:
        clock = replace(case.clock, rung=move.rung) if case.clock else None
        return climbed(replace(case, clock=clock), move.rung)
    part = joint.find(case, move.part)
    return climbed(replace(case, parts=joint.with_part(case.parts, joint.at_rung(part, move.rung))), move.rung)
