"""How much an outbox takes of its disk, and what makes way when: the byte budget, a full disk, and age.

1. What is appended is durable first; room is made after it.
2. From three quarters of the budget on what was acknowledged goes, and bulk readings that come are to be thinned; past all of it
   the oldest bulk batches go. A full disk is a smaller budget until there is room for the ballast again.
3. Age is believed of a clock that was not set for a day.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import structlog

from edge.outbox import ballast
from edge.outbox.file import OutboxFile, is_full
from edge.outbox.loss import FULL, OLD
from edge.outbox.room import Room
from telemetry.reading import Micros

REPLAY_US = 24 * 3600 * 1_000_000
STEP_US = 3600 * 1_000_000
"""Between two looks at the clock no more than this passes, else it was set."""
STEADY_US = 24 * 3600 * 1_000_000
"""How long a clock that was set is not asked how old a batch is: what only looks old has this long to be sent."""
LOOK_AFTER_US = 60 * 1_000_000

log = structlog.get_logger()


class Budget:
    """``limit`` is in bytes of pages in use. Call ``take_up`` before anything else."""

    def __init__(self, path: Path, now: Micros, *, max_bytes: int, max_age_us: int) -> None:
        self.limit = self._max_bytes = max_bytes
        self._path = path
        self._max_age_us = max_age_us
        self._steady_since = self._looked_at = now
        self._looked_after_at = 0
        self._has_ballast = False
        self._trouble = ""

    def take_up(self, file: OutboxFile, room: Room) -> None:
        """Minds this file from now on; ``room`` gives up what is in it."""
        self._file = file
        self._room = room
        self.limit = self._max_bytes
        self._has_ballast = False  # a salvage takes it away

    def lay_ballast(self) -> None:
        self._has_ballast = ballast.lay(self._path)

    @property
    def thin_from(self) -> int:
        return self.limit * 3 // 4

    def pressure(self) -> int:
        """Bytes in use, once what is acknowledged has made way for what is not."""
        if self._file.used() >= self.thin_from:
            with contextlib.suppress(sqlite3.Error):  # then there is less room, which the commit will find out
                self._room.forget_down_to(self.thin_from - 1)
        return self._file.used()

    def make_room(self) -> None:
        """Back under the budget: first what is acknowledged, then the oldest bulk batches, each leaving its certificates."""
        if self._file.used() <= self.limit:
            return
        target = self.limit * 15 // 16
        try:
            self._room.forget_down_to(target)
            self._room.evict_down_to(target, FULL)
        except sqlite3.Error as error:  # what was appended is durable; room is made after the next
            self._say("room cannot be made", error=str(error))
            return
        crowded = self._file.used() > self.limit
        self._say("urgent readings alone fill it; others are only counted" if crowded else "it is full")

    def with_relief(self, write: Callable[[], bool]) -> bool:
        """Writes, and once more after room was made where the disk is full. Raises ``sqlite3.Error``."""
        try:
            return write()
        except sqlite3.Error as error:
            if not is_full(error):
                raise
        self._relieve()
        return write()

    def look_after(self, now: Micros) -> None:
        """What is due from time to time: the ballast, the replay window, the age of what waits."""
        if not 0 <= now - self._looked_at < STEP_US:
            self._steady_since = now
        self._looked_at = now
        if not self._has_ballast and ballast.lay(self._path):
            self._has_ballast, self.limit = True, self._max_bytes
        if 0 <= now - self._looked_after_at < LOOK_AFTER_US:
            return
        self._looked_after_at = now
        with contextlib.suppress(sqlite3.Error):  # the same is due in a minute
            self._room.forget_older(now - REPLAY_US)
            if now - self._steady_since >= STEADY_US:
                self._room.evict_older(now - self._max_age_us, OLD)
            if self._file.used() < self.thin_from:
                self._say("")

    def _relieve(self) -> None:
        """The disk is full: gives the ballast back, and an eighth of what is kept."""
        self._say("the disk is full")
        ballast.drop(self._path)
        self._has_ballast = False
        self.limit = min(self.limit, self._file.used()) * 7 // 8
        self._room.forget_down_to(self.limit)
        self._room.evict_down_to(self.limit, FULL)
        self._file.checkpoint()

    def _say(self, trouble: str, **values: str) -> None:
        """Logs that there is less and less room, once each, and that there is room again."""
        if trouble and trouble != self._trouble:
            log.warning("outbox gives up what it must", because=trouble, file=str(self._path), **values)
        elif self._trouble and not trouble:
            log.info("outbox has room again", lost=self._room.lost)
        self._trouble = trouble
