"""Who may do what, and at which stage: the table that every move must pass first. Pure.

Roles stand in order: who may dispatch may also handle, provided the unit is theirs. What the machine does passes by the role.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ingest.cases import move as moves
from ingest.cases.case import ENDED, Case, Person, Stage
from ingest.cases.move import MachineMove, Move
from ingest.cases.refusal import MoveRefused, Why
from ingest.tokens import Role


class Gate(NamedTuple):
    """``least`` is the lowest role; ``None``: the machine alone."""

    stages: frozenset[Stage]
    least: Role | None


def _at(*stages: Stage) -> frozenset[Stage]:
    return frozenset(stages)


_BEFORE_FILING = _at(Stage.REPORTED, Stage.ACCEPTED)
_WITH_UNIT = _at(Stage.DISPATCHED, Stage.SIGNED)
_WORKED_ON = _at(Stage.SIGNED, Stage.IN_PROGRESS, Stage.REWORK)
_JOINT = _at(Stage.DISPATCHED, Stage.SIGNED, Stage.IN_PROGRESS, Stage.REWORK)
_OPEN = frozenset(Stage) - ENDED

GATES: Mapping[type[Move | MachineMove], Gate] = {
    moves.Accept: Gate(_at(Stage.REPORTED), Role.DISPATCHER),
    moves.Reject: Gate(_BEFORE_FILING, Role.DISPATCHER),
    moves.Merge: Gate(_BEFORE_FILING | _at(Stage.FILED), Role.DISPATCHER),
    moves.File: Gate(_at(Stage.ACCEPTED), Role.DISPATCHER),
    moves.Cancel: Gate(_at(Stage.ACCEPTED, Stage.FILED), Role.DISPATCHER),
    moves.Dispatch: Gate(_at(Stage.FILED), Role.DISPATCHER),
    moves.Recall: Gate(_WITH_UNIT | _at(Stage.IN_PROGRESS, Stage.REWORK, Stage.SUSPENDED), Role.DISPATCHER),
    moves.Sign: Gate(_at(Stage.DISPATCHED), Role.HANDLER),
    moves.Return: Gate(_WITH_UNIT, Role.HANDLER),
    moves.Start: Gate(_at(Stage.SIGNED, Stage.REWORK), Role.HANDLER),
    moves.Suspend: Gate(_at(Stage.IN_PROGRESS), Role.DISPATCHER),
    moves.Resume: Gate(_at(Stage.SUSPENDED), Role.DISPATCHER),
    moves.AskExtension: Gate(_WORKED_ON, Role.HANDLER),
    moves.GrantExtension: Gate(_WORKED_ON, Role.DISPATCHER),
    moves.RefuseExtension: Gate(_WORKED_ON, Role.DISPATCHER),
    moves.GivePart: Gate(_JOINT, Role.HANDLER),
    moves.TakePart: Gate(_JOINT, Role.HANDLER),
    moves.FinishPart: Gate(_JOINT, Role.HANDLER),
    moves.ReturnPart: Gate(_JOINT, Role.HANDLER),
    moves.WaivePart: Gate(_JOINT | _at(Stage.SUSPENDED), Role.HANDLER),
    moves.HandIn: Gate(_at(Stage.IN_PROGRESS), Role.HANDLER),
    moves.Close: Gate(_at(Stage.VERIFYING), Role.DISPATCHER),
    moves.Fail: Gate(_at(Stage.VERIFYING), Role.DISPATCHER),
    moves.Reopen: Gate(_at(Stage.CLOSED), Role.SUPERVISOR),
    moves.Urge: Gate(_OPEN, Role.DISPATCHER),
    moves.Supervise: Gate(_OPEN, Role.SUPERVISOR),
    moves.ReportBack: Gate(_OPEN, Role.HANDLER),
    moves.Visit: Gate(_at(Stage.CLOSED), Role.DISPATCHER),
    moves.Attach: Gate(_OPEN, None),
    moves.Regrade: Gate(_OPEN, None),
    moves.Withdraw: Gate(_at(Stage.REPORTED), None),
    moves.Overdue: Gate(_OPEN, None),
}


def check(case: Case, move: Move | MachineMove, by: Person) -> None:
    """Raises ``MoveRefused`` when this person may not do it, or not now."""
    gate = GATES[type(move)]
    if by.role is not None and (gate.least is None or not by.role.includes(gate.least)):
        raise MoveRefused(Why.WRONG_ROLE)
    if case.stage not in gate.stages:
        raise MoveRefused(Why.WRONG_STAGE)
