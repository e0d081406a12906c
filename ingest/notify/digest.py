"""What was over before anybody knew of it, as one message: how many alerts, of what kind and colour, from when to when. Pure.

It is told when there is room, as what is blue is, whatever the colours in it: nothing of it waits for anybody.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from ingest import instant
from ingest.alerts import Colour
from telemetry.presence import Words

KIND = "digest"
_ORDER = tuple(Colour)


class Counted(NamedTuple):
    kind: str
    colour: Colour
    title: Words
    alerts: int


class Digest(NamedTuple):
    """Of one community, for one target. ``counts``: the gravest first, then the most. ``first_at`` and ``last_at`` are when the
    first and the last of its alerts began. ``gateway`` is of the newest of them. ``drill``: all of them are of drills."""

    id: str
    community: str
    gateway: str
    counts: tuple[Counted, ...]
    first_at: int
    last_at: int
    known_at: int
    drill: bool

    @property
    def kind(self) -> str:
        return KIND

    @property
    def colour(self) -> Colour:
        return Colour.BLUE

    @property
    def event_at(self) -> int:
        return self.last_at

    @property
    def total(self) -> int:
        return sum(one.alerts for one in self.counts)

    @property
    def href(self) -> str:
        """The alerts themselves, among others that began in that time."""
        since, until = instant.text(self.first_at), instant.text(self.last_at + 1)
        return f"/api/v1/alerts?community={self.community}&since={since}&until={until}&state=closed"


def id_of(*parts: object) -> str:
    """The same for the same digest, and of no other."""
    return hashlib.sha256("\x1f".join(map(str, (KIND, *parts))).encode()).hexdigest()[:20]


def in_order(counts: Iterable[Counted]) -> tuple[Counted, ...]:
    return tuple(sorted(counts, key=lambda one: (_ORDER.index(one.colour), -one.alerts, one.kind)))
