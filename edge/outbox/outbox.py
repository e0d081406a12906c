"""The outbox itself: accepts, seals, hands out what is to be sent, and forgets on the centre's word."""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from edge.outbox.chunk import chunk_of, readings_of, text_of
from edge.outbox.file import BatchRow, OutboxFailing, OutboxFile, OutboxUnusable
from edge.outbox.loss import Place, certificate, damaged
from edge.outbox.room import evict, forget
from edge.outbox.tail import EMPTY
from telemetry.batch import Batch, Lane, encode_readings, join, unpack
from telemetry.presence import Span
from telemetry.reading import Micros, Reading

REPLAY_US = 24 * 3600 * 1_000_000

_T = TypeVar("_T")


class Sealed(NamedTuple):
    """One batch as it can be sent; ``message`` takes the instant of sending and whether it is a resend."""

    epoch: str
    lane: Lane
    seq: int
    readings: int
    message: Callable[[Micros, bool], bytes]


class Pending(NamedTuple):
    """What waits: batches sealed and not acknowledged, and when its oldest reading was made (0 when nothing waits)."""

    batches: int
    readings: int
    oldest_at: int


class Outbox:
    """See the package. All methods are synchronous; ``call`` runs one on the outbox's own thread.

    ``news`` is for whoever appends or seals to set once a batch was made; the uplink waits on it.
    """

    def __init__(self, file: OutboxFile, path: Path, gateway: str, max_bytes: int, now: Micros) -> None:
        self.path = path
        self.gateway = gateway
        self.max_bytes = max_bytes
        self.news = asyncio.Event()
        self.evicted = 0
        self._file = file
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._tails = dict.fromkeys(Lane, EMPTY)
        self._next_chunk = {lane: 1 + self._file.last_chunk(lane) for lane in Lane}
        self._stored = self._file.stored()
        self._seq: dict[Lane, int] = {}
        self._current = 0
        self._marks = self._file.marks()
        self._epochs = {epoch.n: epoch.id for epoch in self._file.epochs()}
        self.roll()
        self._adopt(now)

    @classmethod
    def open(cls, path: Path, *, gateway: str, now: Micros, max_bytes: int = 1 << 30) -> "Outbox":
        """The outbox in ``path``, made if it is not there. Raises ``OutboxUnusable``."""
        file = OutboxFile(path)
        try:
            return cls(file, path, gateway, max_bytes, now)
        except sqlite3.Error as error:
            file.close()
            raise OutboxUnusable(f"{path} cannot be used: {error}") from error

    async def call(self, method: Callable[..., _T], *arguments: object) -> _T:
        """Runs a method on the outbox's thread, one at a time in order. Raises ``OutboxFailing``, and then nothing changed."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, method, *arguments)
        except sqlite3.Error as error:
            raise OutboxFailing(f"{self.path}: {error}") from error

    def close(self) -> None:
        self._thread.shutdown()
        self._file.close()

    @property
    def epoch(self) -> str:
        """The epoch that batches are now sealed in."""
        return self._epochs[self._current]

    # Accepting

    def append(self, readings: Sequence[Reading], lane: Lane, now: Micros) -> bool:
        """Makes the readings durable in one commit; true when that sealed a batch. At most ``BATCH_READINGS`` of them.

        Urgent readings are sealed at once; bulk ones when the lane's count, size or age is reached.
        """
        chunk, tail, n, seq = chunk_of(readings), self._tails[lane], self._next_chunk[lane], self._seq[lane]
        sealed = not tail.has_room(chunk)
        after = (EMPTY if sealed else tail).with_chunk(n, chunk, now)
        due = lane is Lane.URGENT or after.is_due(now)
        with self._file.transaction():
            self._file.add_chunk(lane, n, chunk)
            if sealed:
                self._file.add_batch(self._current, lane, seq, tail, n - 1, now)
            if due:
                self._file.add_batch(self._current, lane, seq + sealed, after, n, now)
        self._next_chunk[lane] = n + 1
        self._stored += len(chunk.body)
        self._seq[lane] += sealed + due
        self._tails[lane] = EMPTY if due else after
        if self._stored > self.max_bytes:
            with contextlib.suppress(sqlite3.Error):  # the readings are durable; room is made after the next ones
                self._make_room(now)
        return sealed or due

    def seal(self, now: Micros, *, force: bool = False) -> bool:
        """Seals what has waited long enough, or everything; true when a batch was made."""
        due = [lane for lane, tail in self._tails.items() if tail.readings and (force or tail.is_due(now))]
        for lane in due:
            self._seal(lane, self._next_chunk[lane] - 1, now)
        return bool(due)

    def roll(self) -> str:
        """Opens a new epoch, which names the one before it and its last seqs. Batches sealed so far keep theirs."""
        before = max(self._epochs, default=0)
        last = {lane: self._last_seq(before, lane) if before else 0 for lane in Lane}
        identity = secrets.token_hex(8)
        with self._file.transaction():
            n = self._file.add_epoch(identity, self._epochs.get(before), last[Lane.URGENT], last[Lane.BULK])
        self._epochs[n] = identity  # before it is current: ``epoch`` may be read from another thread
        self._current = n
        self._seq = dict.fromkeys(Lane, 1)
        return identity

    # Sending

    def spans(self) -> list[Span]:
        """Per epoch and lane what is not acknowledged, oldest epoch first; always the current epoch's two lanes."""
        found = []
        for epoch in self._file.epochs():
            for lane, before_last in ((Lane.URGENT, epoch.before_urgent), (Lane.BULK, epoch.before_bulk)):
                first, last = self._marks.get((epoch.n, lane), 0) + 1, self._last_seq(epoch.n, lane)
                if last >= first or epoch.n == self._current:
                    found.append(Span(epoch.id, lane, first, max(last, first - 1), epoch.before, before_last))
        return found

    def batches(self, epoch: str, lane: Lane, after: int, limit: int) -> list[Sealed]:
        """Up to ``limit`` batches of a stream in order, from the one after seq ``after``."""
        n = self._number(epoch)
        return [self._sealed(epoch, batch) for batch in self._file.batches(n, lane, after, limit)] if n else []

    def acknowledge(self, epoch: str, lane: Lane, seq: int, now: Micros) -> int:
        """Notes that the centre holds everything up to ``seq``; how many batches that newly covers.

        A mark beyond what was ever sealed, or of an epoch that is not ours, deletes nothing: it raises ``ValueError``.
        In a closed epoch, which a rolled-back file may know only the beginning of, such a mark covers all that is left.
        """
        n = self._number(epoch)
        last = self._last_seq(n, lane) if n else 0
        if n is None or (n == self._current and seq > last):
            raise ValueError(f"a mark of {seq} in {epoch}/{lane}, beyond what was sealed")
        known, seq = self._marks.get((n, lane), 0), min(seq, last)
        if seq <= known:
            return 0
        with self._file.transaction():
            self._file.set_mark(n, lane, seq)
        self._marks[(n, lane)] = seq
        self._forget(now - REPLAY_US)
        return seq - known

    def pending(self) -> Pending:
        """What the centre has not acknowledged yet, sealed or not."""
        tails = [tail for tail in self._tails.values() if tail.readings]
        waiting = [self._file.waiting(n, lane, self._marks.get((n, lane), 0)) for n in self._epochs for lane in Lane]
        firsts = [tail.first_at for tail in tails] + [one.first_at for one in waiting if one.first_at is not None]
        readings = sum(tail.readings for tail in tails) + sum(one.readings for one in waiting)
        return Pending(sum(one.batches for one in waiting), readings, min(firsts, default=0))

    def recent(self, chunks: int = 200) -> Iterator[Reading]:
        """The readings last accepted, in each lane the newest first: a restart uses no instant and takes no event twice."""
        for lane in Lane:
            for chunk in self._file.newest_chunks(lane, chunks):
                yield from reversed(readings_of(chunk) or [])

    # Inside

    def _number(self, epoch: str) -> int | None:
        return next((n for n, identity in self._epochs.items() if identity == epoch), None)

    def _last_seq(self, n: int, lane: Lane) -> int:
        if n == self._current:
            return self._seq[lane] - 1
        return max(self._file.last_seq(n, lane), self._marks.get((n, lane), 0))

    def _seal(self, lane: Lane, last: int, now: Micros) -> None:
        with self._file.transaction():
            self._file.add_batch(self._current, lane, self._seq[lane], self._tails[lane], last, now)
        self._seq[lane] += 1
        self._tails[lane] = EMPTY

    def _adopt(self, now: Micros) -> None:
        """Chunks that an earlier run committed and did not seal go into this epoch, in batches of the usual size."""
        for lane in Lane:
            for n, chunk in self._file.chunks(lane, self._file.last_sealed(lane) + 1):
                if not self._tails[lane].has_room(chunk):
                    self._seal(lane, n - 1, now)
                self._tails[lane] = self._tails[lane].with_chunk(n, chunk, now)
        self.seal(now, force=True)

    def _sealed(self, epoch: str, batch: BatchRow) -> Sealed:
        parts = [unpack(batch.certificates)] if batch.certificates is not None else self._parts(batch)
        head = Batch(
            gateway=self.gateway,
            epoch=epoch,
            lane=batch.lane,
            seq=batch.seq,
            sealed_at=batch.sealed_at,
            sent_at=batch.sealed_at,
            readings=[],
        )

        def message(sent_at: Micros, resent: bool) -> bytes:
            return join(msgspec.structs.replace(head, sent_at=sent_at, resent=resent), parts)

        return Sealed(epoch, batch.lane, batch.seq, batch.readings, message)

    def _parts(self, batch: BatchRow) -> list[bytes]:
        """The readings of a batch as JSON, chunk by chunk; a damaged chunk's certificate in its place."""
        place = Place(self.gateway, batch.seq, batch.sealed_at)
        parts = []
        for n, chunk in self._file.chunks(batch.lane, batch.first, batch.last):
            text = text_of(chunk)
            if text is None:
                text = encode_readings([certificate(damaged(chunk, batch.sealed_at), place, n - batch.first)])
            parts.append(text)
        return parts

    def _forget(self, before: int) -> None:
        """Drops acknowledged batches sealed before an instant, and epochs that have none left."""
        for (n, lane), mark in self._marks.items():
            tail = self._tails[lane]
            next_unsealed = tail.first if tail.readings else self._next_chunk[lane]
            self._stored -= forget(self._file, n, lane, mark, before, next_unsealed)
        empty = [n for n in self._epochs if n != self._current and not self._file.has_batches(n)]
        if not empty:
            return
        with self._file.transaction():
            for n in empty:
                self._file.drop_epoch(n)
        self._epochs = {n: identity for n, identity in self._epochs.items() if n not in empty}
        self._marks = {stream: seq for stream, seq in self._marks.items() if stream[0] not in empty}

    def _make_room(self, now: Micros) -> None:
        """Back under the budget: first what is acknowledged, then the oldest bulk batches, each leaving its certificates."""
        self._forget(now + 1)
        while self._stored > self.max_bytes and (batch := self._file.oldest_whole_batch(Lane.BULK)):
            evicted = evict(self._file, self.gateway, batch)
            self._stored -= evicted.stored
            self.evicted += evicted.readings
