"""What stands, under the same seq, for batches that were given up: certificates of what they lost.

1. No loss is left out or told twice, whatever is put together.
2. A seq is never missing: where certificates were put together in one tombstone, the others stay as empty ones.
3. Bounded: when a stream has more than ``MOST_TOMBSTONES`` of them, or all weigh more than they may, the certificates of the
   oldest are put together, device by device; where that is not enough, of no device in particular.
4. What may have been sent is left as it is: the centre may have taken what it said, and would be told again.
"""

from collections.abc import Sequence

from edge.outbox.chunk import parsed
from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.loss import EVERY_DEVICE, Lost, Place, certificate, given_up, lost_of, merged
from edge.outbox.schema import PAGE
from edge.outbox.streams import Key, Streams
from edge.window import WINDOW
from telemetry.batch import Lane, encode_readings, pack, unpack

MOST_TOMBSTONES = 1024
FOLDED_AT_ONCE = 256
SENT_AHEAD = WINDOW[Lane.BULK]
"""So many batches of a stream, and no more, are sent before they are acknowledged."""
IN_A_ROW = PAGE // 4
"""About what a row may weigh; SQLite keeps what is longer on pages of its own."""


class Tombstones:
    """What this run handed out is known; of earlier runs it is not, but how far ahead they may have sent."""

    def __init__(self, file: OutboxFile, streams: Streams, gateway: str) -> None:
        self._file = file
        self._streams = streams
        self._gateway = gateway
        self._handed: dict[Key, int] = {}
        self._of_earlier_runs = frozenset(streams.epochs)
        self._weights: dict[Key, int] = {}
        self._counts: dict[Key, int] = {}
        for key in streams:
            self._weigh(key)

    def hand_out(self, key: Key, seq: int) -> None:
        """Everything up to ``seq`` is sent."""
        self._handed[key] = max(self._handed.get(key, 0), seq)

    def bury(self, batch: BatchRow, reason: str) -> int:
        """Puts a batch's certificates in its place, within a transaction; how many readings that loses."""
        key = (batch.epoch, batch.lane)
        if key not in self._weights:
            self._weigh(key)
        chunks = [chunk for _, chunk in self._file.chunks(batch.lane, batch.first, batch.last)]
        carried, lost = given_up(chunks, batch.readings, batch.first_at, batch.sealed_at, reason)
        made = tombstone(batch, self._gateway, merged(carried + lost))
        self._file.add_batch(made)
        self._file.drop_chunks(batch.lane, batch.first, batch.last)
        self._weights[key] += _weight_of(len(made.certificates or b""))
        self._counts[key] += 1
        return sum(one.readings for one in lost)

    def forget(self, n: int) -> None:
        """Nothing of an epoch is kept any more."""
        for lane in Lane:
            for known in (self._handed, self._weights, self._counts):
                known.pop((n, lane), None)

    def lighten(self, most_bytes: int) -> None:
        """Puts certificates together until there are no more, and no heavier ones, than there may be."""
        if max(self._counts.values(), default=0) <= MOST_TOMBSTONES and not self._heavier_than(most_bytes):
            return
        for key in list(self._weights):
            self._weigh(key)  # some were acknowledged since
        for key in self._heaviest():
            while self._counts[key] > MOST_TOMBSTONES or self._heavier_than(most_bytes):
                if not self._fold(key):
                    break
        for key in self._heaviest():
            if self._heavier_than(most_bytes):
                self._fold(key, coarsely=True)

    def _heavier_than(self, most_bytes: int) -> bool:
        return sum(self._weights.values()) > most_bytes

    def _heaviest(self) -> list[Key]:
        return sorted(self._weights, key=lambda key: self._weights[key], reverse=True)

    def _weigh(self, key: Key) -> None:
        sizes = self._file.tombstone_sizes(*key, self._streams.mark(key))
        self._weights[key] = sum(map(_weight_of, sizes))
        self._counts[key] = len(sizes)

    def _fold(self, key: Key, *, coarsely: bool = False) -> bool:
        """Puts the oldest together; whether there was more than one, and so it is less now."""
        found = self._file.tombstones(*key, self._sent(key), FOLDED_AT_ONCE)
        if len(found) < (1 if coarsely else 2):
            return False
        losses = [lost for one in found for lost in certified(one)]
        if coarsely:
            losses = [lost._replace(device=EVERY_DEVICE) for lost in losses]
        with self._file.transaction():
            for one in found[:-1]:
                self._file.add_batch(one._replace(certificates=b""))
            self._file.add_batch(tombstone(found[-1], self._gateway, merged(losses)))
        self._weigh(key)
        return True

    def _sent(self, key: Key) -> int:
        """The last seq that may have been sent."""
        if key[0] in self._of_earlier_runs:
            return self._streams.mark(key) + SENT_AHEAD
        return max(self._streams.mark(key), self._handed.get(key, 0))


def tombstone(batch: BatchRow, gateway: str, losses: Sequence[Lost]) -> BatchRow:
    """``batch`` with certificates of these losses in the place of its readings."""
    place = Place(gateway, batch.seq, batch.sealed_at)
    certificates = [certificate(lost, place, number) for number, lost in enumerate(losses)]
    return batch._replace(certificates=pack(encode_readings(certificates)) if certificates else b"")


def certified(batch: BatchRow) -> list[Lost]:
    """What a tombstone says was lost."""
    text = unpack(batch.certificates) if batch.certificates else b""
    return [lost for reading in parsed(text) or () if (lost := lost_of(reading)) is not None]


def _weight_of(size: int) -> int:
    """What certificates of so many bytes take of the file."""
    return size if size < IN_A_ROW else -(-size // PAGE) * PAGE
