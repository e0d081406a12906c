"""Sending acknowledged batches again because the centre asked for it: decisions, without input or output.

1. One replay at a time; another is refused while it runs, and the same one asked for again is only answered again.
2. What is begun after its expiry is not begun at all.
3. Batches go in the order of their places in the outbox, each once; a broken connection goes on after the last that was sent.
4. The centre hears about every second how far it is, and at the end whether that was all.
"""

from typing import NamedTuple

from edge.outbox import Sealed
from telemetry.batch import Lane
from telemetry.command import Command, Reply
from telemetry.reading import Micros

REPLY_EVERY_US = 1_000_000
BATCHES = 8
_BEGINNING = (0, Lane.BULK, 0)


class Wanted(NamedTuple):
    """Batches sealed from ``start`` on and before ``end``, from the one after the place ``after``."""

    id: str
    start: int
    end: int
    after: tuple[int, Lane, int]


class Replay:
    """See the module. ``wanted`` is what to look for next, ``None`` while nothing is asked for."""

    def __init__(self) -> None:
        self.wanted: Wanted | None = None
        self._said: Reply | None = None
        self._batches = self._readings = 0
        self._problem = ""

    def begin(self, command: Command, at: Micros, kept_since: int | None) -> Reply:
        """Takes a command up; the answer is done already when it cannot be followed."""
        if self._said is not None and self._said.id == command.id:
            return self._said
        if self.wanted is not None:
            return Reply(id=command.id, at=at, done=True, problem="busy with another replay")
        problem = _hindrance(command, at, kept_since)
        self._batches = self._readings = 0
        self._problem = problem or (
            f"nothing is kept that was sealed before {kept_since}" if kept_since and kept_since > command.start else ""
        )
        if not problem:
            self.wanted = Wanted(command.id, command.start, command.end, _BEGINNING)
        return self._say(command.id, at, done=bool(problem))

    def sent(self, sealed: Sealed, at: Micros) -> Reply | None:
        """Notes that a batch went out; what to say of it, when it is time to."""
        if self.wanted is None:
            return None
        self.wanted = self.wanted._replace(after=(sealed.n, sealed.lane, sealed.seq))
        self._batches += 1
        self._readings += sealed.readings
        due = self._said is None or not 0 <= at - self._said.at < REPLY_EVERY_US
        return self._say(self.wanted.id, at) if due else None

    def ended(self, at: Micros) -> Reply | None:
        """There is no more of what was wanted."""
        if self.wanted is None:
            return None
        id, self.wanted = self.wanted.id, None
        return self._say(id, at, done=True)

    def _say(self, id: str, at: Micros, *, done: bool = False) -> Reply:
        problem = self._problem if done else ""
        self._said = Reply(id=id, at=at, done=done, batches=self._batches, readings=self._readings, problem=problem)
        return self._said


def _hindrance(command: Command, at: Micros, kept_since: int | None) -> str:
    if at >= command.expires_at:
        return "expired before it came"
    if kept_since is None or kept_since >= command.end:
        return "nothing is kept of that time"
    return ""
