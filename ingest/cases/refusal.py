"""Why a work order may not be changed so, in both languages; ``kind`` is for programs and never changes its meaning."""

from enum import StrEnum

from telemetry.errors import LinliError
from telemetry.presence import Words


class Why(StrEnum):
    WRONG_STAGE = "wrong-stage"
    WRONG_ROLE = "wrong-role"
    NOT_YOUR_UNIT = "not-your-unit"
    CONDITION_HOLDS = "condition-holds"
    OWN_WORK = "own-work"
    PARTS_OWED = "parts-owed"
    NO_SUCH_PART = "no-such-part"
    REPORT_OWED = "report-owed"
    TOO_LATE = "too-late"
    BAD_INSTANT = "bad-instant"
    EXTENSION_PENDING = "extension-pending"
    NO_EXTENSION = "no-extension"
    SETTLED = "settled"
    NEEDS_SUPERVISOR = "needs-supervisor"
    NO_SUCH_CASE = "no-such-case"
    SAME_UNIT = "same-unit"
    NOT_HIGHER = "not-higher"
    FULL = "full"


WORDS = {
    Why.WRONG_STAGE: Words("案件当前阶段不能执行该操作。", "The work order is not at a stage where this can be done."),
    Why.WRONG_ROLE: Words("该令牌的角色无权执行此操作。", "The role of this token may not do this."),
    Why.NOT_YOUR_UNIT: Words("该案件或子任务属于其他单位。", "The work order, or this part of it, belongs to another unit."),
    Why.CONDITION_HOLDS: Words(
        "传感器显示情况仍然存在；只有督办人员可以说明理由后强制办理。",
        "The sensor still shows the condition; only a supervisor may override this, with a reason.",
    ),
    Why.OWN_WORK: Words("经办人不得核查或批准自己的工作。", "Nobody checks or grants what they did or asked for themselves."),
    Why.PARTS_OWED: Words("仍有子任务未完成或未免除。", "Some parts are neither done nor waived."),
    Why.NO_SUCH_PART: Words("没有这个可操作的子任务。", "There is no such part on which this can be done."),
    Why.REPORT_OWED: Words("红牌督办的书面报告尚未提交。", "The report that the third grade of supervision asks for is owed."),
    Why.TOO_LATE: Words("已超过期限。", "It is too late for this."),
    Why.BAD_INSTANT: Words(
        "时间必须晚于现在和当前期限，且在一年之内。", "Give an instant after now and the deadline, within a year."
    ),
    Why.EXTENSION_PENDING: Words("延期申请尚未决定。", "An extension was asked for and is not decided yet."),
    Why.NO_EXTENSION: Words("没有待决定的延期申请。", "No extension was asked for."),
    Why.SETTLED: Words("归属已由督办人员裁定，不能退回。", "A supervisor has settled whose it is; it cannot be sent back."),
    Why.NEEDS_SUPERVISOR: Words(
        "已两次退回，须由督办人员裁定归属。", "It was sent back twice: a supervisor must say whose it is."
    ),
    Why.NO_SUCH_CASE: Words("没有可以并入的案件。", "There is no open work order of the same community to merge it into."),
    Why.SAME_UNIT: Words("主办与协办不能是同一单位。", "A unit is named once: it leads or it assists."),
    Why.NOT_HIGHER: Words("督办级别只升不降。", "The grade of supervision only rises."),
    Why.FULL: Words("子任务已满。", "The work order has as many parts as it can."),
}


class MoveRefused(LinliError):
    """The work order stays as it is."""

    def __init__(self, why: Why) -> None:
        self.why = why
        self.words = WORDS[why]
        super().__init__(self.words.en)
