"""Supervision (督查督办): the ladder that a clock climbs when nobody acts. Pure.

At 75 % of its limit it reminds (提醒). At 100 % it urges (催办), and the case is under the first grade (黄牌); at 150 % under the
second (the street); at 200 % under the third (红牌, the district): the unit owes a report. What is red is so at 100 %.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from ingest.alerts import Colour
from ingest.cases.case import Case, Stage
from ingest.cases.clock import Clock, instant_of
from ingest.cases.move import Overdue
from ingest.cases.terms import Terms

REMIND, URGE = 1, 2
RUNGS = (0.75, 1.0, 1.5, 2.0)
"""The share of a limit at which a clock is on rung 1, 2, 3, 4."""


class Due(NamedTuple):
    at: int
    move: Overdue


def ladder(case: Case, terms: Terms) -> Due | None:
    """The next rung that any running clock of the case will reach, and when."""
    hours = terms.hours(case.colour)
    found = []
    for part, clock in running(case):
        if clock.rung < len(RUNGS):
            at = instant_of(clock, RUNGS[clock.rung], hours)
            if at is not None:
                found.append(Due(at, Overdue(step=clock.step, rung=clock.rung + 1, part=part)))
    return min(found, key=lambda due: (due.at, due.move.part or 0), default=None)


def climbed(case: Case, rung: int) -> Case:
    """The case when one of its clocks has reached ``rung``."""
    if rung == REMIND:
        return replace(case, counts=replace(case.counts, reminded=case.counts.reminded + 1))
    grade = 3 if case.colour is Colour.RED else rung - 1
    counts = replace(case.counts, urged=case.counts.urged + 1) if rung == URGE else case.counts
    third = grade == 3 > case.supervision
    return replace(
        case, counts=counts, supervision=max(case.supervision, grade), report_due=case.report_due or (third and owes(case))
    )


def owes(case: Case) -> bool:
    """Whether a unit has it: the desk owes itself no report."""
    return case.lead is not None and case.stage is not Stage.VERIFYING


def running(case: Case) -> Iterator[tuple[int | None, Clock]]:
    """The clocks that run: the case's own, without a number, and those of its parts."""
    if case.clock is not None and case.clock.runs:
        yield None, case.clock
    for part in case.parts:
        if part.clock.runs:
            yield part.number, part.clock
