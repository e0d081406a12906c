"""What the outbox gives up, and in what order: acknowledged batches when their time is over, bulk batches when it is full.

A batch that is given up leaves a tombstone of its seq with its certificates. When the tombstones become many, the certificates
of the oldest are put together in one of them and the others stay as empty ones, so that a seq is never missing; not those
that were handed out, because the centre may have taken what they said.
"""

from collections.abc import Sequence

from edge.outbox.chunk import parsed
from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.loss import Lost, Place, certificate, given_up, lost_of, merged
from edge.outbox.streams import Key, Streams
from telemetry.batch import Lane, encode_readings, pack, unpack

FORGOTTEN_AT_ONCE = 64
GIVEN_UP_AT_ONCE = 16
MOST_TOMBSTONES = 1024
FOLDED_AT_ONCE = 256


class Room:
    """``lost`` counts the readings that were given up; each method is one transaction at a time."""

    def __init__(self, file: OutboxFile, streams: Streams, gateway: str) -> None:
        self.lost = 0
        self.handed: dict[Key, int] = {}
        self._file = file
        self._streams = streams
        self._gateway = gateway
        self._given_up: dict[Key, int] = {}
        self._tombstones: dict[Key, int] = {}

    def forget_down_to(self, target: int) -> None:
        """Drops acknowledged batches, the oldest first, while more than ``target`` bytes are in use."""
        while self._file.used() > target and (key := self._oldest_acknowledged()):
            self._forget(key, min(self._streams.mark(key), self._streams.first(key) + FORGOTTEN_AT_ONCE - 1))

    def forget_older(self, before: int) -> None:
        """Drops the acknowledged batches that were sealed before an instant, and epochs that came to nothing."""
        for key in self._streams:
            mark = self._streams.mark(key)
            if self._streams.first(key) <= mark and (upto := self._file.last_sealed_before(*key, mark, before)):
                self._forget(key, upto)
        for n in list(self._streams.epochs):
            self._end(n)

    def evict_down_to(self, target: int, reason: str) -> None:
        """Gives up bulk batches, the oldest first, while more than ``target`` bytes are in use."""
        while self._file.used() > target and (batches := self._oldest_bulk()):
            self._give_up(batches, reason, target)

    def evict_older(self, before: int, reason: str) -> None:
        """Gives up the bulk batches that were sealed before an instant."""
        while batches := [batch for batch in self._oldest_bulk() if batch.sealed_at < before]:
            self._give_up(batches, reason, 0)

    def _oldest_acknowledged(self) -> Key | None:
        return next((key for key in self._streams if self._streams.first(key) <= self._streams.mark(key)), None)

    def _forget(self, key: Key, upto: int) -> None:
        with self._file.transaction():
            self._file.drop_batches(*key, upto)
        self._streams.forgotten(key, upto)
        self._end(key[0])

    def _end(self, n: int) -> None:
        if self._streams.is_over(n):
            with self._file.transaction():
                self._file.drop_epoch(n)
            self._streams.drop(n)

    def _oldest_bulk(self) -> list[BatchRow]:
        """The oldest bulk batches that are neither acknowledged nor given up; all of one epoch."""
        for n in self._streams.epochs:
            key = (n, Lane.BULK)
            after = max(self._streams.mark(key), self._given_up.get(key, 0))
            if self._streams.last(key) > after and (found := self._file.whole_batches(*key, after, GIVEN_UP_AT_ONCE)):
                return found
        return []

    def _give_up(self, batches: Sequence[BatchRow], reason: str, target: int) -> None:
        """The oldest of these, until no more than ``target`` bytes are in use."""
        done: list[BatchRow] = []
        lost = 0
        with self._file.transaction():
            for batch in batches:
                lost += evict(self._file, self._gateway, batch, reason)
                done.append(batch)
                if self._file.used() <= target:
                    break
        key = (done[-1].epoch, done[-1].lane)
        self.lost += lost
        self._given_up[key] = done[-1].seq
        self._tombstones[key] = self._tombstones.get(key, 0) + len(done)
        if self._tombstones[key] > MOST_TOMBSTONES:
            self._fold(key)

    def _fold(self, key: Key) -> None:
        after = max(self._streams.mark(key), self.handed.get(key, 0))
        found = self._file.tombstones(*key, after, FOLDED_AT_ONCE)
        if len(found) > 1:
            with self._file.transaction():
                fold(self._file, self._gateway, found)
            self._tombstones[key] -= len(found) - 1


def evict(file: OutboxFile, gateway: str, batch: BatchRow, reason: str) -> int:
    """Puts a batch's loss certificates in its place, under the same seq; how many readings that loses."""
    chunks = [chunk for _, chunk in file.chunks(batch.lane, batch.first, batch.last)]
    carried, lost = given_up(chunks, batch.readings, batch.first_at, batch.sealed_at, reason)
    file.add_batch(tombstone(batch, gateway, merged(carried + lost)))
    file.drop_chunks(batch.lane, batch.first, batch.last)
    return sum(one.readings for one in lost)


def fold(file: OutboxFile, gateway: str, tombstones: Sequence[BatchRow]) -> None:
    """Puts the certificates of tombstones that follow one another into the last of them."""
    losses = [lost for one in tombstones for lost in certified(one)]
    for one in tombstones[:-1]:
        file.add_batch(one._replace(certificates=b""))
    file.add_batch(tombstone(tombstones[-1], gateway, merged(losses)))


def tombstone(batch: BatchRow, gateway: str, losses: Sequence[Lost]) -> BatchRow:
    """``batch`` with certificates of these losses in the place of its readings."""
    place = Place(gateway, batch.seq, batch.sealed_at)
    certificates = [certificate(lost, place, number) for number, lost in enumerate(losses)]
    return batch._replace(certificates=pack(encode_readings(certificates)) if certificates else b"")


def certified(batch: BatchRow) -> list[Lost]:
    """What a tombstone says was lost."""
    text = unpack(batch.certificates) if batch.certificates else b""
    return [lost for reading in parsed(text) or () if (lost := lost_of(reading)) is not None]
