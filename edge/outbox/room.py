"""What the outbox gives up, and in what order: acknowledged batches when their time is over, bulk batches when it is full.

A batch that is given up leaves a tombstone of its seq with its certificates (see ``tombstones``), which together take no more
than a sixteenth of what is kept, so that what is given up makes room.
"""

from collections.abc import Sequence

from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.streams import Key, Streams
from edge.outbox.tombstones import Tombstones
from telemetry.batch import Lane

FORGOTTEN_AT_ONCE = 64
GIVEN_UP_AT_ONCE = 16
TOMBSTONES_SHARE = 16
TOMBSTONES_LEAST = 16 * 1024
"""Bytes of certificates that are never too many."""


class Room:
    """``lost`` counts the readings that were given up; each method is one transaction at a time."""

    def __init__(self, file: OutboxFile, streams: Streams, gateway: str) -> None:
        self.lost = 0
        self.tombstones = Tombstones(file, streams, gateway)
        self._file = file
        self._streams = streams
        self._given_up: dict[Key, int] = {}

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
        most_bytes = self._most_certificates()
        while self._file.used() > target and (batches := self._oldest_bulk()):
            self._pass_over(self._give_up(batches, reason, target))
            self.tombstones.lighten(most_bytes)

    def evict_older(self, before: int, reason: str) -> None:
        """Gives up the bulk batches that were sealed before an instant."""
        most_bytes = self._most_certificates()
        while found := self._oldest_bulk():
            old = [batch for batch in found if batch.sealed_at < before]
            if not old:
                return
            last = self._give_up(old, reason, 0)
            if last is found[len(old) - 1]:  # else one before it was sealed by a clock that was set back since
                self._pass_over(last)
            self.tombstones.lighten(most_bytes)

    def _most_certificates(self) -> int:
        """How many bytes they may take of what is in use now."""
        return max(self._file.used() // TOMBSTONES_SHARE, TOMBSTONES_LEAST)

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
            self.tombstones.forget(n)
            self._given_up.pop((n, Lane.BULK), None)

    def _oldest_bulk(self) -> list[BatchRow]:
        """The oldest bulk batches that are neither acknowledged nor given up; all of one epoch."""
        for n in self._streams.epochs:
            key = (n, Lane.BULK)
            after = max(self._streams.mark(key), self._given_up.get(key, 0))
            if self._streams.last(key) > after and (found := self._file.whole_batches(*key, after, GIVEN_UP_AT_ONCE)):
                return found
        return []

    def _pass_over(self, batch: BatchRow) -> None:
        """It and all before it are given up: nobody looks there again."""
        self._given_up[(batch.epoch, batch.lane)] = batch.seq

    def _give_up(self, batches: Sequence[BatchRow], reason: str, target: int) -> BatchRow:
        """The oldest of these, until no more than ``target`` bytes are in use; the last that went."""
        done: list[BatchRow] = []
        lost = 0
        with self._file.transaction():
            for batch in batches:
                lost += self.tombstones.bury(batch, reason)
                done.append(batch)
                if self._file.used() <= target:
                    break
        self.lost += lost
        return done[-1]
