"""Counters that start again at zero when they are full: how far one went, from what it said before and says now.

The registers hold ``raw``, which falls when the counter wraps and also when the device is reset. The two are told apart
by where it was: a fall from the upper half of the counter into its lower half is a wrap, any other fall a reset.
"""

from typing import NamedTuple


class Count(NamedTuple):
    """A counter followed over its wraps. ``raw`` is what the device last said, ``total`` what it counted since the first."""

    raw: float
    total: float


def unwrap(previous: Count | None, raw: float, wrap: float) -> Count:
    """The count after ``raw``; ``wrap`` is where the counter starts again, in the unit of ``raw``.

    The first count is the raw value itself. After a reset the counter is taken to have counted on from zero.
    """
    if previous is None:
        return Count(raw, raw)
    step = raw - previous.raw
    if step < 0:
        wrapped = previous.raw >= wrap / 2 > raw
        step = step + wrap if wrapped else raw
    return Count(raw, previous.total + step)
