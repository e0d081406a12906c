"""What a unit that does not answer may still cost: a few full polls, then one short question now and then.

1. After ``PATIENCE`` polls without any answer a unit is silent: it is no longer polled.
2. A silent unit is probed with one request; the pauses between probes double up to a bound.
3. The bound keeps the probing of one unit below 2 % of the bus's time, and that of all silent units of a bus below 10 %.
4. One answer ends the silence at once; the others that are silent are then probed at their next slot, for what silences
   many at once also ends for all of them at once.

Pure: a value and what becomes of it.
"""

from typing import NamedTuple

PATIENCE = 3
SHARE_OF_BUS = 0.02
SHARE_OF_ALL = 0.1
FIRST_PAUSE_S = 2.0
LEAST_PAUSE_S = 5.0


class Liveness(NamedTuple):
    """``silences`` polls in a row went unanswered; a silent unit is asked again at ``probe_at`` (monotonic seconds)."""

    silences: int = 0
    probe_at: float = 0.0

    @property
    def is_silent(self) -> bool:
        return self.silences >= PATIENCE


ALIVE = Liveness()


def longest_pause(timeout_s: float, silent_units: int = 1) -> float:
    """The longest pause between two probes of one of ``silent_units`` on a bus, seconds."""
    return max(timeout_s / SHARE_OF_BUS, timeout_s * silent_units / SHARE_OF_ALL, LEAST_PAUSE_S)


def may_ask(liveness: Liveness, now: float) -> bool:
    return not liveness.is_silent or now >= liveness.probe_at


def unanswered(liveness: Liveness, now: float, timeout_s: float, silent_units: int = 1) -> Liveness:
    """After a poll or a probe that nobody answered; ``silent_units`` of the bus, this one among them."""
    silences = min(liveness.silences + 1, PATIENCE + 32)
    pause_s = min(FIRST_PAUSE_S * 2.0 ** max(0, silences - PATIENCE), longest_pause(timeout_s, silent_units))
    return Liveness(silences, now + pause_s)


def roused(liveness: Liveness, now: float) -> Liveness:
    """After another unit of the bus has ended its silence."""
    return liveness._replace(probe_at=min(liveness.probe_at, now)) if liveness.is_silent else liveness
