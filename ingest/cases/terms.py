"""How long each step of a work order may take, by colour, and which hours count: proposals, each to be replaced. Pure.

Red and orange run around the clock, yellow and blue in duty hours; a day of work is eight hours.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ingest.alerts import Colour
from ingest.cases.clock import Step
from ingest.cases.hours import AroundTheClock, Hours

MINUTE = 60_000_000
HOUR = 60 * MINUTE
WORKDAY = 8 * HOUR

LIMITS: Mapping[Colour, Mapping[Step, int]] = {
    Colour.RED: {
        Step.ACCEPT: 2 * MINUTE,
        Step.DISPATCH: 5 * MINUTE,
        Step.SIGN: 5 * MINUTE,
        Step.HANDLE: 30 * MINUTE,
        Step.VERIFY: 30 * MINUTE,
    },
    Colour.ORANGE: {
        Step.ACCEPT: 10 * MINUTE,
        Step.DISPATCH: 15 * MINUTE,
        Step.SIGN: 30 * MINUTE,
        Step.HANDLE: 4 * HOUR,
        Step.VERIFY: 30 * MINUTE,
    },
    Colour.YELLOW: {
        Step.ACCEPT: 30 * MINUTE,
        Step.DISPATCH: HOUR,
        Step.SIGN: HOUR,
        Step.HANDLE: WORKDAY,
        Step.VERIFY: 30 * MINUTE,
    },
    Colour.BLUE: {
        Step.ACCEPT: WORKDAY,
        Step.DISPATCH: WORKDAY,
        Step.SIGN: WORKDAY,
        Step.HANDLE: 3 * WORKDAY,
        Step.VERIFY: WORKDAY,
    },
}

URGENT = frozenset((Colour.RED, Colour.ORANGE))


class Terms(NamedTuple):
    """``recheck`` after the feedback the condition must be over; a closed case may be reopened for ``reopen``."""

    duty: Hours
    limits: Mapping[Colour, Mapping[Step, int]] = LIMITS
    recheck: int = 10 * MINUTE
    reopen: int = 72 * HOUR

    def hours(self, colour: Colour) -> Hours:
        return AroundTheClock() if colour in URGENT else self.duty

    def limit(self, colour: Colour, step: Step) -> int:
        return self.limits[colour][step]
