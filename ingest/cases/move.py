"""What can be done with a work order, as it is written: ``{"action": "dispatch", "unit": "wuye-jianye"}``.

Frozen values; ``ingest.cases.lifecycle`` says who may do what when, and what comes of it.
"""

from typing import Annotated, Literal

import msgspec

from ingest.alerts import Colour
from ingest.cases.clock import Step

NO_CONTROLS = r"^[^\x00-\x09\x0b-\x1f\x7f]*\Z"
Text = Annotated[str, msgspec.Meta(max_length=500, pattern=NO_CONTROLS)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_CONTROLS, description="Why.")]
Unit = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+\Z", description="A unit as its tokens name it."),
]
Number = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Limit = Annotated[float, msgspec.Meta(gt=0, le=31_536_000, description="Seconds of working time.")]
Instant = Annotated[
    str, msgspec.Meta(max_length=40, description="RFC 3339 with an offset.", examples=["2026-11-25T18:00:00+08:00"])
]


Name = Annotated[
    str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z", description="Who did it, else the token's name.")
]


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="action"):
    """``happened_at``: when it was done, if it is entered later."""

    by: Name = ""
    happened_at: Instant = ""


class _Sensed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="action"):
    pass


class Accept(_Said, frozen=True, tag="accept"):
    """受理: the desk takes the report."""


class Reject(_Said, frozen=True, tag="reject"):
    """不予受理: it is no case. While its alert's condition holds, only with a supervisor's ``override``."""

    reason: Reason
    override: bool = False


class Merge(_Said, frozen=True, tag="merge"):
    """合并: another case has it already; both numbers stay."""

    into: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,64}\Z")]
    reason: Text = ""


class File(_Said, frozen=True, tag="file"):
    """核实、立案: it is true, and it is a case."""


class Cancel(_Said, frozen=True, tag="cancel"):
    """作废: before it is dispatched. While its alert's condition holds, only with a supervisor's ``override``."""

    reason: Reason
    override: bool = False


class Assistant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """协办: another unit, and what it is to do."""

    unit: Unit
    task: Text = ""


class Dispatch(_Said, frozen=True, tag="dispatch"):
    """派遣: one unit leads, others assist. After two returns only a supervisor, and that unit cannot send it back."""

    unit: Unit
    assistants: Annotated[tuple[Assistant, ...], msgspec.Meta(max_length=20)] = ()
    limit_s: Limit | None = None


class Recall(_Said, frozen=True, tag="recall"):
    """错派: it was sent to the wrong unit."""

    reason: Reason


class Sign(_Said, frozen=True, tag="sign"):
    """签收: the unit has it."""


class Return(_Said, frozen=True, tag="return"):
    """退回: the unit says that it is not its own."""

    reason: Reason


class Start(_Said, frozen=True, tag="start"):
    """The work begins, also when a check has failed."""


class Suspend(_Said, frozen=True, tag="suspend"):
    """挂账: nothing can be done for now; the clocks stand still."""

    reason: Reason


class Resume(_Said, frozen=True, tag="resume"):
    """It goes on."""


class AskExtension(_Said, frozen=True, tag="ask_extension"):
    """申请延期: before the deadline, with a reason."""

    until: Instant
    reason: Reason


class GrantExtension(_Said, frozen=True, tag="grant_extension"):
    """准予延期: by somebody else than who asked."""


class RefuseExtension(_Said, frozen=True, tag="refuse_extension"):
    """不予延期."""

    reason: Reason


class GivePart(_Said, frozen=True, tag="give_part"):
    """One more unit assists."""

    unit: Unit
    task: Text = ""
    limit_s: Limit | None = None


class TakePart(_Said, frozen=True, tag="take_part"):
    """An assisting unit begins its part."""

    part: Number


class FinishPart(_Said, frozen=True, tag="finish_part"):
    """A unit has done its part; when it is the lead's, its clock stands still while the others finish theirs."""

    part: Number
    note: Text = ""


class ReturnPart(_Said, frozen=True, tag="return_part"):
    """An assisting unit says that its part is not its own."""

    part: Number
    reason: Reason


class WaivePart(_Said, frozen=True, tag="waive_part"):
    """A part is no longer needed: the lead or the desk says so."""

    part: Number
    reason: Reason


class HandIn(_Said, frozen=True, tag="hand_in"):
    """处置反馈: the lead says that it is done, and what was done."""

    result: Reason


class Close(_Said, frozen=True, tag="close"):
    """结案: somebody who had no hand in it has checked. While the condition holds, only with a supervisor's ``override``."""

    note: Text = ""
    kind: Literal["mistaken"] | None = None
    override: bool = False


class Fail(_Said, frozen=True, tag="fail"):
    """返工: it is not done."""

    reason: Reason


class Reopen(_Said, frozen=True, tag="reopen"):
    """It is back, within 72 hours."""

    reason: Reason


class Urge(_Said, frozen=True, tag="urge"):
    """催办."""

    reason: Reason


class Supervise(_Said, frozen=True, tag="supervise"):
    """督办: to a higher grade; at the third the unit owes a report."""

    grade: Annotated[int, msgspec.Meta(ge=1, le=3)]
    reason: Reason


class ReportBack(_Said, frozen=True, tag="report"):
    """督办回复: the report that the third grade asks for."""

    text: Reason


class Visit(_Said, frozen=True, tag="visit"):
    """回访: what those who live there say of it, 1 to 5."""

    score: Annotated[int, msgspec.Meta(ge=1, le=5)]
    note: Text = ""


Move = (
    Accept
    | Reject
    | Merge
    | File
    | Cancel
    | Dispatch
    | Recall
    | Sign
    | Return
    | Start
    | Suspend
    | Resume
    | AskExtension
    | GrantExtension
    | RefuseExtension
    | GivePart
    | TakePart
    | FinishPart
    | ReturnPart
    | WaivePart
    | HandIn
    | Close
    | Fail
    | Reopen
    | Urge
    | Supervise
    | ReportBack
    | Visit
)
"""What a person may say."""


class Attach(_Sensed, frozen=True, tag="attach"):
    """The alert came back as a new one, or another case was merged into this one: they belong to it now."""

    alerts: tuple[str, ...] = ()
    merged: str = ""


class Regrade(_Sensed, frozen=True, tag="regrade"):
    """The alert became more serious."""

    colour: Colour


class Withdraw(_Sensed, frozen=True, tag="withdraw"):
    """It was over before anybody touched it."""


class Overdue(_Sensed, frozen=True, tag="overdue"):
    """A clock has reached a rung of the ladder; ``part`` is ``None`` for the case's own clock."""

    step: Step
    rung: int
    part: int | None = None


MachineMove = Attach | Regrade | Withdraw | Overdue
"""What only time, sensors and other cases bring about."""


def action_of(move: Move | MachineMove) -> str:
    return str(type(move).__struct_config__.tag)
