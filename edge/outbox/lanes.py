"""The two lanes of an outbox: what is committed and in no batch yet, and how it comes into one.

1. One commit holds what was accepted together, the batches that it makes due, the counts of what was left out, and the end of
   what was held; what is noted here has become durable.
2. Bulk readings are sealed when their lane's count, size or age is reached, urgent ones at once.
3. No epoch holds readings of two runs: what an earlier one held, and this one only now can date, stands in epochs of its own.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from edge.outbox.chunk import chunk_of, text_of
from edge.outbox.file import OutboxFile
from edge.outbox.loss import THINNED, Lost, Place, certificate
from edge.outbox.room import Room
from edge.outbox.schema import Damaged
from edge.outbox.streams import Streams
from edge.outbox.tail import BATCH_BYTES, BATCH_READINGS, EMPTY
from edge.outbox.thin import Tally
from telemetry.batch import Lane
from telemetry.reading import Micros, Reading

NOTHING: Mapping[str, Tally | None] = {}
EPOCH_DIGITS = 16


class Lanes:
    """``tails`` are the chunks that no batch names yet, ``tallies`` what was thinned and no certificate tells of yet.

    ``next_held`` is the number of what is held next: each start leaves one out, so that those of one run follow one another and
    those of two do not. ``roll`` opens a new epoch.
    """

    def __init__(self, file: OutboxFile, streams: Streams, room: Room, gateway: str, roll: Callable[[], object]) -> None:
        self.tails = dict.fromkeys(Lane, EMPTY)
        self.tallies = file.thinned()
        self.next_chunk = {lane: 1 + file.last_chunk(lane) for lane in Lane}
        self.next_held = self._first_own = file.last_undated() + 2
        self._file = file
        self._streams = streams
        self._room = room
        self._gateway = gateway
        self._roll = roll
        self._earlier: int | None = None

    def name_of_left(self) -> str:
        """The id of the epoch in which ``adopt`` is to seal, made from what it will seal; empty when nothing is left.

        A card that was copied, or that forgot that it was sealed, gives the same readings the same key again, and the centre
        takes them once; others never have it.
        """
        chunks = [(lane, n, chunk) for lane in Lane for n, chunk in self._file.chunks(lane, self._file.last_sealed(lane) + 1)]
        digest = hashlib.sha256(f"{self._streams.newest()} {BATCH_READINGS} {BATCH_BYTES}".encode())
        for lane, n, chunk in chunks:
            digest.update(f" {lane} {n} {len(chunk.body)} ".encode() + chunk.body)
        return digest.hexdigest()[:EPOCH_DIGITS] if chunks else ""

    def adopt(self, now: Micros) -> None:
        """Seals chunks that an earlier run committed and did not seal, in batches of the usual size.

        Not in that run's epoch: after a power cut the file may have forgotten batches of it that were sent.
        """
        for lane in Lane:
            chunks = self._file.chunks(lane, self._file.last_sealed(lane) + 1)
            for place, (n, chunk) in enumerate(chunks, chunks[0][0] if chunks else 0):
                if n != place or text_of(chunk) is None:
                    raise Damaged(f"chunks of {lane} are damaged before or at {n}")
                if not self.tails[lane].has_room(chunk):
                    self._seal(lane, n - 1, now)
                self.tails[lane] = self.tails[lane].with_chunk(n, chunk, now)
            if self.tails[lane].readings:
                self.seal(lane, now)

    def keep(
        self,
        readings: Sequence[Reading],
        lane: Lane,
        now: Micros,
        tallies: Mapping[str, Tally | None] = NOTHING,
        *,
        held: int | None = None,
    ) -> bool:
        """One commit: the readings, if any, what is counted of those that were left out, and what is held no more.

        True when that sealed a batch.
        """
        earlier = held if held is not None and held < self._first_own else None
        turned = bool(readings) and self._turn_to(earlier, now)
        chunk = chunk_of(readings) if readings else None
        tail, n, seq = self.tails[lane], self.next_chunk[lane], self._streams.next_seq[lane]
        split = chunk is not None and not tail.has_room(chunk)
        after = (EMPTY if split else tail).with_chunk(n, chunk, now) if chunk else tail
        due = chunk is not None and (lane is Lane.URGENT or after.is_due(now))
        with self._file.transaction():
            for device, tally in tallies.items():
                self._file.set_thinned(device, tally)
            if held is not None:
                self._file.drop_undated(held)
            if chunk is not None:
                self._file.add_chunk(lane, n, chunk)
            if split:
                self._file.seal(self._streams.current, lane, seq, tail, n - 1, now)
            if due:
                self._file.seal(self._streams.current, lane, seq + split, after, n, now)
        self.next_chunk[lane] += chunk is not None
        self._streams.next_seq[lane] += split + due
        self.tails[lane] = EMPTY if due else after
        self._count(tallies)
        if readings:
            self._earlier = earlier
        return turned or split or due

    def due(self, now: Micros, *, force: bool) -> list[Lane]:
        """The lanes of which something is to be sealed now."""
        return [lane for lane, tail in self.tails.items() if tail.readings and (force or tail.is_due(now))]

    def seal(self, lane: Lane, now: Micros) -> bool:
        """Seals what of a lane is in no batch yet; true, as that made one."""
        return self._seal(lane, self.next_chunk[lane] - 1, now)

    def certify_thinned(self, now: Micros, *, crowded: bool, force: bool) -> bool:
        """Turns the counts of thinned readings into certificates when their time has come; true when that sealed a batch."""
        due = (device for device, tally in self.tallies.items() if force or tally.is_ripe(now, crowded=crowded))
        ripe = sorted(due)[:BATCH_READINGS]
        if not ripe:
            return False
        place = self.place(Lane.BULK, now)
        lost = [Lost(device, *self.tallies[device][:3], THINNED) for device in ripe]
        certificates = [certificate(one, place, number) for number, one in enumerate(lost)]
        return self.keep(certificates, Lane.BULK, now, dict.fromkeys(ripe))

    def place(self, lane: Lane, now: Micros) -> Place:
        """Where certificates stand that are committed next."""
        return Place(self._gateway, self.next_chunk[lane], now)

    def _turn_to(self, earlier: int | None, now: Micros) -> bool:
        """Ends the epoch if what comes next is of another run; true when that sealed a batch.

        ``earlier`` is the number under which an earlier run held it, ``None`` what is of this run.
        """
        if self._earlier == (None if earlier is None else earlier - 1):
            return False
        due = self.due(now, force=True)
        for lane in due:
            self.seal(lane, now)
        if any(seq > 1 for seq in self._streams.next_seq.values()):
            self._roll()
        return bool(due)

    def _seal(self, lane: Lane, last: int, now: Micros) -> bool:
        with self._file.transaction():
            self._file.seal(self._streams.current, lane, self._streams.next_seq[lane], self.tails[lane], last, now)
        self._streams.next_seq[lane] += 1
        self.tails[lane] = EMPTY
        return True

    def _count(self, tallies: Mapping[str, Tally | None]) -> None:
        """Takes over what a commit made of the tallies; ``None`` is one that has become a certificate."""
        for device, tally in tallies.items():
            before = self.tallies.pop(device, None)
            if tally is not None:
                self.tallies[device] = tally
                self._room.lost += tally.readings - (before.readings if before else 0)
