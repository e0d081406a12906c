"""The outbox's SQLite file: every statement on its tables. What they mean is decided elsewhere."""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edge.outbox.chunk import Chunk
from edge.outbox.schema import (
    COLUMNS,
    PAGE,
    SCHEMA,
    Damaged,
    chunk_crc,
    is_newer,
    row_crc,
    text_of_bytes,
    upgrade,
    version_of,
)
from edge.outbox.tail import Tail
from edge.outbox.thin import Tally
from edge.outbox.undated import Undated
from telemetry.batch import Lane
from telemetry.errors import LinliError

HEADROOM_PAGES = 256
"""Beyond the budget the file itself ends: urgent batches may go so far over it, and what makes room needs some."""


CHECKED_WHOLE = 64 << 20
"""A wrong page may hide rows without an error, and the last that were accepted stand in nothing else. To read a file larger
than this would keep a gateway from its work."""


class OutboxUnusable(LinliError):
    """The outbox file cannot be opened or is of a newer version."""


class OutboxFailing(LinliError):
    """The file cannot be written or read now: keep what waits, try again."""


class Epoch(NamedTuple):
    """Numbered in the order of opening; ``before`` is the one before it, with the last seqs of its lanes."""

    n: int
    id: str
    before: str | None
    before_urgent: int
    before_bulk: int

    def before_last(self, lane: Lane) -> int:
        return self.before_urgent if lane is Lane.URGENT else self.before_bulk


class BatchRow(NamedTuple):
    """Chunks ``first`` to ``last`` of its lane; or the certificates of what was given up."""

    epoch: int
    lane: Lane
    seq: int
    first: int
    last: int
    readings: int
    first_at: int
    sealed_at: int
    certificates: bytes | None


class Waiting(NamedTuple):
    """Batches, their readings, and the earliest instant in them."""

    batches: int
    readings: int
    first_at: int | None


class OutboxFile:
    """The open file. Its methods raise ``sqlite3.Error``."""

    def __init__(self, path: Path, max_bytes: int = 1 << 40) -> None:
        """Makes the file if it is not there. Raises ``OutboxUnusable``, or ``sqlite3.Error`` when it is damaged."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise OutboxUnusable(f"{path} cannot be opened: {error}") from error
        self._db.text_factory = text_of_bytes
        try:
            for pragma in (f"page_size={PAGE}", "journal_mode=WAL", "synchronous=FULL", "journal_size_limit=8388608"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(f"PRAGMA max_page_count={max_bytes // PAGE * 9 // 8 + HEADROOM_PAGES}")
            if is_newer(self._db):
                raise OutboxUnusable(f"{path} is of version {version_of(self._db)}; this software knows {SCHEMA}: upgrade it")
            upgrade(self._db)
            self._check()
        except UnicodeDecodeError as error:  # SQLite quotes the damage in its message
            self._db.close()
            raise Damaged(str(error)) from error
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block is durable after it, or, when it raises, none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def used(self) -> int:
        """Bytes of the pages in use: whatever is kept, whatever it is called."""
        return (self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")) * PAGE

    def checkpoint(self) -> None:
        """Gives the room of the write-ahead log back."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # Epochs and marks

    def epochs(self) -> list[Epoch]:
        """The oldest first."""
        return [Epoch(*row) for row in self._rows("epoch", "ORDER BY n")]

    def add_epoch(self, epoch: Epoch) -> None:
        self._add("epoch", *epoch)

    def drop_epoch(self, n: int) -> None:
        self._db.execute("DELETE FROM epoch WHERE n=?", (n,))
        self._db.execute("DELETE FROM mark WHERE epoch=?", (n,))

    def marks(self) -> dict[tuple[int, Lane], int]:
        return {(n, Lane(lane)): seq for n, lane, seq in self._rows("mark")}

    def set_mark(self, n: int, lane: Lane, seq: int) -> None:
        self._add("mark", n, lane, seq)

    # Chunks

    def add_chunk(self, lane: Lane, n: int, chunk: Chunk) -> None:
        readings, first_at, size, body_crc, body = chunk
        crc = chunk_crc(lane, n, readings, first_at, size, body_crc)
        asked = "INSERT INTO chunk (lane, n, count, first_at, size, crc, body) VALUES (?,?,?,?,?,?,?)"
        self._db.execute(asked, (lane, n, readings, first_at, size, crc, body))

    def chunks(self, lane: Lane, first: int, last: int = (1 << 63) - 1) -> list[tuple[int, Chunk]]:
        """In order, each with its number."""
        where = "WHERE lane=? AND n BETWEEN ? AND ? ORDER BY n"
        rows = self._db.execute(f"SELECT n, count, first_at, size, crc, body FROM chunk {where}", (lane, first, last))  # noqa: S608 - a constant
        return [(n, placed_chunk(lane, n, *row)) for n, *row in rows.fetchall()]

    def newest_chunks(self, lane: Lane, limit: int) -> list[Chunk]:
        """The newest first."""
        asked = "SELECT n, count, first_at, size, crc, body FROM chunk WHERE lane=? ORDER BY n DESC LIMIT ?"
        return [placed_chunk(lane, *row) for row in self._db.execute(asked, (lane, limit)).fetchall()]

    def drop_chunks(self, lane: Lane, first: int, last: int) -> None:
        self._db.execute("DELETE FROM chunk WHERE lane=? AND n BETWEEN ? AND ?", (lane, first, last))

    def renumber_chunk(self, lane: Lane, n: int, new: int) -> None:
        for _, chunk in self.chunks(lane, n, n):
            self.drop_chunks(lane, n, n)
            self.add_chunk(lane, new, chunk)

    def last_chunk(self, lane: Lane) -> int:
        """The highest number that a chunk of this lane ever had, as far as the file remembers."""
        return max(self._number("SELECT max(n) FROM chunk WHERE lane=?", lane), self.last_sealed(lane))

    def last_sealed(self, lane: Lane) -> int:
        """The highest chunk that a batch names."""
        return self._number("SELECT max(last) FROM batch WHERE lane=?", lane)

    # Batches

    def seal(self, n: int, lane: Lane, seq: int, tail: Tail, last: int, now: int) -> None:
        self.add_batch(BatchRow(n, lane, seq, tail.first, last, tail.readings, tail.first_at, now, None))

    def add_batch(self, batch: BatchRow) -> None:
        """Also in the place of one with the same key."""
        self._add("batch", *batch)

    def batches(self, n: int, lane: Lane, after: int, limit: int) -> list[BatchRow]:
        """In the order of their seqs, from the one after ``after``."""
        return self._batches("WHERE epoch=? AND lane=? AND seq>? ORDER BY seq LIMIT ?", n, lane, after, limit)

    def whole_batches(self, n: int, lane: Lane, after: int, limit: int) -> list[BatchRow]:
        """Those that have not been given up, the oldest first."""
        where = "WHERE epoch=? AND lane=? AND seq>? AND certificates IS NULL ORDER BY seq LIMIT ?"
        return self._batches(where, n, lane, after, limit)

    def tombstones(self, n: int, lane: Lane, after: int, limit: int) -> list[BatchRow]:
        """Those that have been given up and still say what was lost, the oldest first."""
        where = "WHERE epoch=? AND lane=? AND seq>? AND length(certificates)>0 ORDER BY seq LIMIT ?"
        return self._batches(where, n, lane, after, limit)

    def tombstone_sizes(self, n: int, lane: Lane, after: int) -> list[int]:
        """How long the certificates of each of these are."""
        asked = "SELECT length(certificates) FROM batch WHERE epoch=? AND lane=? AND seq>? AND length(certificates)>0"
        return [size for (size,) in self._db.execute(asked, (n, lane, after)).fetchall()]

    def sealed_between(self, start: int, end: int, after: tuple[int, Lane, int], limit: int) -> list[BatchRow]:
        """Acknowledged batches that were sealed from ``start`` on and before ``end``, by key, from the one after ``after``."""
        acknowledged = "EXISTS (SELECT 1 FROM mark WHERE mark.epoch=batch.epoch AND mark.lane=batch.lane AND mark.seq>=batch.seq)"
        where = f"WHERE (epoch, lane, seq)>(?,?,?) AND sealed_at>=? AND sealed_at<? AND {acknowledged}"
        return self._batches(f"{where} ORDER BY epoch, lane, seq LIMIT ?", *after, start, end, limit)

    def oldest_acknowledged(self) -> int | None:
        """When the oldest acknowledged batch that is still kept was sealed."""
        asked = "SELECT min(sealed_at) FROM batch JOIN mark USING (epoch, lane) WHERE batch.seq<=mark.seq"
        return self._number(asked) or None

    def ends(self) -> dict[tuple[int, Lane], tuple[int, int]]:
        """The first and the last seq of each stream that has batches."""
        rows = self._db.execute("SELECT epoch, lane, min(seq), max(seq) FROM batch GROUP BY epoch, lane").fetchall()
        return {(n, Lane(lane)): (first, last) for n, lane, first, last in rows}

    def newest_sealed(self) -> int:
        """When the newest batch was sealed; 0 when none is kept."""
        return self._number("SELECT max(sealed_at) FROM batch")

    def last_sealed_before(self, n: int, lane: Lane, upto: int, before: int) -> int:
        """The highest seq, ``upto`` at most, that was sealed before an instant; 0 when none was."""
        asked = "SELECT max(seq) FROM batch WHERE epoch=? AND lane=? AND seq<=? AND sealed_at<?"
        return self._number(asked, n, lane, upto, before)

    def waiting(self, n: int, lane: Lane, after: int) -> Waiting:
        asked = "SELECT count(*), coalesce(sum(count), 0), min(first_at) FROM batch WHERE epoch=? AND lane=? AND seq>?"
        return Waiting(*self._db.execute(asked, (n, lane, after)).fetchone())

    def drop_batches(self, n: int, lane: Lane, upto: int) -> None:
        """Deletes them up to a seq, with the chunks they name: those of a stream follow one another."""
        where = "WHERE epoch=? AND lane=? AND seq<=?"
        first, last = self._db.execute(f"SELECT min(first), max(last) FROM batch {where}", (n, lane, upto)).fetchone()  # noqa: S608 - a constant
        if first is not None:
            self.drop_chunks(lane, first, last)
        self._db.execute(f"DELETE FROM batch {where}", (n, lane, upto))  # noqa: S608 - a constant

    # Thinned readings that no certificate tells of yet

    def thinned(self) -> dict[str, Tally]:
        return {device: Tally(*row) for device, *row in self._rows("thinned")}

    def set_thinned(self, device: str, tally: Tally | None) -> None:
        if tally is None:
            self._db.execute("DELETE FROM thinned WHERE device=?", (device,))
        else:
            self._add("thinned", device, *tally)

    # Readings whose instants are not known yet

    def undated(self, limit: int) -> list[Undated]:
        """The oldest first."""
        return [undated_row(row) for row in self._rows("undated", "ORDER BY n LIMIT ?", limit)]

    def add_undated(self, held: Undated) -> bool:
        """Durable on return, and seals nothing."""
        self._add("undated", *held)
        return False

    def drop_undated(self, n: int) -> None:
        self._db.execute("DELETE FROM undated WHERE n=?", (n,))

    def undated_waiting(self) -> Waiting:
        """How many commits, their readings, and the earliest instant in them."""
        return Waiting(*self._db.execute("SELECT count(*), coalesce(sum(count), 0), min(first_at) FROM undated").fetchone())

    def last_undated(self) -> int:
        return self._number("SELECT max(n) FROM undated")

    def undated_bytes(self) -> int:
        return self._number("SELECT sum(length(body)) FROM undated")

    # Inside

    def _check(self) -> None:
        """Reads every row but the chunks, and a file that is not large page by page. Raises ``Damaged``."""
        if self.used() <= CHECKED_WHOLE and self._db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise Damaged("its pages make no sense")
        for table, columns in COLUMNS.items():
            for *row, crc in self._db.execute(f"SELECT {columns}, crc FROM {table}"):  # noqa: S608 - constants
                if row_crc(*row) != crc:
                    raise Damaged(f"a row of {table} is damaged")

    def _add(self, table: str, *row: object) -> None:
        columns = COLUMNS[table]
        marks = ",".join("?" * (len(row) + 1))
        self._db.execute(f"INSERT OR REPLACE INTO {table} ({columns}, crc) VALUES ({marks})", (*row, row_crc(*row)))  # noqa: S608 - constants

    def _rows(self, table: str, where: str = "", *arguments: object) -> Iterator[list[Any]]:
        asked = f"SELECT {COLUMNS[table]}, crc FROM {table} {where}"  # noqa: S608 - constants of this class
        for *row, crc in self._db.execute(asked, arguments).fetchall():
            if row_crc(*row) != crc:
                raise Damaged(f"a row of {table} is damaged")
            yield row

    def _batches(self, where: str, *arguments: object) -> list[BatchRow]:
        return [batch_row(row) for row in self._rows("batch", where, *arguments)]

    def _number(self, question: str, *arguments: object) -> int:
        return int(self._db.execute(question, arguments).fetchone()[0] or 0)


def placed_chunk(lane: str, n: int, readings: int, first_at: int, size: int, crc: int, body: bytes) -> Chunk:
    """A row of chunks: its body does not check out unless all of the row does. Raises ``Damaged`` when it is no such row."""
    if not all(map(isinstance, (n, readings, first_at, size, crc, body), (int, int, int, int, int, bytes))):
        raise Damaged("a row of chunk is damaged")
    if crc != zlib.crc32(body):  # else as versions 1 and 2 wrote it
        crc = chunk_crc(lane, n, readings, first_at, size, crc)
    return Chunk(readings, first_at, size, crc, body)


def batch_row(row: list[Any]) -> BatchRow:
    n, lane, *rest = row
    return BatchRow(n, Lane(lane), *rest)


def undated_row(row: list[Any]) -> Undated:
    n, lane, *rest = row
    return Undated(n, Lane(lane), *rest)


_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def is_damage(error: sqlite3.Error, *, opening: bool = False) -> bool:
    """Whether the file itself is wrong, and not the disk under it or somebody else's lock on it.

    ``opening``: so far our statements are known to be right, and a table that is not what it was makes them wrong.
    """
    damage = _DAMAGE | {sqlite3.SQLITE_ERROR} if opening else _DAMAGE
    return isinstance(error, Damaged) or _primary(error) in damage


def is_full(error: sqlite3.Error) -> bool:
    return _primary(error) == sqlite3.SQLITE_FULL


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
