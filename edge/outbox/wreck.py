"""What can be read of a damaged outbox: row by row, from both ends of each table, and by every key that a row may have.

1. A row counts when it checks out; what does not is told as far as it speaks of itself.
2. ``unreadable`` is set where a row may be missing that nothing else tells of.
3. The damaged file is not written to but for a header that is beyond reading.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge.outbox.chunk import Chunk, chunk_of, readings_of, text_of
from edge.outbox.file import BatchRow, Epoch, OutboxFile, batch_row, placed_chunk, undated_row
from edge.outbox.mend import Head
from edge.outbox.schema import COLUMNS, PAGE, Damaged, chunk_crc, first_page, row_crc, text_of_bytes
from edge.outbox.tail import BATCH_READINGS
from edge.outbox.thin import Tally
from edge.outbox.undated import Undated
from telemetry.batch import Lane
from telemetry.reading import EARLIEST, LATEST

MOST_GUESSED = 1_000_000
GUESSED_BEYOND = 2_000
MOST_EPOCHS = 10_000
_COPIED_AT_ONCE = 500
_LANES = frozenset(lane.value for lane in Lane)


def opened(wreck: Path) -> sqlite3.Connection:
    """The damaged file; its first page replaced by an empty file's when it cannot be opened with its own."""
    try:
        return _connected(wreck)
    except (sqlite3.Error, UnicodeDecodeError):
        page = bytearray(first_page())
        page[18:20] = b"\x02\x02"  # write-ahead log, so that what is in it counts
        page[28:32] = max(1, wreck.stat().st_size // PAGE).to_bytes(4, "big")
        page[32:40] = bytes(8)  # no free pages: nothing will be written
        page[92:96] = page[24:28]  # the size above is to be believed
        with wreck.open("r+b") as file:
            file.write(page)
        try:
            return _connected(wreck)
        except (sqlite3.Error, UnicodeDecodeError):
            wal_of(wreck).unlink(missing_ok=True)  # it puts another header in the place of this one
            return _connected(wreck)


def _connected(wreck: Path) -> sqlite3.Connection:
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


class Wreck:
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


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def shm_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")
