"""What the telemetry store's sink does with a group of batches.

1. Poison, and what the store refuses, is durable before the watermark moves past the batch it came with: neither an
   acknowledgement nor a kill runs ahead of a dead letter.
2. A database that is down holds up the points; the rules have a sink of their own.
"""

from collections.abc import Callable, Sequence

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.deadletter import DeadLetter, set_aside
from ingest.metrics import Stats
from ingest.store import PointStore, Refusal
from telemetry.identity import Stream
from telemetry.reading import Micros


class Points:
    """Writes to ``store`` and sets aside in ``database``."""

    def __init__(self, store: PointStore, database: Database, stats: Stats, clock: Callable[[], Micros]) -> None:
        self._store = store
        self._database = database
        self._stats = stats
        self._clock = clock
        self._kept: set[DeadLetter] = set()

    async def keep(self, arrivals: Sequence[Arrival]) -> None:
        """Everything of ``arrivals`` is durable on return. Raises ``StoreUnavailable``: then the same may be given again."""
        await self._set_aside([letter for arrival in arrivals if arrival.poison for letter in letters_of(arrival)])
        await self._store.write(arrivals, self._refused)
        self._kept.clear()

    async def _refused(self, refusals: Sequence[Refusal]) -> None:
        await self._set_aside([_letter(refusal) for refusal in refusals])

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Those of an attempt that failed after them are not counted again."""
        new = [letter for letter in letters if letter not in self._kept]
        if new:
            await set_aside(self._database, new, self._clock())
            self._kept.update(new)
            self._stats.dead_letters += len(new)


def letters_of(arrival: Arrival) -> list[DeadLetter]:
    """The poison of a batch, as it is set aside."""
    origin = _origin(arrival.stream, arrival.seq)
    return [DeadLetter(arrival.stream.ref, origin, poison.reason, poison.body) for poison in arrival.poison]


def _letter(refusal: Refusal) -> DeadLetter:
    return DeadLetter(refusal.stream.ref, _origin(refusal.stream, refusal.seq), refusal.reason, refusal.body)


def _origin(stream: Stream, seq: int) -> str:
    return f"{stream.epoch} {stream.lane} {seq}"
