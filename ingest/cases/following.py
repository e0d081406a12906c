"""What alerts and time do to a case by themselves. Pure.

1. A condition that is raised anew, or still holds at the recheck, fails the check: the case goes back to its unit.
2. A condition of a closed case that is raised anew within the reopening time reopens it.
3. A blue case that nobody touched is withdrawn when its condition is over.
4. A rule with ``case: auto`` opens a case: red and orange at once and filed; yellow filed, when the alert is acknowledged or
   ``PATIENCE`` old; blue at once, as a report.
"""

from ingest.alerts import Colour
from ingest.cases import move as moves
from ingest.cases.case import Case, Stage
from ingest.cases.move import MachineMove, Move
from ingest.cases.supervision import ladder
from ingest.cases.terms import MINUTE, Terms
from ingest.cases.turn import Facts

PATIENCE = 10 * MINUTE
"""How long a yellow alert waits for a person before it is filed."""

RAISED_AGAIN = "传感器再次触发。The sensor has raised it again."
STILL_HOLDS = "反馈后情况仍然存在。The sensor still shows it after the feedback."

_SERIOUS = (Colour.BLUE, Colour.YELLOW, Colour.ORANGE, Colour.RED)


def first_stage(colour: Colour) -> Stage:
    return Stage.REPORTED if colour is Colour.BLUE else Stage.FILED


def sensed(case: Case, facts: Facts, colour: Colour | None, now: int, terms: Terms) -> Move | MachineMove | None:
    """What the state of its alerts makes of the case, one move at a time. ``colour`` is the gravest of those that hold."""
    anew = facts.holds and facts.raised > case.raised
    if case.stage is Stage.CLOSED:
        within = case.times.closed is not None and now - case.times.closed <= terms.reopen
        return moves.Reopen(reason=RAISED_AGAIN) if anew and within else None
    if case.ended:
        return None
    if colour is not None and _SERIOUS.index(colour) > _SERIOUS.index(case.colour):
        return moves.Regrade(colour=colour)
    if case.stage is Stage.VERIFYING and anew:
        return moves.Fail(reason=RAISED_AGAIN)
    if case.stage is Stage.VERIFYING and facts.holds and now >= recheck_at(case, terms):
        return moves.Fail(reason=STILL_HOLDS)
    if case.stage is Stage.REPORTED and case.alerts and not facts.holds and not case.touched and case.colour is Colour.BLUE:
        return moves.Withdraw()
    return None


def timed(case: Case, now: int, terms: Terms) -> MachineMove | None:
    """What time alone makes of it."""
    due = ladder(case, terms)
    return due.move if due is not None and due.at <= now else None


def look_at(case: Case, now: int, terms: Terms) -> int | None:
    """The next instant after ``now`` at which time alone may change it; ``None``: only people and sensors can."""
    if case.ended:
        return None
    due = ladder(case, terms)
    instants = [due.at] if due else []
    if case.stage is Stage.VERIFYING and case.alerts and recheck_at(case, terms) > now:
        instants.append(recheck_at(case, terms))
    return min(instants, default=None)


def recheck_at(case: Case, terms: Terms) -> int:
    return (case.times.handed_in or 0) + terms.recheck
