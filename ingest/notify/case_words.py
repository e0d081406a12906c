"""What people are told of work orders, in words, Chinese first. Pure.

A group reads of a case that a sensor has seen its kind and place; of one that a person has reported only its number: what
people write may name somebody. What was handed in is told to persons alone.
"""

from ingest.alerts import Colour
from ingest.cases import Case, CaseChange, Moved, Step
from ingest.notify.phrases import DRILL, both, either, flat, local
from ingest.notify.privacy import masked

COLOURS = {Colour.RED: "红色案件", Colour.ORANGE: "橙色案件", Colour.YELLOW: "黄色案件", Colour.BLUE: "蓝色案件"}
CHANGES = {
    CaseChange.DISPATCHED: "派单 dispatched",
    CaseChange.RECALLED: "已收回 recalled",
    CaseChange.RETURNED: "退回 returned",
    CaseChange.HANDED_IN: "已反馈，待核查 handed in",
    CaseChange.REWORK: "返工 rework",
    CaseChange.REOPENED: "重开 reopened",
    CaseChange.REMINDED: "提醒 reminder",
    CaseChange.URGED: "催办 urged",
    CaseChange.SUPERVISED: "督办 supervised",
}
STEPS = {
    Step.ACCEPT: "受理 accept",
    Step.DISPATCH: "派遣 dispatch",
    Step.SIGN: "签收 sign",
    Step.HANDLE: "处置 handle",
    Step.VERIFY: "核查 verify",
}
GRADES = {1: "黄牌 first grade", 2: "二级 second grade", 3: "红牌 third grade"}


def for_group(moved: Moved) -> str:
    case = moved.case
    seen = f" {masked(both(case.title))} {masked(either(case.place)) or case.device}".rstrip() if case.rule else ""
    return f"{_head(moved)}{seen}{_rest(moved)}"


def for_persons(moved: Moved) -> str:
    case = moved.case
    result = f"\n{flat(case.result)}" if moved.change is CaseChange.HANDED_IN else ""
    return f"{_head(moved)} {both(case.title)} {both(case.place)}".rstrip() + _rest(moved) + result


def headline(moved: Moved) -> str:
    """For a subject."""
    return f"[{COLOURS[moved.case.colour]}] {both(moved.case.title)} {CHANGES[moved.change]}"


def _head(moved: Moved) -> str:
    case = moved.case
    drill = DRILL if case.drill else ""
    return f"{drill}【{COLOURS[case.colour]}·{CHANGES[moved.change]}】{local(moved.known_at)} {case.no}"


def _rest(moved: Moved) -> str:
    """Whom it concerns, for what, until when, and how grave it has become."""
    said = [STEPS[moved.step]] if moved.step is not None else []
    said += [_units(moved)] if moved.units else []
    said += [f"限 due {local(moved.due_at)}"] if moved.due_at is not None else []
    said += [_grade(moved.case)] if moved.case.supervision else []
    return " · ".join(["", *said])


def _units(moved: Moved) -> str:
    """Of a dispatch the first one leads, unless it joins one that does."""
    lead = moved.case.lead
    first, *others = map(masked, moved.units)
    leads = moved.change is CaseChange.DISPATCHED and lead is not None and lead.unit == moved.units[0]
    assistants = f"，协办 with {'、'.join(others)}" if others else ""
    return f"{'主办 lead ' if leads else ''}{first}{assistants}"


def _grade(case: Case) -> str:
    report = "，须书面报告 report owed" if case.report_due else ""
    return f"{GRADES[case.supervision]}{report}"
