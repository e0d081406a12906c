"""The chunks of one lane that no batch names yet, and when they have to become one. Pure."""

from typing import NamedTuple

from edge.outbox.chunk import Chunk

BATCH_READINGS = 500
BATCH_BYTES = 64 * 1024
BATCH_AGE_US = 10_000_000


class Tail(NamedTuple):
    """From chunk ``first`` on: ``size`` bytes of JSON; ``since`` is when it began, UTC microseconds."""

    first: int = 0
    readings: int = 0
    size: int = 0
    first_at: int = 0
    since: int = 0

    def with_chunk(self, n: int, chunk: Chunk, now: int) -> "Tail":
        begun = self if self.readings else Tail(first=n, first_at=chunk.first_at, since=now)
        return begun._replace(
            readings=begun.readings + chunk.readings,
            size=begun.size + chunk.size,
            first_at=min(begun.first_at, chunk.first_at),
        )

    def has_room(self, chunk: Chunk) -> bool:
        return not self.readings or self.readings + chunk.readings <= BATCH_READINGS

    def is_due(self, now: int) -> bool:
        """Full, old enough, or begun in a future that a clock has stepped back from."""
        full = self.readings >= BATCH_READINGS or self.size >= BATCH_BYTES
        return full or not 0 <= now - self.since < BATCH_AGE_US


EMPTY = Tail()
