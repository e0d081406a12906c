"""The outbox itself: accepts, seals, hands out what is to be sent, and forgets on the centre's word."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog

from edge.clock import Stamp
from edge.outbox import ballast
from edge.outbox.budget import Budget
from edge.outbox.chunk import readings_of
from edge.outbox.file import BatchRow, OutboxFailing, OutboxFile, OutboxUnusable, is_damage
from edge.outbox.lanes import EPOCH_DIGITS, Lanes
from edge.outbox.loss import DAMAGED, EVERY_DEVICE, Lost, certificate
from edge.outbox.room import Room
from edge.outbox.salvage import emptied, resume, salvage
from edge.outbox.sealed import Sealed, sealed
from edge.outbox.streams import Streams
from edge.outbox.thin import Shape, thin
from edge.outbox.undated import Undated, dated, undated
from telemetry.batch import Lane
from telemetry.presence import Span
from telemetry.reading import EARLIEST, Micros, Reading

MAX_AGE_US = 7 * 24 * 3600 * 1_000_000
DATED_AT_ONCE = 200

_T = TypeVar("_T")

log = structlog.get_logger()


class MarkBeyond(ValueError):
    """A mark for more than was ever sealed in the current epoch: not of this outbox, and nothing is deleted on it."""


class EpochUnknown(ValueError):
    """A mark of an epoch that is no longer, or never was, in this outbox."""


class Pending(NamedTuple):
    """What waits: batches sealed and not acknowledged, and when its oldest reading was made (0 when nothing waits)."""

    batches: int
    readings: int
    oldest_at: int


class Outbox:
    """See the package. All methods are synchronous; ``call`` runs one on the outbox's own thread.

    ``news`` is for whoever appends or seals to set once a batch was made; the uplink waits on it. ``salvaged``:
    how often the file was.
    """

    def __init__(self, file: OutboxFile, path: Path, gateway: str, now: Micros, *, max_bytes: int, max_age_us: int) -> None:
        self.path = path
        self.gateway = gateway
        self.max_bytes = max_bytes
        self.news = asyncio.Event()
        self.salvaged = 0
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._is_damaged = False
        self._minutes: dict[Shape, int] = {}
        self._budget = Budget(path, now, max_bytes=max_bytes, max_age_us=max_age_us)
        self._take_up(file, now)
        self._budget.lay_ballast()

    @classmethod
    def open(cls, path: Path, *, gateway: str, now: Micros, max_bytes: int = 1 << 30, max_age_us: int = MAX_AGE_US) -> "Outbox":
        """The outbox in ``path``, made if it is not there, salvaged if it is damaged. Raises ``OutboxUnusable``."""
        resume(path, gateway, now)
        missing = not path.exists() or path.stat().st_size == 0
        if missing and ballast.path_beside(path).exists():
            log.error("outbox is gone; what was in it is not known", file=str(path))
            emptied(path, gateway, now)
        try:
            return cls._opened(path, gateway, now, max_bytes, max_age_us)
        except sqlite3.Error as error:
            salvaged = is_damage(error, opening=True)
        if salvaged:
            salvage(path, gateway, now)
        else:
            ballast.drop(path)  # a full disk has no room to open an outbox either
        try:
            outbox = cls._opened(path, gateway, now, max_bytes, max_age_us)
        except sqlite3.Error as error:
            raise OutboxUnusable(f"{path} cannot be used: {error}") from error
        outbox.salvaged += salvaged
        return outbox

    @classmethod
    def _opened(cls, path: Path, gateway: str, now: Micros, max_bytes: int, max_age_us: int) -> "Outbox":
        file = OutboxFile(path, max_bytes)
        try:
            return cls(file, path, gateway, now, max_bytes=max_bytes, max_age_us=max_age_us)
        except BaseException:
            file.close()
            raise

    async def call(self, method: Callable[..., _T], *arguments: object) -> _T:
        """Runs a method on the outbox's thread, one at a time in order. Raises ``OutboxFailing``, and then nothing changed."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, method, *arguments)
        except (sqlite3.Error, OutboxUnusable) as error:
            self._is_damaged |= isinstance(error, sqlite3.Error) and is_damage(error)
            raise OutboxFailing(f"{self.path}: {error}") from error

    def close(self) -> None:
        self._thread.shutdown()
        self._file.close()

    @property
    def lost(self) -> int:
        """Readings given up since the file was opened."""
        return self._room.lost

    @property
    def held(self) -> int:
        """Commits that wait for a clock that somebody vouches for."""
        return self._undated

    @property
    def epoch(self) -> str:
        """The epoch that batches are now sealed in."""
        return self._streams.epochs[self._streams.current].id

    @property
    def epochs(self) -> list[str]:
        """All that anything is kept of, the oldest first."""
        return [epoch.id for epoch in self._streams.epochs.values()]

    # Accepting

    def append(self, readings: Sequence[Reading], lane: Lane, now: Micros) -> bool:
        """Makes the readings durable in one commit; true when that sealed a batch. At most ``BATCH_READINGS`` of them.

        Urgent readings are sealed at once; bulk ones when the lane's count, size or age is reached. Bulk readings that an
        outbox nearly full leaves out are durable as their count.
        """
        self._mend(now)
        budget = self._budget
        pressure = budget.pressure() if lane is Lane.BULK else 0
        if pressure < budget.thin_from:
            made = budget.with_relief(lambda: self._lanes.keep(readings, lane, now))
        else:
            thinned = thin(readings, self._lanes.tallies, self._minutes, now, keep_some=pressure < budget.limit)
            made = budget.with_relief(lambda: self._lanes.keep(thinned.kept, lane, now, thinned.tallies))
            self._minutes = thinned.minutes
        budget.make_room()
        return made

    def seal(self, now: Micros, *, force: bool = False) -> bool:
        """Seals what has waited long enough, or everything; true when a batch was made. To be called every few seconds."""
        self._mend(now)
        self._budget.look_after(now)
        sealed = self._budget.with_relief(lambda: self._certify_thinned(now, force))
        due = self._lanes.due(now, force=force)
        for lane in due:
            self._budget.with_relief(lambda lane=lane: self._lanes.seal(lane, now))  # type: ignore[misc]
        return sealed or bool(due)

    def roll(self) -> str:
        """Opens a new epoch, which names the one before it and its last seqs. Batches sealed so far keep theirs."""
        return self._open_epoch(secrets.token_hex(EPOCH_DIGITS // 2))

    def _open_epoch(self, id: str) -> str:
        epoch = self._streams.next_epoch(id)
        with self._file.transaction():
            self._file.add_epoch(epoch)
        self._streams.begin(epoch)
        return epoch.id

    # Accepting while nobody vouches for the clock

    def hold(self, readings: Sequence[Reading], lane: Lane, stamp: Stamp, now: Micros) -> bool:
        """Makes the readings durable apart, until ``date`` knows when they were made; it seals nothing."""
        self._mend(now)
        held = undated(self._lanes.next_held, lane, readings, stamp)
        self._budget.with_relief(lambda: self._file.add_undated(held))
        self._lanes.next_held += 1
        self._undated += 1
        self._budget.make_room()
        return False

    def date(self, stamp: Stamp, now: Micros) -> bool:
        """Takes what was held into its lanes, as far as its instants are known now or never will be; true when that sealed.

        A part at a time, to be called every second or so. What is held may take a quarter of the budget.
        """
        self._mend(now)
        sealed = False
        held_bytes = self._file.undated_bytes() if self._undated else 0
        for held in self._file.undated(DATED_AT_ONCE) if self._undated else ():
            readings = dated(held, stamp, give_up=held_bytes > self._budget.limit // 4)
            if readings is None:
                break
            held_bytes -= len(held.body)
            sealed |= self._take_in(held, readings, now)
        self._budget.make_room()
        return sealed

    # Sending

    def spans(self) -> list[Span]:
        """Per epoch and lane what is not acknowledged, oldest epoch first; always the current epoch's two lanes."""
        return self._streams.spans()

    def batches(self, epoch: str, lane: Lane, after: int, limit: int) -> list[Sealed]:
        """Up to ``limit`` batches of a stream in order, from the one after seq ``after``."""
        n = self._streams.number(epoch)
        rows = self._file.batches(n, lane, after, limit) if n else []
        for row in rows[-1:]:
            self._room.tombstones.hand_out((row.epoch, lane), row.seq)
        return [self._sealed(row) for row in rows]

    def acknowledge(self, epoch: str, lane: Lane, seq: int, now: Micros) -> int:
        """Notes that the centre holds everything up to ``seq``; how many batches that newly covers.

        A mark beyond what was ever sealed (``MarkBeyond``), or of an epoch that is not ours (``EpochUnknown``), deletes
        nothing. In a closed epoch, which a rolled-back file may know only the beginning of, such a mark covers what is left.
        """
        n = self._streams.number(epoch)
        if n is None:
            raise EpochUnknown(f"a mark of {seq} in {epoch}/{lane}, which is not here")
        key = (n, lane)
        known, last = self._streams.mark(key), self._streams.last(key)
        if n == self._streams.current and seq > last:
            raise MarkBeyond(f"a mark of {seq} in {epoch}/{lane}, where {last} was sealed last")
        seq = min(seq, last)
        if seq <= known:
            return 0
        with self._file.transaction():
            self._file.set_mark(n, lane, seq)
        self._streams.marks[key] = seq
        self._budget.look_after(now)
        return seq - known

    def pending(self) -> Pending:
        """What the centre has not acknowledged yet, sealed or not."""
        streams = self._streams
        tails = [tail for tail in self._lanes.tails.values() if tail.readings]
        waiting = [self._file.waiting(*key, streams.mark(key)) for key in streams if streams.last(key) > streams.mark(key)]
        if self._undated:
            waiting.append(self._file.undated_waiting())
        firsts = [tail.first_at for tail in tails] + [one.first_at for one in waiting if one.first_at is not None]
        readings = sum(tail.readings for tail in tails) + sum(one.readings for one in waiting)
        return Pending(sum(one.batches for one in waiting), readings, min(firsts, default=0))

    def recent(self, chunks: int = 200) -> Iterator[Reading]:
        """The readings last accepted, in each lane the newest first: a restart uses no instant and takes no event twice."""
        for held in reversed(self._file.undated(chunks)):
            yield from reversed(held.content or [])
        for lane in Lane:
            for chunk in self._file.newest_chunks(lane, chunks):
                yield from reversed(readings_of(chunk) or [])

    def kept(self, start: int, end: int, after: tuple[int, Lane, int], limit: int) -> list[Sealed]:
        """Acknowledged batches sealed from ``start`` on and before ``end``, in the order of their places, after ``after``."""
        rows = self._file.sealed_between(start, end, after, limit)
        return [self._sealed(row) for row in rows]

    def kept_since(self) -> int | None:
        """From when on what was acknowledged can be sent again: 0 when nothing was forgotten, ``None`` when all was."""
        oldest = self._file.oldest_acknowledged()
        return 0 if oldest is not None and self._streams.is_complete() else oldest

    # Taking up a file

    def _take_up(self, file: OutboxFile, now: Micros) -> None:
        """Reads what the file holds, seals in an epoch of its own what was accepted and not sealed, and opens a new one."""
        self._file = file
        self.opened_at = now = Micros(max(now, file.newest_sealed(), EARLIEST))
        self._undated = file.undated_waiting().batches
        self._streams = Streams(file)
        self._room = Room(file, self._streams, self.gateway)
        self._lanes = Lanes(file, self._streams, self._room, self.gateway, self.roll)
        self._budget.take_up(file, self._room)
        if left := self._lanes.name_of_left():
            self._open_epoch(left)
            self._lanes.adopt(now)
        self.roll()  # what is read from now on follows a time without a gateway, which the epoch tells
        for _ in self.recent():  # who opens the outbox reads this next: damage to it is to be found now
            pass

    def _mend(self, now: Micros) -> None:
        """Salvages the file if it was found damaged since."""
        if not self._is_damaged:
            return
        lost = self.lost
        self._file.close()
        salvage(self.path, self.gateway, now)
        self._take_up(OutboxFile(self.path, self.max_bytes), now)
        self._room.lost = lost
        self._is_damaged = False
        self.salvaged += 1

    # Inside

    def _take_in(self, held: Undated, readings: list[Reading], now: Micros) -> bool:
        if not readings:
            lost = Lost(EVERY_DEVICE, held.first_at, max(held.first_at, now), held.readings, DAMAGED)
            readings = [certificate(lost, self._lanes.place(held.lane, now), 0)]
        sealed = self._budget.with_relief(lambda: self._lanes.keep(readings, held.lane, now, held=held.n))
        self._undated -= 1
        return sealed

    def _certify_thinned(self, now: Micros, force: bool) -> bool:
        """As far as there is room for certificates."""
        if not self._lanes.tallies or (used := self._file.used()) >= self._budget.limit:
            return False
        return self._lanes.certify_thinned(now, crowded=used >= self._budget.thin_from, force=force)

    def _sealed(self, row: BatchRow) -> Sealed:
        return sealed(self._file, row, self.gateway, self._streams.epochs[row.epoch].id)
