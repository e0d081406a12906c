"""When a notification is tried again, and when a target is left alone for a while. Pure; the time is an argument.

1. A red one has a faster head: five tries more within its first two minutes.
2. After the last try of the table it is given up.
3. A target that failed ``TRIPS_AT`` times in a row gets one try at a time, ever rarer, so that a dead one costs little; while
   a red one waits for it, every ``RED_PROBE_US``.
"""

from typing import NamedTuple

from ingest.alerts import Colour

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US

_RED_HEAD = (2 * SECOND_US, 5 * SECOND_US, 15 * SECOND_US, 30 * SECOND_US, 60 * SECOND_US)
_TAIL = (5 * MINUTE_US, 30 * MINUTE_US, 2 * HOUR_US, 5 * HOUR_US, 10 * HOUR_US, 14 * HOUR_US, 20 * HOUR_US, 24 * HOUR_US)
_PAUSES = (5 * SECOND_US, *_TAIL)
_RED_PAUSES = (*_RED_HEAD, *_TAIL)

TRIPS_AT = 5
PROBE_US = 30 * SECOND_US
MAX_PROBE_US = 5 * MINUTE_US
RED_PROBE_US = 10 * SECOND_US


def pause_after(tries: int, colour: Colour, chance: float) -> int | None:
    """How long to wait after so many tries, up to a tenth longer by ``chance`` (0 to 1); ``None``: it is given up."""
    pauses = _RED_PAUSES if colour is Colour.RED else _PAUSES
    return round(pauses[tries - 1] * (1 + 0.1 * chance)) if tries <= len(pauses) else None


class Breaker(NamedTuple):
    """How often in a row a target failed, and when last."""

    failures: int = 0
    failed_at: int = 0

    def failed(self, now: int) -> "Breaker":
        return Breaker(self.failures + 1, now)

    @property
    def is_open(self) -> bool:
        return self.failures >= TRIPS_AT

    def free_at(self, red_waits: bool) -> int:
        """From when on the next try may be made."""
        if not self.is_open:
            return 0
        pause = min(PROBE_US << min(self.failures - TRIPS_AT, 10), MAX_PROBE_US)
        return self.failed_at + (min(pause, RED_PROBE_US) if red_waits else pause)
