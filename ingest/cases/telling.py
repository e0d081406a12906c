"""What people hear of a work order, in the transaction that makes it so: whose it is now, and whose time runs out. Pure.

1. Each is told once: what gives the work order to nobody else, raises no count and no grade of supervision tells nothing.
2. One change has one word, its gravest: under a higher grade, else urged, else reminded, else what was done.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from ingest.cases import move as moves
from ingest.cases.case import HANDLED, Case, Court, Part, court
from ingest.cases.clock import Clock, Step, deadline
from ingest.cases.move import MachineMove, Move
from ingest.cases.supervision import running
from ingest.cases.terms import Terms


class CaseChange(StrEnum):
    """派单, 收回, 退回, 反馈, 返工, 重开; 提醒 at 75 % of a limit; 催办 at its end or by hand, with the first grade
    (黄牌); 督办 under the second and third."""

    DISPATCHED = "dispatched"
    RECALLED = "recalled"
    RETURNED = "returned"
    HANDED_IN = "handed_in"
    REWORK = "rework"
    REOPENED = "reopened"
    REMINDED = "reminded"
    URGED = "urged"
    SUPERVISED = "supervised"


class Moved(NamedTuple):
    """A work order as it was then. ``units`` are those whom it concerns, of a dispatch the lead before who assists; none is
    the desk. ``due_at`` is the end of the time for ``step``, if it runs."""

    case: Case
    change: CaseChange
    step: Step | None
    units: tuple[str, ...]
    due_at: int | None
    event_at: int
    known_at: int

    @property
    def court(self) -> Court:
        return court(self.case)


Told = Callable[[sa.Connection, Moved], None]
"""Hears of each, within the transaction that makes it."""


def nobody(_connection: sa.Connection, _moved: Moved) -> None:
    """Nobody is told."""


_DONE: Mapping[type[Move | MachineMove], CaseChange] = {
    moves.Dispatch: CaseChange.DISPATCHED,
    moves.GivePart: CaseChange.DISPATCHED,
    moves.Recall: CaseChange.RECALLED,
    moves.WaivePart: CaseChange.RECALLED,
    moves.Return: CaseChange.RETURNED,
    moves.ReturnPart: CaseChange.RETURNED,
    moves.HandIn: CaseChange.HANDED_IN,
    moves.Fail: CaseChange.REWORK,
    moves.Reopen: CaseChange.REOPENED,
}


def told_of(before: Case, after: Case, move: Move | MachineMove, event_at: int, known_at: int, terms: Terms) -> Moved | None:
    """What people hear of a change of a case, if anything."""
    change = _pressed(before, after)
    if change is not None:
        units, clock = _pressing(before, after)
    else:
        change = _DONE.get(type(move))
        if change is None:
            return None
        units, clock = _concerned(before, after, change)
    due_at = deadline(clock, terms.hours(after.colour)) if clock is not None else None
    return Moved(after, change, clock.step if clock is not None else None, units, due_at, event_at, known_at)


def _pressed(before: Case, after: Case) -> CaseChange | None:
    if after.supervision > max(before.supervision, 1):
        return CaseChange.SUPERVISED
    if after.counts.urged > before.counts.urged or after.supervision > before.supervision:
        return CaseChange.URGED
    return CaseChange.REMINDED if after.counts.reminded > before.counts.reminded else None


Concerned = tuple[tuple[str, ...], Clock | None]
"""Units, and the clock that runs for them."""


def _pressing(before: Case, after: Case) -> Concerned:
    """The clock that climbed, else the first that runs, and the unit whose it is."""
    rungs = {number: clock.rung for number, clock in running(before)}
    found = list(running(after))
    climbed = [(number, clock) for number, clock in found if clock.rung > rungs.get(number, 0)]
    number, clock = next(iter(climbed or found), (None, None))
    return _owner(after, number), clock


def _owner(case: Case, number: int | None) -> tuple[str, ...]:
    part = next((part for part in case.parts if part.number == number), case.lead)
    return (part.unit,) if part is not None and case.stage in HANDLED else ()


def _concerned(before: Case, after: Case, change: CaseChange) -> Concerned:
    """Who has it now, or no longer."""
    match change:
        case CaseChange.DISPATCHED:
            given = after.parts[len(before.parts) :]
            return _units(given), (after.clock if given[0].lead else given[0].clock)
        case CaseChange.RECALLED:
            return _units(part for part in before.parts if part.owed and not after.parts[part.number - 1].owed), None
        case CaseChange.REWORK | CaseChange.RETURNED if after.lead is not None:
            return (after.lead.unit,), after.lead.clock
    return (), after.clock


def _units(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.unit for part in parts))
