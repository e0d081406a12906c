"""Reminders of work orders in words, Chinese first. Pure.

A group reads of a case that a sensor has seen its kind and place; of one that a person has reported only its number: what
people write may name somebody.
"""

from ingest.alerts import Colour
from ingest.cases import Case, Pressed, Reminder, Step
from ingest.notify.phrases import DRILL, both, either, local
from ingest.notify.privacy import masked

COLOURS = {Colour.RED: "红色案件", Colour.ORANGE: "橙色案件", Colour.YELLOW: "黄色案件", Colour.BLUE: "蓝色案件"}
HOW = {
    Pressed.REMINDED: "提醒 reminder",
    Pressed.URGED: "催办 urged",
    Pressed.SUPERVISED: "督办 supervised",
}
STEPS = {
    Step.ACCEPT: "受理 accept",
    Step.DISPATCH: "派遣 dispatch",
    Step.SIGN: "签收 sign",
    Step.HANDLE: "处置 handle",
    Step.VERIFY: "核查 verify",
}
GRADES = {1: "黄牌 first grade", 2: "二级 second grade", 3: "红牌 third grade"}


def for_group(reminder: Reminder) -> str:
    case = reminder.case
    seen = f" {masked(both(case.title))} {masked(either(case.place)) or case.device}".rstrip() if case.rule else ""
    return f"{_head(reminder)}{seen}{_rest(reminder)}"


def for_persons(reminder: Reminder) -> str:
    case = reminder.case
    return f"{_head(reminder)} {both(case.title)} {both(case.place)}".rstrip() + _rest(reminder)


def headline(reminder: Reminder) -> str:
    """For a subject."""
    return f"[{COLOURS[reminder.case.colour]}] {both(reminder.case.title)} {HOW[reminder.how]}"


def _head(reminder: Reminder) -> str:
    case = reminder.case
    drill = DRILL if case.drill else ""
    return f"{drill}【{COLOURS[case.colour]}·{HOW[reminder.how]}】{local(reminder.known_at)} {case.no}"


def _rest(reminder: Reminder) -> str:
    """Whose time it is for what, until when, and how grave it has become."""
    said = [STEPS[reminder.step]] if reminder.step is not None else []
    said += [masked(reminder.unit)] if reminder.unit else []
    said += [f"限 due {local(reminder.due_at)}"] if reminder.due_at is not None else []
    said += [_grade(reminder.case)] if reminder.case.supervision else []
    return " · ".join(["", *said])


def _grade(case: Case) -> str:
    report = "，须书面报告 report owed" if case.report_due else ""
    return f"{GRADES[case.supervision]}{report}"
