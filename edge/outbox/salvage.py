"""Moves what checks out of a damaged outbox into a new file, and sets the damaged one aside.

1. Whatever the damage, a usable file stands in its place afterwards; only a newer version, or a disk that takes nothing,
   stops it.
2. Row by row: a page that cannot be read costs what stood on it.
3. What is lost is certified: in the tombstone of its batch, or in a certificate of its own.
4. A salvage that is interrupted is done again from the start; the damaged file is not written to but for a header that is
   beyond reading. The newest damaged file is kept beside the outbox, older ones go.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from edge.outbox.chunk import Chunk, chunk_of, readings_of, text_of
from edge.outbox.file import BatchRow, Epoch, OutboxFile, OutboxUnusable, batch_row, placed_chunk, undated_row
from edge.outbox.loss import DAMAGED, EVERY_DEVICE, Lost, Place, certificate, damaged, lane_offset, merged
from edge.outbox.mend import UNKNOWN_SINCE_US, Found, Head, mend, since
from edge.outbox.schema import COLUMNS, PAGE, Damaged, chunk_crc, first_page, row_crc, text_of_bytes
from edge.outbox.tail import BATCH_READINGS
from edge.outbox.thin import Tally
from edge.outbox.undated import Undated
from telemetry.batch import Lane, encode_readings, pack
from telemetry.reading import EARLIEST, LATEST

log = structlog.get_logger()

MOST_GUESSED = 1_000_000
GUESSED_BEYOND = 2_000
MOST_EPOCHS = 10_000
_COPIED_AT_ONCE = 500
_WAL = "-wal"
_LANES = frozenset(lane.value for lane in Lane)


def salvage(path: Path, gateway: str, now: int) -> None:
    """A sound file in the place of the damaged one at ``path``. Raises ``OutboxUnusable`` when the disk takes nothing."""
    wreck = _beside(path, "salvage")
    log.error("outbox is damaged; what can be read of it is moved to a new file", file=str(path))
    try:
        _move(path, wreck)
        _rescue(path, wreck, gateway, now)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnusable(f"{path} is damaged and cannot be salvaged now: {error}") from error


def resume(path: Path, gateway: str, now: int) -> None:
    """Finishes a salvage that was interrupted, if there was one. Raises ``OutboxUnusable``."""
    wreck = _beside(path, "salvage")
    try:
        if wreck.exists() and path.exists():
            _set_aside(path, wreck, now)
        elif wreck.exists():
            _move(path, wreck)
            _rescue(path, wreck, gateway, now)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnusable(f"{path} is damaged and cannot be salvaged now: {error}") from error


def emptied(path: Path, gateway: str, now: int) -> None:
    """A new file that says that the one before it is gone: nobody knows what was in it."""
    with contextlib.closing(OutboxFile(path)) as file:
        _certify(file, gateway, [Lost(EVERY_DEVICE, max(now - UNKNOWN_SINCE_US, EARLIEST), now, 1, DAMAGED)], now)


def _rescue(path: Path, wreck: Path, gateway: str, now: int) -> None:
    new = _beside(path, "new")
    for leftover in (new, _wal_of(new)):
        leftover.unlink(missing_ok=True)
    with contextlib.closing(_open(wreck)) as db, contextlib.closing(OutboxFile(new)) as file:
        reading = _Wreck(db)
        _rebuild(reading, file, gateway, now)
        file.checkpoint()
        log.warning("outbox salvaged", chunks=reading.copied, batches=reading.batches_read, unreadable=reading.unreadable)
    new.rename(path)
    _sync(path.parent)
    _set_aside(path, wreck, now)


def _rebuild(wreck: "_Wreck", file: OutboxFile, gateway: str, now: int) -> None:
    wreck.check_pages()
    epochs = wreck.epochs()
    batches, (marks, marks_whole) = wreck.batches([epoch.n for epoch in epochs]), wreck.marks()
    chunks, torn = wreck.copy_chunks(
        file, {lane: max((one.last for one in batches if one.lane is lane), default=0) for lane in Lane}
    )
    held, torn_held = wreck.undated()
    found = Found(epochs, marks, marks_whole, batches, chunks, torn)
    mended = mend(found, now)
    with file.transaction():
        for epoch in mended.epochs:
            file.add_epoch(epoch)
        for (n, lane), seq in mended.marks.items():
            file.set_mark(n, lane, seq)
        for batch in mended.batches:
            file.add_batch(batch)
        for batch, lost in mended.tombs:
            file.add_batch(batch._replace(certificates=_certificates(batch, lost, gateway, now)))
        for device, tally in wreck.thinned().items():
            file.set_thinned(device, tally)
        for one in held:
            file.add_undated(one)
        for lane, numbers in mended.loose.items():
            last = file.last_chunk(lane)
            for new, n in enumerate(numbers, last + 1):
                file.renumber_chunk(lane, n, new)
        for lane in Lane:
            _stand_in(file, [one for one in mended.batches if one.lane is lane], {head.n: head for head in chunks[lane]}, gateway)
    lost_now = [
        Lost(EVERY_DEVICE, head.first_at, max(now, head.first_at), head.readings, DAMAGED) for head in mended.torn + torn_held
    ]
    if wreck.unreadable:
        lost_now.append(Lost(EVERY_DEVICE, min(since(found, now), now), now, 1, DAMAGED))
    _certify(file, gateway, lost_now if len(lost_now) <= BATCH_READINGS // 2 else merged(lost_now), now)


def _stand_in(file: OutboxFile, batches: list[BatchRow], whole: dict[int, Head], gateway: str) -> None:
    """Certificates in the places of the chunks that a batch misses, together of as many readings."""
    for batch in batches:
        numbers = range(batch.first, batch.last + 1) if batch.certificates is None else range(0)
        gone = [n for n in numbers if n not in whole]
        lost = batch.readings - sum(whole[n].readings for n in numbers if n in whole)
        place = Place(gateway, batch.seq, batch.sealed_at)
        for number, n in enumerate(gone):
            readings = max(1, lost - len(gone) + 1) if number == 0 else 1
            told = damaged(batch.first_at, batch.sealed_at, readings)
            file.add_chunk(batch.lane, n, chunk_of([certificate(told, place, lane_offset(batch.lane) + number)]))


def _certificates(batch: BatchRow, lost: int, gateway: str, now: int) -> bytes:
    if not lost:
        return b""
    told = Lost(EVERY_DEVICE, batch.first_at, max(now, batch.first_at), lost, DAMAGED)
    place = Place(gateway, batch.seq, batch.sealed_at)
    return pack(encode_readings([certificate(told, place, lane_offset(batch.lane))]))


def _certify(file: OutboxFile, gateway: str, lost: list[Lost], now: int) -> None:
    """Certificates that no batch of old has a place for: a chunk to be sealed."""
    if not lost:
        return
    place = Place(gateway, 0, now)
    chunk = chunk_of([certificate(one, place, number) for number, one in enumerate(lost)])
    with file.transaction():
        file.add_chunk(Lane.BULK, file.last_chunk(Lane.BULK) + 1, chunk)


def _open(wreck: Path) -> sqlite3.Connection:
    """The damaged file; its first page replaced by an empty file's when it cannot be opened with its own."""
    try:
        return _opened(wreck)
    except (sqlite3.Error, UnicodeDecodeError):
        page = bytearray(first_page())
        page[18:20] = b"\x02\x02"  # write-ahead log, so that what is in it counts
        page[28:32] = max(1, wreck.stat().st_size // PAGE).to_bytes(4, "big")
        page[32:40] = bytes(8)  # no free pages: nothing will be written
        page[92:96] = page[24:28]  # the size above is to be believed
        with wreck.open("r+b") as file:
            file.write(page)
        try:
            return _opened(wreck)
        except (sqlite3.Error, UnicodeDecodeError):
            _wal_of(wreck).unlink(missing_ok=True)  # it puts another header in the place of this one
            return _opened(wreck)


def _opened(wreck: Path) -> sqlite3.Connection:
    db = sqlite3.connect(wreck, isolation_level=None, check_same_thread=False)
    db.text_factory = text_of_bytes
    try:
        db.execute("PRAGMA writable_schema=ON")  # else a file that is cut short is refused as a whole
        for table in ("epoch", "chunk", "batch", "mark"):
            db.execute(f"SELECT 1 FROM {table} WHERE 0")  # noqa: S608 - constants
    except (sqlite3.Error, UnicodeDecodeError):
        db.close()
        raise
    return db


class _Wreck:
    """What can be read of a damaged file. ``unreadable``: pages were, so nobody knows all that is missing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.unreadable = False
        self.copied = self.batches_read = 0
        self._db = db
        self._checked = any(column[1] == "crc" for column in db.execute("PRAGMA table_info(mark)"))

    def epochs(self) -> list[Epoch]:
        return [Epoch(*row) for row in self._whole_rows("epoch", "n")[0]]

    def marks(self) -> tuple[dict[tuple[int, Lane], int], bool]:
        """And whether these are all."""
        rows, whole = self._whole_rows("mark", "epoch, lane")
        return {(n, Lane(lane)): seq for n, lane, seq in rows if lane in _LANES}, whole

    def thinned(self) -> dict[str, Tally]:
        rows = self._whole_rows("thinned", "device")[0] if self._checked else []
        return {device: Tally(*row) for device, *row in rows}

    def undated(self) -> tuple[list[Undated], list[Head]]:
        """And what is known of those that do not check out."""
        if not self._checked:
            return [], []
        rows, _ = self._both_ends("undated", "n")
        sound = [undated_row(columns) for row in rows if (columns := self._sound(row)) is not None]
        return sound, [_plausible(0, row[4], row[5]) for row in rows if self._sound(row) is None]

    def check_pages(self) -> None:
        """A page may be wrong so that rows are gone without an error."""
        for table in ("epoch", "mark", "batch", "chunk", "thinned", "undated"):
            if self._walk(f"PRAGMA quick_check({table})")[0] != [("ok",)]:
                self.unreadable = True

    def batches(self, epochs: list[int]) -> list[BatchRow]:
        crc = "crc" if self._checked else "NULL"
        asked = f"SELECT {COLUMNS['batch']}, {crc} FROM batch"  # noqa: S608 - constants
        found: dict[tuple[int, Lane, int], BatchRow] = {}

        def take(row: tuple[Any, ...]) -> None:
            columns = self._sound(row)
            if columns is not None and columns[1] in _LANES:
                batch = batch_row(columns)
                found[(batch.epoch, batch.lane, batch.seq)] = batch

        whole = self._scan(asked, "epoch DESC, lane DESC, seq DESC", take)
        for n in () if whole else self._epoch_numbers([*epochs, *(key[0] for key in found)]):
            for lane in Lane:
                known = {key[2] for key in found if key[:2] == (n, lane)}
                for seq in _guessed(known, 0):
                    self._scan(f"{asked} WHERE epoch=? AND lane=? AND seq=?", "", take, n, lane, seq)
        self.batches_read = len(found)
        return [found[key] for key in sorted(found)]

    def copy_chunks(self, file: OutboxFile, named: dict[Lane, int]) -> tuple[dict[Lane, list[Head]], dict[Lane, list[Head]]]:
        """Those that check out, copied, and those that do not; in order. ``named``: the highest that a batch names."""
        asked = "SELECT lane, n, count, first_at, size, crc, body FROM chunk"
        taken = _Taken(file)
        whole = self._scan(asked, "lane DESC, n DESC", taken.take)
        for lane in () if whole else Lane:
            for n in _guessed({*taken.whole[lane], *taken.torn[lane]}, named[lane]):
                self._scan(f"{asked} WHERE lane=? AND n=?", "", taken.take, lane, n)
        taken.copy()
        self.unreadable |= taken.misplaced or any(taken.torn[lane].keys() & taken.whole[lane].keys() for lane in Lane)
        self.copied += sum(map(len, taken.whole.values()))
        chunks = {lane: [heads[n] for n in sorted(heads)] for lane, heads in taken.whole.items()}
        torn = {lane: [heads[n] for n in sorted(heads.keys() - taken.whole[lane].keys())] for lane, heads in taken.torn.items()}
        return chunks, torn

    def _scan(self, asked: str, back: str, take: Callable[[tuple[Any, ...]], None], *arguments: object) -> bool:
        """Gives every row that can be read to ``take``, from the other end too where one cannot; whether all were.

        No table is asked by its keys, as long as it can be helped: one that is wrong leads astray, or ends the answer.
        """
        for question in (asked, f"{asked} ORDER BY {back}"):
            try:
                for row in self._db.execute(question, arguments):
                    take(row)
            except (sqlite3.Error, UnicodeDecodeError):
                self.unreadable = True
                if back:
                    continue
            return question == asked
        return False

    def _whole_rows(self, table: str, order: str) -> tuple[list[list[Any]], bool]:
        """Of a small table those that check out; whether no row is missing."""
        rows, whole = self._both_ends(table, order)
        sound = [columns for row in rows if (columns := self._sound(row)) is not None]
        return sound, whole and len(sound) == len(rows)

    def _both_ends(self, table: str, order: str) -> tuple[list[tuple[Any, ...]], bool]:
        crc = "crc" if self._checked else "NULL"
        asked = f"SELECT {COLUMNS[table]}, {crc} FROM {table} ORDER BY "  # noqa: S608 - constants
        rows, whole = self._walk(asked + order)
        if not whole:
            rows += [row for row in self._walk(asked + order.replace(",", " DESC,") + " DESC")[0] if row not in rows]
        return rows, whole

    def _sound(self, row: tuple[Any, ...]) -> list[Any] | None:
        *columns, crc = row
        return columns if not self._checked or row_crc(*columns) == crc else None

    def _epoch_numbers(self, known: list[int]) -> list[int]:
        """Also of epochs that were not read: their numbers follow one another."""
        first = min(known, default=1)
        return list(range(first, min(max(known, default=0), first + MOST_EPOCHS) + 1))

    def _walk(self, asked: str, *arguments: object) -> tuple[list[tuple[Any, ...]], bool]:
        """Rows until the first that cannot be read; whether there was none."""
        found: list[tuple[Any, ...]] = []
        try:
            found.extend(self._db.execute(asked, arguments))
        except (sqlite3.Error, UnicodeDecodeError):
            self.unreadable = True
            return found, False
        return found, True


class _Taken:
    """Chunks as they are read: each one that checks out is copied once. ``misplaced``: one stands where none should."""

    def __init__(self, file: OutboxFile) -> None:
        self.whole: dict[Lane, dict[int, Head]] = {lane: {} for lane in Lane}
        self.torn: dict[Lane, dict[int, Head]] = {lane: {} for lane in Lane}
        self.misplaced = False
        self._file = file
        self._waiting: list[tuple[Lane, int, Chunk]] = []

    def copy(self) -> None:
        with self._file.transaction():
            for lane, n, chunk in self._waiting:
                self._file.add_chunk(lane, n, chunk)
        self._waiting = []

    def take(self, row: tuple[Any, ...]) -> None:
        lane, n, *rest = row
        try:
            read = placed_chunk(lane, n, *rest)
        except Damaged:
            read = None
        if read is None or lane not in _LANES:
            self.misplaced = True
            return
        chunk = read if text_of(read) is not None else _recounted(lane, n, *rest)
        if chunk is None:
            self.torn[Lane(lane)][n] = _plausible(n, *rest[:2])
        elif n not in self.whole[Lane(lane)]:
            self._waiting.append((Lane(lane), n, chunk))
            self.whole[Lane(lane)][n] = Head(n, chunk.readings, chunk.first_at)
            if len(self._waiting) == _COPIED_AT_ONCE:
                self.copy()


def _recounted(lane: str, n: int, readings: int, first_at: int, size: int, crc: int, body: bytes) -> Chunk | None:
    """A chunk of which only what it says of its body is wrong."""
    found = readings_of(Chunk(readings, first_at, size, zlib.crc32(body), body))
    if not found:
        return None
    made = chunk_of(found)._replace(crc=zlib.crc32(body), body=body)
    return made if chunk_crc(lane, n, *made[:4]) == crc else None


def _guessed(known: set[int], named: int) -> Iterator[int]:
    """Where no page leads, every number that a row may have: to a few beyond the highest that something speaks of."""
    last = max([*known, named]) + GUESSED_BEYOND
    return (n for n in range(max(1, last - MOST_GUESSED), last + 1) if n not in known)


def _plausible(n: int, readings: object, first_at: object) -> Head:
    """What a chunk says of itself though it is wrong, as far as it can be."""
    counted = readings if isinstance(readings, int) and 1 <= readings <= BATCH_READINGS else 1
    return Head(n, counted, min(max(first_at if isinstance(first_at, int) else EARLIEST, EARLIEST), LATEST))


def _move(path: Path, wreck: Path) -> None:
    """The file, then its log; what an interrupted move left is moved now."""
    if path.exists():
        path.rename(wreck)
    if _wal_of(path).exists():
        _wal_of(path).rename(_wal_of(wreck))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    _sync(path.parent)


def _set_aside(path: Path, wreck: Path, now: int) -> None:
    for old in path.parent.glob(f"{path.name}.damaged-*"):
        old.unlink()
    aside = _beside(path, f"damaged-{now // 1_000_000}")
    wreck.rename(aside)
    if _wal_of(wreck).exists():
        _wal_of(wreck).rename(_wal_of(aside))
    wreck.with_name(wreck.name + "-shm").unlink(missing_ok=True)


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.name}.{word}")


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + _WAL)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
