"""What a unit that does not answer may still cost: a few full polls, then one short question now and then.

1. After ``PATIENCE`` polls without any answer a unit is silent: it is no longer polled.
2. A silent unit is probed with one request; the pauses between probes double up to a bound.
3. The bound keeps probing below 2 % of the bus's time: fifty time-outs, but 5 s at least and 60 s at most.
4. One answer ends the silence at once.

Pure: a value and what becomes of it.
"""

from typing import NamedTuple

PATIENCE = 3
SHARE_OF_BUS = 0.02
FIRST_PAUSE_S = 2.0
LEAST_PAUSE_S = 5.0
MOST_PAUSE_S = 60.0


class Liveness(NamedTuple):
    """``silences`` polls in a row went unanswered; a silent unit is asked again at ``probe_at`` (monotonic seconds)."""

    silences: int = 0
    probe_at: float = 0.0

    @property
    def is_silent(self) -> bool:
        return self.silences >= PATIENCE


ALIVE = Liveness()


def longest_pause(timeout_s: float) -> float:
    """The longest pause between two probes, seconds."""
    return min(max(timeout_s / SHARE_OF_BUS, LEAST_PAUSE_S), MOST_PAUSE_S)


def may_ask(liveness: Liveness, now: float) -> bool:
    return not liveness.is_silent or now >= liveness.probe_at


def unanswered(liveness: Liveness, now: float, timeout_s: float) -> Liveness:
    """After a poll or a probe that nobody answered."""
    silences = min(liveness.silences + 1, PATIENCE + 32)
    pause_s = min(FIRST_PAUSE_S * 2.0 ** max(0, silences - PATIENCE), longest_pause(timeout_s))
    return Liveness(silences, now + pause_s)
