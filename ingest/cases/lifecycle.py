"""The life of a work order: a case and what is done with it give the case that follows, or a refusal. Pure.

1. A case ends (closed, rejected, cancelled) while its alert's condition holds only by a supervisor's override. A merged case's
   alerts go on in the one that it was merged into.
2. Nobody who had a hand in the work closes it or fails it; nobody grants the extension they asked for.
3. It is handed in only when every part is done or waived, and closed only when no report is owed.
4. The third unit to have it must keep it: after two returns a supervisor settles whose it is.
5. Every move adds one to the version. The grade of supervision never falls.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from ingest.cases import checking, desk, gates, sensed, unit
from ingest.cases import move as moves
from ingest.cases.case import Case
from ingest.cases.move import MachineMove, Move
from ingest.cases.turn import Turn


def advance(case: Case, move: Move | MachineMove, turn: Turn) -> Case:
    """The case after ``move``. Raises ``MoveRefused``; then the case stands as it was."""
    gates.check(case, move, turn.by)
    after = _STEPS[type(move)](case, move, turn)
    return replace(after, version=case.version + 1, touched=case.touched or turn.by.role is not None)


_STEPS: Mapping[type[Move | MachineMove], Callable[[Case, Any, Turn], Case]] = {
    moves.Accept: desk.accept,
    moves.Reject: desk.reject,
    moves.Merge: desk.merge,
    moves.File: desk.file,
    moves.Cancel: desk.cancel,
    moves.Dispatch: desk.dispatch,
    moves.Recall: desk.recall,
    moves.Sign: unit.sign,
    moves.Return: unit.return_,
    moves.Start: unit.start,
    moves.Suspend: desk.suspend,
    moves.Resume: desk.resume,
    moves.AskExtension: unit.ask_extension,
    moves.GrantExtension: desk.grant_extension,
    moves.RefuseExtension: desk.refuse_extension,
    moves.GivePart: unit.give_part,
    moves.TakePart: unit.take_part,
    moves.FinishPart: unit.finish_part,
    moves.ReturnPart: unit.return_part,
    moves.WaivePart: unit.waive_part,
    moves.HandIn: unit.hand_in,
    moves.Close: checking.close,
    moves.Fail: checking.fail,
    moves.Reopen: checking.reopen,
    moves.Urge: checking.urge,
    moves.Supervise: checking.supervise,
    moves.ReportBack: unit.report,
    moves.Visit: checking.visit,
    moves.Attach: sensed.attach,
    moves.Regrade: sensed.regrade,
    moves.Withdraw: sensed.withdraw,
    moves.Overdue: sensed.overdue,
}
