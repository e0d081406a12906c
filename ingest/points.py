"""What the telemetry store's sink does with a group of batches.

1. Poison, and what the store refuses, is durable before the batch it came with is confirmed: the acknowledgement never runs
   ahead of a dead letter.
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
        self._aside: set[tuple[Stream, int]] = set()
        self._refused: list[DeadLetter] = []

    async def keep(self, arrivals: Sequence[Arrival]) -> None:
        """Everything of ``arrivals`` is durable on return. Raises ``StoreUnavailable``: then the same may be given again."""
        await self._settle_refused()
        poisoned = [arrival for arrival in arrivals if arrival.poison and (arrival.stream, arrival.seq) not in self._aside]
        await self._set_aside([letter for arrival in poisoned for letter in letters_of(arrival)])
        self._aside.update((arrival.stream, arrival.seq) for arrival in poisoned)
        self._refused = [_letter(refusal) for refusal in await self._store.write(arrivals)]
        self._aside.clear()
        await self._settle_refused()

    async def _settle_refused(self) -> None:
        """A store says once what it refuses: its letters are kept here until they are set aside."""
        await self._set_aside(self._refused)
        self._refused = []

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await set_aside(self._database, letters, self._clock())
            self._stats.dead_letters += len(letters)


def letters_of(arrival: Arrival) -> list[DeadLetter]:
    """The poison of a batch, as it is set aside."""
    origin = _origin(arrival.stream, arrival.seq)
    return [DeadLetter(arrival.stream.ref, origin, poison.reason, poison.body) for poison in arrival.poison]


def _letter(refusal: Refusal) -> DeadLetter:
    return DeadLetter(refusal.stream.ref, _origin(refusal.stream, refusal.seq), refusal.reason, refusal.body)


def _origin(stream: Stream, seq: int) -> str:
    return f"{stream.epoch} {stream.lane} {seq}"
