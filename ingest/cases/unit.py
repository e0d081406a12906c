"""What the units do with a case (联动联处): sign for it, work on it, share it, send it back, hand it in. Pure."""

from msgspec.structs import replace

from ingest import instant
from ingest.cases import joint
from ingest.cases import move as moves
from ingest.cases.case import Case, Extension, Part, PartState, Person, Stage
from ingest.cases.clock import Step, begun, deadline, ended, resumed
from ingest.cases.refusal import MoveRefused, Why
from ingest.cases.turn import Turn, enter, first_time, had_a_hand, passed_on, taken_back, undecided
from ingest.tokens import Role

MAX_AHEAD_US = 366 * 24 * 3600 * 1_000_000


def sign(case: Case, _move: moves.Sign, turn: Turn) -> Case:
    lead = joint.lead_of(case, turn.by)
    working = replace(lead, state=PartState.WORKING, clock=resumed(lead.clock, turn.at))
    signed = replace(case, parts=joint.with_part(case.parts, working), times=first_time(case, "signed", turn.at))
    return enter(had_a_hand(signed, turn), Stage.SIGNED, None, turn)


def return_(case: Case, _move: moves.Return, turn: Turn) -> Case:
    joint.lead_of(case, turn.by)
    if case.settled:
        raise MoveRefused(Why.SETTLED)
    return taken_back(passed_on(case), PartState.RETURNED, turn)


def start(case: Case, _move: moves.Start, turn: Turn) -> Case:
    joint.lead_of(case, turn.by)
    return replace(had_a_hand(case, turn), stage=Stage.IN_PROGRESS, times=first_time(case, "started", turn.at))


def ask_extension(case: Case, move: moves.AskExtension, turn: Turn) -> Case:
    lead = joint.lead_of(case, turn.by)
    undecided(case)
    due = deadline(lead.clock, turn.terms.hours(case.colour))
    if due is None or turn.at > due:
        raise MoveRefused(Why.TOO_LATE)
    try:
        until = instant.parse(move.until)
    except ValueError as error:
        raise MoveRefused(Why.BAD_INSTANT) from error
    if not due < until <= turn.at + MAX_AHEAD_US:
        raise MoveRefused(Why.BAD_INSTANT)
    return replace(had_a_hand(case, turn), extension=Extension(until, move.reason, turn.by))


def give_part(case: Case, move: moves.GivePart, turn: Turn) -> Case:
    _lead_or_desk(case, turn.by)
    if any(part.owed and part.unit == move.unit for part in case.parts):
        raise MoveRefused(Why.SAME_UNIT)
    limit = joint.limit_of(case, move.limit_s, turn.terms)
    return replace(case, parts=joint.given(case.parts, move.unit, move.task, begun(Step.HANDLE, limit, turn.at), lead=False))


def take_part(case: Case, move: moves.TakePart, turn: Turn) -> Case:
    part = joint.part_of(case, move.part, turn.by)
    if part.lead or part.state is not PartState.GIVEN:
        raise MoveRefused(Why.NO_SUCH_PART)
    return replace(had_a_hand(case, turn), parts=joint.with_part(case.parts, replace(part, state=PartState.WORKING)))


def finish_part(case: Case, move: moves.FinishPart, turn: Turn) -> Case:
    part = joint.part_of(case, move.part, turn.by)
    if part.state is not PartState.WORKING:
        raise MoveRefused(Why.NO_SUCH_PART)
    if part.lead:
        undecided(case)
    return replace(had_a_hand(case, turn), parts=_settled_part(case, part.number, PartState.DONE, move.note, turn))


def return_part(case: Case, move: moves.ReturnPart, turn: Turn) -> Case:
    part = joint.part_of(case, move.part, turn.by)
    if part.lead:
        raise MoveRefused(Why.NO_SUCH_PART)
    return passed_on(replace(case, parts=_settled_part(case, part.number, PartState.RETURNED, move.reason, turn)))


def waive_part(case: Case, move: moves.WaivePart, turn: Turn) -> Case:
    _lead_or_desk(case, turn.by)
    part = joint.find(case, move.part)
    if part.lead:
        raise MoveRefused(Why.NO_SUCH_PART)
    return replace(case, parts=_settled_part(case, part.number, PartState.WAIVED, move.reason, turn))


def hand_in(case: Case, move: moves.HandIn, turn: Turn) -> Case:
    lead = joint.lead_of(case, turn.by)
    if any(part.owed for part in case.parts if not part.lead):
        raise MoveRefused(Why.PARTS_OWED)
    parts = _settled_part(case, lead.number, PartState.DONE, lead.note, turn) if lead.owed else case.parts
    handed = replace(
        had_a_hand(case, turn),
        parts=parts,
        extension=None,
        result=move.result,
        raised=turn.facts.raised,
        times=replace(case.times, handed_in=turn.at),
    )
    return enter(handed, Stage.VERIFYING, Step.VERIFY, turn)


def report(case: Case, _move: moves.ReportBack, turn: Turn) -> Case:
    joint.lead_of(case, turn.by)
    return replace(case, report_due=False)


def _lead_or_desk(case: Case, by: Person) -> None:
    if by.role is None or not by.role.includes(Role.DISPATCHER):
        joint.lead_of(case, by)


def _settled_part(case: Case, number: int, state: PartState, note: str, turn: Turn) -> tuple[Part, ...]:
    part = joint.find(case, number)
    if not part.owed:
        raise MoveRefused(Why.NO_SUCH_PART)
    clock = ended(part.clock, turn.at, turn.terms.hours(case.colour))
    return joint.with_part(case.parts, replace(part, state=state, note=note, clock=clock))
