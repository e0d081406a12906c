"""Counters that start again at zero when they are full: how far one has counted, from what it said before and says now.

What a device says falls when the counter wraps and also when the device is reset or exchanged. The two are told apart by
where it was: a fall from the last quarter of the counter into its first is a wrap, any other fall a reset. After a reset
the count is what the device says, without the wraps before it.
"""

import math
from typing import NamedTuple

LAST_QUARTER, FIRST_QUARTER = 0.75, 0.25
ROUNDING = 1e-11
"""Of one round: less than a step of any counter of 32 bits, more than what is lost in floats."""


class Count(NamedTuple):
    """A counter that went round ``wraps`` times and stands at ``position`` of this round, 0 up to 1."""

    wraps: int
    position: float

    def total(self, said: float, wrap: float) -> int | float:
        """How far it has counted when the device says ``said``; in its unit, as is ``wrap``, where it starts again."""
        if not self.wraps:
            return said
        total = said + self.wraps * wrap
        return int(total) if isinstance(said, int) else float(f"{total:.15g}")  # a sum without the noise of its floats


def unwrap(previous: Count | None, said: float, wrap: float) -> Count:
    """The count after the device said ``said``."""
    position = said / wrap
    if previous is None:
        return Count(0, position)
    if position >= previous.position - ROUNDING:
        return Count(previous.wraps, position)
    wrapped = previous.position >= LAST_QUARTER and position < FIRST_QUARTER
    return Count(previous.wraps + 1 if wrapped else 0, position)


def count_of(total: float, wrap: float) -> Count:
    """The count that gave this total: the inverse of ``Count.total``."""
    rounds = total / wrap
    wraps = max(0, math.floor(rounds + ROUNDING))
    return Count(wraps, rounds - wraps)
