"""What time it is at the gateway, and whether anybody vouches for it.

1. Known means vouched for: by a time service that holds the kernel's clock, or by the centre's signed word. A site without a
   time service has the centre's time: where the two differ by more than ``TOLERANCE_US``, the centre's counts. Its words may
   come late or again, but never early: one of them puts the clock forward, only ``WORDS`` in a row put it back; the first
   does by what it cannot have been on its way.
2. Before that, time goes on from the newest reading kept: a board without a battery does not begin in 1970 again.
3. Once known, it follows the monotonic clock: a wall clock that somebody sets changes nothing until it is vouched for.
4. A ``Stamp`` says what an instant was read from, so that it can be dated anew when the true time is learned.
5. It may be asked from several threads.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge.board import clock_synchronised
from telemetry.reading import Micros

TOLERANCE_US = 2_000_000
WORDS = 8
MOST_LATE_US = 30_000_000
"""A word that came hours after the connection was not on its way for hours: the centre was away."""
LOOK_US = 1_000_000
REDATE_US = 100_000
"""A smaller difference is not worth dating anew."""


class Stamp(NamedTuple):
    """An instant is ``base`` plus the monotonic time of this ``boot``, both in microseconds."""

    boot: str
    base: int
    known: bool


def correction_of(stamped: Stamp, now: Stamp) -> int | None:
    """Microseconds to add to instants under ``stamped``, by what is known ``now``; ``None`` when nobody can tell."""
    if stamped.known:
        return 0
    if not now.known or stamped.boot != now.boot:
        return None
    apart = now.base - stamped.base
    return apart if abs(apart) >= REDATE_US else 0


def wall_clock() -> Micros:
    return Micros(time.time_ns() // 1000)


def since_boot() -> int:
    """Microseconds; also those in which the board slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def boot_id() -> str:
    """One word for each start of the kernel; empty where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Clock:
    """``floor``: the newest instant of an earlier run, before which it cannot be now. Instants are UTC microseconds."""

    def __init__(
        self,
        floor: int = 0,
        *,
        boot: str | None = None,
        wall: Callable[[], int] = wall_clock,
        monotonic: Callable[[], int] = since_boot,
        synchronised: Callable[[], bool | None] = clock_synchronised,
    ) -> None:
        self.known = False
        self._boot = boot_id() if boot is None else boot
        self._wall = wall
        self._monotonic = monotonic
        self._synchronised = synchronised
        self._lock = threading.Lock()
        self._held = False
        self._told: deque[int] = deque(maxlen=WORDS)
        self._base = max(wall(), floor) - monotonic()
        self._wall_base = wall() - monotonic()
        self._looked = monotonic()
        self._look()

    def utc(self) -> Micros:
        return Micros(self.stamp().base + self._monotonic())

    def stamp(self) -> Stamp:
        """What instants are read from now."""
        with self._lock:
            if self._monotonic() - self._looked >= LOOK_US:
                self._look()
            return Stamp(self._boot, self._base, self.known)

    def hear(self, at: int, late_us: int = 0) -> float:
        """Takes the centre's time, as its signed word just told it; how far it is ahead of ours, in seconds.

        ``late_us``: for how long the word can have been on its way.
        """
        ahead = at - self.utc()
        with self._lock:
            self._told.append(self._base + ahead)
            if not self._held:
                best = max(self._told)
                late_us = 0 if len(self._told) == WORDS else min(late_us, MOST_LATE_US)
                may_go_back = not self.known or len(self._told) == WORDS
                if best - self._base > TOLERANCE_US or (may_go_back and self._base - best > late_us + TOLERANCE_US):
                    self._base = best
                self.known = True
        return ahead / 1e6

    def _look(self) -> None:
        """Follows a kernel that is held by a time service; else its own way, or while nothing is known, the wall clock's."""
        self._looked = self._monotonic()
        wall_base, before = self._wall() - self._looked, self._wall_base
        self._wall_base = wall_base
        self._held = self._synchronised() is True
        if self._held:
            self._base, self.known = wall_base, True
        elif not self.known and abs(wall_base - before) > TOLERANCE_US:
            self._base = wall_base  # somebody set it: more likely right than what it said before
        elif abs(wall_base - before) <= TOLERANCE_US:
            self._base += wall_base - before  # slewed, or drifting as it always does
