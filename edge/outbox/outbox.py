"""The outbox itself: accepts, seals, hands out what is to be sent, and forgets on the centre's word."""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog

from edge.clock import Stamp
from edge.outbox import ballast
from edge.outbox.chunk import chunk_of, readings_of, text_of
from edge.outbox.file import BatchRow, OutboxFailing, OutboxFile, OutboxUnusable, is_damage, is_full
from edge.outbox.loss import DAMAGED, EVERY_DEVICE, FULL, OLD, THINNED, Lost, Place, certificate
from edge.outbox.room import Room
from edge.outbox.salvage import emptied, resume, salvage
from edge.outbox.schema import Damaged
from edge.outbox.sealed import Sealed, sealed
from edge.outbox.streams import Streams
from edge.outbox.tail import BATCH_READINGS, EMPTY
from edge.outbox.thin import Shape, Tally, thin
from edge.outbox.undated import Undated, dated, undated
from telemetry.batch import Lane
from telemetry.presence import Span
from telemetry.reading import EARLIEST, Micros, Reading

REPLAY_US = 24 * 3600 * 1_000_000
MAX_AGE_US = 7 * 24 * 3600 * 1_000_000
STEP_US = 3600 * 1_000_000
"""Between two looks at the clock no more than this passes, else it was set."""
STEADY_US = 24 * 3600 * 1_000_000
"""How long a clock that was set is not asked how old a batch is: what only looks old has this long to be sent."""
LOOK_AFTER_US = 60 * 1_000_000
DATED_AT_ONCE = 200

NOTHING: Mapping[str, Tally | None] = {}

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
        self._max_age_us = max_age_us
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._steady_since = self._looked_at = now
        self._looked_after_at = 0
        self._is_damaged = False
        self._minutes: dict[Shape, int] = {}
        self._trouble = ""
        self._take_up(file, now)
        self._has_ballast = ballast.lay(path)

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
        pressure = self._pressure() if lane is Lane.BULK else 0
        if pressure < self._thin_from:
            made = self._with_relief(lambda: self._keep(readings, lane, now))
        else:
            thinned = thin(readings, self._tallies, self._minutes, now, keep_some=pressure < self._limit)
            made = self._with_relief(lambda: self._keep(thinned.kept, lane, now, thinned.tallies))
            self._minutes = thinned.minutes
        self._make_room()
        return made

    def seal(self, now: Micros, *, force: bool = False) -> bool:
        """Seals what has waited long enough, or everything; true when a batch was made. To be called every few seconds."""
        self._mend(now)
        self._look_after(now)
        sealed = self._with_relief(lambda: self._certify_thinned(now, force))
        due = [lane for lane, tail in self._tails.items() if tail.readings and (force or tail.is_due(now))]
        for lane in due:
            self._with_relief(lambda lane=lane: self._seal(lane, self._next_chunk[lane] - 1, now))  # type: ignore[misc]
        return sealed or bool(due)

    def roll(self) -> str:
        """Opens a new epoch, which names the one before it and its last seqs. Batches sealed so far keep theirs."""
        epoch = self._streams.next_epoch(secrets.token_hex(8))
        with self._file.transaction():
            self._file.add_epoch(epoch)
        self._streams.begin(epoch)
        return epoch.id

    # Accepting while nobody vouches for the clock

    def hold(self, readings: Sequence[Reading], lane: Lane, stamp: Stamp, now: Micros) -> bool:
        """Makes the readings durable apart, until ``date`` knows when they were made; it seals nothing."""
        self._mend(now)
        held = undated(self._next_undated, lane, readings, stamp)
        self._with_relief(lambda: self._file.add_undated(held))
        self._next_undated += 1
        self._undated += 1
        return False

    def date(self, stamp: Stamp, now: Micros) -> bool:
        """Takes what was held into its lanes, as far as its instants are known now or never will be; true when that sealed.

        A part at a time, to be called every second or so. What is held may take a quarter of the budget.
        """
        self._mend(now)
        sealed = False
        held_bytes = self._file.undated_bytes() if self._undated else 0
        for held in self._file.undated(DATED_AT_ONCE) if self._undated else ():
            readings = dated(held, stamp, give_up=held_bytes > self._limit // 4)
            if readings is None:
                break
            held_bytes -= len(held.body)
            sealed |= self._take_in(held, readings, now)
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
        self._look_after(now)
        return seq - known

    def pending(self) -> Pending:
        """What the centre has not acknowledged yet, sealed or not."""
        streams = self._streams
        tails = [tail for tail in self._tails.values() if tail.readings]
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
        self._next_undated = file.last_undated() + 1
        self._limit = self.max_bytes
        self._tails = dict.fromkeys(Lane, EMPTY)
        self._next_chunk = {lane: 1 + file.last_chunk(lane) for lane in Lane}
        self._streams = Streams(file)
        self._room = Room(file, self._streams, self.gateway)
        self._tallies = file.thinned()
        self.roll()
        if self._adopt(now):
            self.roll()  # what is read from now on follows a time without a gateway, which the epoch tells
        for _ in self.recent():  # who opens the outbox reads this next: damage to it is to be found now
            pass

    def _adopt(self, now: Micros) -> bool:
        """Seals chunks that an earlier run committed and did not seal, in batches of the usual size; whether there were any.

        Not in that run's epoch: after a power cut the file may have forgotten batches of it that were sent.
        """
        adopted = False
        for lane in Lane:
            chunks = self._file.chunks(lane, self._file.last_sealed(lane) + 1)
            for place, (n, chunk) in enumerate(chunks, chunks[0][0] if chunks else 0):
                if n != place or text_of(chunk) is None:
                    raise Damaged(f"chunks of {lane} are damaged before or at {n}")
                if not self._tails[lane].has_room(chunk):
                    self._seal(lane, n - 1, now)
                self._tails[lane] = self._tails[lane].with_chunk(n, chunk, now)
            if self._tails[lane].readings:
                self._seal(lane, self._next_chunk[lane] - 1, now)
            adopted |= bool(chunks)
        return adopted

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

    # Writing

    def _take_in(self, held: Undated, readings: list[Reading], now: Micros) -> bool:
        if not readings:
            lost = Lost(EVERY_DEVICE, held.first_at, max(held.first_at, now), held.readings, DAMAGED)
            readings = [certificate(lost, Place(self.gateway, self._next_chunk[held.lane], now), 0)]
        sealed = self._with_relief(lambda: self._keep(readings, held.lane, now, held=held.n))
        self._undated -= 1
        return sealed

    def _keep(
        self,
        readings: Sequence[Reading],
        lane: Lane,
        now: Micros,
        tallies: Mapping[str, Tally | None] = NOTHING,
        *,
        held: int | None = None,
    ) -> bool:
        """One commit: the readings, if any, what is counted of those that were left out, and what is held no more."""
        chunk = chunk_of(readings) if readings else None
        tail, n, seq = self._tails[lane], self._next_chunk[lane], self._streams.next_seq[lane]
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
        self._next_chunk[lane] += chunk is not None
        self._streams.next_seq[lane] += split + due
        self._tails[lane] = EMPTY if due else after
        self._count(tallies)
        return split or due

    def _count(self, tallies: Mapping[str, Tally | None]) -> None:
        """Takes over what a commit made of the tallies; ``None`` is one that has become a certificate."""
        for device, tally in tallies.items():
            before = self._tallies.pop(device, None)
            if tally is not None:
                self._tallies[device] = tally
                self._room.lost += tally.readings - (before.readings if before else 0)

    def _certify_thinned(self, now: Micros, force: bool) -> bool:
        """Turns the counts of thinned readings into certificates, when their time has come and there is room for them."""
        if not self._tallies or (used := self._file.used()) >= self._limit:
            return False
        crowded = used >= self._thin_from
        due = (device for device, tally in self._tallies.items() if force or tally.is_ripe(now, crowded=crowded))
        ripe = sorted(due)[:BATCH_READINGS]
        if not ripe:
            return False
        place = Place(self.gateway, self._next_chunk[Lane.BULK], now)
        lost = [Lost(device, *self._tallies[device][:3], THINNED) for device in ripe]
        certificates = [certificate(one, place, number) for number, one in enumerate(lost)]
        return self._keep(certificates, Lane.BULK, now, dict.fromkeys(ripe))

    def _seal(self, lane: Lane, last: int, now: Micros) -> bool:
        with self._file.transaction():
            self._file.seal(self._streams.current, lane, self._streams.next_seq[lane], self._tails[lane], last, now)
        self._streams.next_seq[lane] += 1
        self._tails[lane] = EMPTY
        return True

    # Room

    @property
    def _thin_from(self) -> int:
        return self._limit * 3 // 4

    def _pressure(self) -> int:
        """Bytes in use, once what is acknowledged has made way for what is not."""
        if self._file.used() >= self._thin_from:
            with contextlib.suppress(sqlite3.Error):  # then there is less room, which the commit will find out
                self._room.forget_down_to(self._thin_from - 1)
        return self._file.used()

    def _make_room(self) -> None:
        """Back under the budget: first what is acknowledged, then the oldest bulk batches, each leaving its certificates."""
        if self._file.used() <= self._limit:
            return
        target = self._limit * 15 // 16
        try:
            self._room.forget_down_to(target)
            self._room.evict_down_to(target, FULL)
        except sqlite3.Error as error:  # what was appended is durable; room is made after the next
            self._say("room cannot be made", error=str(error))
            return
        crowded = self._file.used() > self._limit
        self._say("urgent readings alone fill it; others are only counted" if crowded else "it is full")

    def _relieve(self) -> None:
        """The disk is full: gives the ballast back, and an eighth of what is kept."""
        self._say("the disk is full")
        ballast.drop(self.path)
        self._has_ballast = False
        self._limit = min(self._limit, self._file.used()) * 7 // 8
        self._room.forget_down_to(self._limit)
        self._room.evict_down_to(self._limit, FULL)
        self._file.checkpoint()

    def _with_relief(self, write: Callable[[], bool]) -> bool:
        try:
            return write()
        except sqlite3.Error as error:
            if not is_full(error):
                raise
        self._relieve()
        return write()

    def _look_after(self, now: Micros) -> None:
        """What is due from time to time: the ballast, the replay window, the age of what waits."""
        if not 0 <= now - self._looked_at < STEP_US:
            self._steady_since = now
        self._looked_at = now
        if not self._has_ballast and ballast.lay(self.path):
            self._has_ballast, self._limit = True, self.max_bytes
        if 0 <= now - self._looked_after_at < LOOK_AFTER_US:
            return
        self._looked_after_at = now
        with contextlib.suppress(sqlite3.Error):  # the same is due in a minute
            self._room.forget_older(now - REPLAY_US)
            if now - self._steady_since >= STEADY_US:
                self._room.evict_older(now - self._max_age_us, OLD)
            if self._file.used() < self._thin_from:
                self._say("")

    def _say(self, trouble: str, **values: str) -> None:
        """Logs that there is less and less room, once each, and that there is room again."""
        if trouble and trouble != self._trouble:
            log.warning("outbox gives up what it must", because=trouble, file=str(self.path), **values)
        elif self._trouble and not trouble:
            log.info("outbox has room again", lost=self.lost)
        self._trouble = trouble

    # Inside

    def _sealed(self, row: BatchRow) -> Sealed:
        return sealed(self._file, row, self.gateway, self._streams.epochs[row.epoch].id)
