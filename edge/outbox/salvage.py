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
from pathlib import Path
from typing import Any

import structlog

from edge.outbox.chunk import Chunk, chunk_of, text_of
from edge.outbox.file import BatchRow, Epoch, OutboxFile, OutboxUnusable, batch_row, undated_row
from edge.outbox.loss import DAMAGED, EVERY_DEVICE, Lost, Place, certificate
from edge.outbox.mend import Found, Head, mend
from edge.outbox.schema import COLUMNS, PAGE, first_page, row_crc, text_of_bytes
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
        _certify(file, gateway, [Lost(EVERY_DEVICE, now, now, 1, DAMAGED)], now)


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
    epochs = wreck.epochs()
    batches, (marks, marks_whole) = wreck.batches([epoch.n for epoch in epochs]), wreck.marks()
    chunks: dict[Lane, list[Head]] = {}
    torn: dict[Lane, list[Head]] = {}
    for lane in Lane:
        named = max((batch.last for batch in batches if batch.lane is lane), default=0)
        chunks[lane], torn[lane] = wreck.copy_chunks(lane, file, named)
    found = Found(epochs, marks, marks_whole, batches, chunks, torn)
    mended = mend(found, now)
    kept = {epoch.n for epoch in mended.epochs}
    with file.transaction():
        for epoch in mended.epochs:
            file.add_epoch(epoch)
        for (n, lane), seq in found.marks.items():
            if n in kept:
                file.set_mark(n, lane, seq)
        for batch in mended.batches:
            file.add_batch(batch)
        for batch, lost in mended.tombs:
            file.add_batch(batch._replace(certificates=_certificates(batch, lost, gateway, now)))
        for device, tally in wreck.thinned().items():
            file.set_thinned(device, tally)
        for held in wreck.undated():
            file.add_undated(held)
        for lane, numbers in mended.loose.items():
            last = file.last_chunk(lane)
            for new, n in enumerate(numbers, last + 1):
                file.renumber_chunk(lane, n, new)
    lost_now = [Lost(EVERY_DEVICE, head.first_at, max(now, head.first_at), head.readings, DAMAGED) for head in mended.torn]
    if wreck.unreadable:
        since = min((batch.sealed_at for batch in mended.batches), default=now)
        lost_now.append(Lost(EVERY_DEVICE, min(since, now), now, 1, DAMAGED))
    _certify(file, gateway, lost_now[: BATCH_READINGS // 2], now)


def _certificates(batch: BatchRow, lost: int, gateway: str, now: int) -> bytes:
    if not lost:
        return b""
    told = Lost(EVERY_DEVICE, batch.first_at, max(now, batch.first_at), lost, DAMAGED)
    return pack(encode_readings([certificate(told, Place(gateway, batch.seq, batch.sealed_at), 0)]))


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

    def undated(self) -> list[Undated]:
        return [undated_row(row) for row in self._whole_rows("undated", "n")[0]] if self._checked else []

    def batches(self, epochs: list[int]) -> list[BatchRow]:
        found = []
        for n in self._epoch_numbers(epochs):
            for lane in Lane:
                for seq in self._keys("batch", "seq", "epoch=? AND lane=?", n, lane):
                    row = self._row("batch", "epoch=? AND lane=? AND seq=?", n, lane, seq)
                    if row is not None:
                        found.append(batch_row(row))
        self.batches_read = len(found)
        return found

    def copy_chunks(self, lane: Lane, file: OutboxFile, named: int) -> tuple[list[Head], list[Head]]:
        """Those that check out, copied, and those that do not; in order. ``named``: the highest that a batch names."""
        whole: list[Head] = []
        torn: list[Head] = []
        keys = iter(self._keys("chunk", "n", "lane=?", lane, most=named))
        while batch := [key for _, key in zip(range(_COPIED_AT_ONCE), keys, strict=False)]:
            with file.transaction():
                for n in batch:
                    chunk = self._chunk(lane, n)
                    if chunk is None:
                        continue
                    if text_of(chunk) is None:
                        torn.append(_plausible(n, chunk))
                        continue
                    file.add_chunk(lane, n, chunk)
                    whole.append(Head(n, chunk.readings, chunk.first_at))
        self.copied += len(whole)
        return whole, torn

    def _chunk(self, lane: Lane, n: int) -> Chunk | None:
        asked = "SELECT count, first_at, size, crc, body FROM chunk WHERE lane=? AND n=?"
        row = self._one(asked, lane, n)
        return Chunk(*row) if row is not None and all(map(isinstance, row, (int, int, int, int, bytes))) else None

    def _row(self, table: str, where: str, *arguments: object) -> list[Any] | None:
        crc = "crc" if self._checked else "NULL"
        row = self._one(f"SELECT {COLUMNS[table]}, {crc} FROM {table} WHERE {where}", *arguments)  # noqa: S608 - constants
        return self._sound(row) if row is not None else None

    def _whole_rows(self, table: str, order: str) -> tuple[list[list[Any]], bool]:
        """Of a small table, from both its ends; whether no row is missing."""
        crc = "crc" if self._checked else "NULL"
        asked = f"SELECT {COLUMNS[table]}, {crc} FROM {table} ORDER BY "  # noqa: S608 - constants
        rows, whole = self._walk(asked + order)
        if not whole:
            rows += [row for row in self._walk(asked + order.replace(",", " DESC,") + " DESC")[0] if row not in rows]
        sound = [columns for row in rows if (columns := self._sound(row)) is not None]
        return sound, whole and len(sound) == len(rows)

    def _sound(self, row: tuple[Any, ...]) -> list[Any] | None:
        *columns, crc = row
        return columns if not self._checked or row_crc(*columns) == crc else None

    def _epoch_numbers(self, epochs: list[int]) -> list[int]:
        """Also of epochs that were not read: their numbers follow one another."""
        found = self._walk("SELECT DISTINCT epoch FROM batch ORDER BY epoch")[0]
        known = [*epochs, *(row[0] for row in found if isinstance(row[0], int))]
        first = min(known, default=1)
        return list(range(first, min(max(known, default=0), first + MOST_EPOCHS) + 1))

    def _keys(self, table: str, key: str, where: str, *arguments: object, most: int = 0) -> list[int]:
        """The keys from both ends; between them, where no page leads, every number that may be one.

        ``most`` is the highest that something else speaks of; a few beyond it are tried.
        """
        asked = f"SELECT DISTINCT {key} FROM {table} WHERE {where} ORDER BY {key}"  # noqa: S608 - constants
        forward, whole = self._walk(asked, *arguments)
        keys = {row[0] for row in forward if isinstance(row[0], int)}
        if whole:
            return sorted(keys)
        back = {row[0] for row in self._walk(asked + " DESC", *arguments)[0] if isinstance(row[0], int)}
        first = max(keys, default=0)
        last = min(back, default=max(most, first) + GUESSED_BEYOND)
        return sorted(keys | back | set(range(max(first, last - MOST_GUESSED) + 1, last)))

    def _walk(self, asked: str, *arguments: object) -> tuple[list[tuple[Any, ...]], bool]:
        """Rows until the first that cannot be read; whether there was none."""
        found: list[tuple[Any, ...]] = []
        try:
            found.extend(self._db.execute(asked, arguments))
        except (sqlite3.Error, UnicodeDecodeError):
            self.unreadable = True
            return found, False
        return found, True

    def _one(self, asked: str, *arguments: object) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._db.execute(asked, arguments).fetchone()
        except (sqlite3.Error, UnicodeDecodeError):
            self.unreadable = True
            return None
        return row


def _plausible(n: int, chunk: Chunk) -> Head:
    """What a chunk says of itself though its body is wrong, as far as it can be."""
    readings = chunk.readings if 1 <= chunk.readings <= BATCH_READINGS else 1
    return Head(n, readings, min(max(chunk.first_at, EARLIEST), LATEST))


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
