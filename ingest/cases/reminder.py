"""Reminders (提醒, 催办, 督办): what people hear of a work order whose time runs out, in the transaction that makes it so. Pure.

1. Each is told once: what raises no count and no grade of supervision tells nothing.
2. One change has one word, its gravest: under a higher grade, else urged, else reminded.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from ingest.cases.case import HANDLED, Case, Court, court
from ingest.cases.clock import Clock, Step, deadline
from ingest.cases.supervision import running
from ingest.cases.terms import Terms


class Pressed(StrEnum):
    """How: 提醒 at 75 % of a limit; 催办 at its end or by hand, with the first grade (黄牌); 督办 under the second and third."""

    REMINDED = "reminded"
    URGED = "urged"
    SUPERVISED = "supervised"


class Reminder(NamedTuple):
    """A work order as it was then. ``unit`` is whose time it is, ``""`` the desk's; ``due_at`` is the end of that time."""

    case: Case
    how: Pressed
    step: Step | None
    unit: str
    due_at: int | None
    event_at: int
    known_at: int

    @property
    def court(self) -> Court:
        return court(self.case)


Reminded = Callable[[sa.Connection, Reminder], None]
"""Hears of each, within the transaction that makes it."""


def nobody(_connection: sa.Connection, _reminder: Reminder) -> None:
    """Nobody is reminded."""


def reminder_of(before: Case, after: Case, event_at: int, known_at: int, terms: Terms) -> Reminder | None:
    """What people hear of a change of a case, if anything."""
    how = _how(before, after)
    if how is None:
        return None
    number, clock = _pressing(before, after)
    due_at = deadline(clock, terms.hours(after.colour)) if clock is not None else None
    return Reminder(after, how, clock.step if clock is not None else None, _owner(after, number), due_at, event_at, known_at)


def _how(before: Case, after: Case) -> Pressed | None:
    if after.supervision > max(before.supervision, 1):
        return Pressed.SUPERVISED
    if after.counts.urged > before.counts.urged or after.supervision > before.supervision:
        return Pressed.URGED
    return Pressed.REMINDED if after.counts.reminded > before.counts.reminded else None


def _pressing(before: Case, after: Case) -> tuple[int | None, Clock | None]:
    """The clock that climbed, else the first that runs, and the part whose it is."""
    rungs = {number: clock.rung for number, clock in running(before)}
    found = list(running(after))
    climbed = [(number, clock) for number, clock in found if clock.rung > rungs.get(number, 0)]
    return next(iter(climbed or found), (None, None))


def _owner(case: Case, number: int | None) -> str:
    part = next((part for part in case.parts if part.number == number), case.lead)
    return part.unit if part is not None and case.stage in HANDLED else ""
