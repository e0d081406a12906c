"""The outbox's SQLite file: its tables, and every statement on them. What they mean is decided elsewhere."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge.outbox.chunk import Chunk
from edge.outbox.tail import Tail
from telemetry.batch import Lane
from telemetry.errors import LinliError

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS epoch (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, before TEXT, before_urgent INTEGER NOT NULL, before_bulk INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (
    lane TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, size INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, stored INTEGER NOT NULL, first_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, certificates BLOB,
    PRIMARY KEY (epoch, lane, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (epoch, lane)) WITHOUT ROWID;
"""


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


class BatchRow(NamedTuple):
    """Chunks ``first`` to ``last`` of its lane, ``stored`` bytes; or the certificates of what was given up."""

    epoch: int
    lane: Lane
    seq: int
    first: int
    last: int
    readings: int
    stored: int
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

    def __init__(self, path: Path) -> None:
        """Makes the file if it is not there. Raises ``OutboxUnusable``."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=8388608"):
                self._db.execute(f"PRAGMA {pragma}")
            version = self._number("PRAGMA user_version")
            if version > SCHEMA:
                raise OutboxUnusable(f"{path} is of version {version}; this software knows {SCHEMA}: upgrade it")
            self._db.executescript(_TABLES)
            self._db.execute(f"PRAGMA user_version={SCHEMA}")
        except (sqlite3.Error, OSError) as error:
            raise OutboxUnusable(f"{path} cannot be opened: {error}") from error

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

    def stored(self) -> int:
        """Bytes of all chunks."""
        return self._number("SELECT sum(length(body)) FROM chunk")

    # Epochs and marks

    def epochs(self) -> list[Epoch]:
        """The oldest first."""
        return [Epoch(*row) for row in self._db.execute("SELECT n, id, before, before_urgent, before_bulk FROM epoch ORDER BY n")]

    def add_epoch(self, id: str, before: str | None, before_urgent: int, before_bulk: int) -> int:
        """Its number."""
        row = (id, before, before_urgent, before_bulk)
        cursor = self._db.execute("INSERT INTO epoch (id, before, before_urgent, before_bulk) VALUES (?,?,?,?)", row)
        return cursor.lastrowid or 0

    def drop_epoch(self, n: int) -> None:
        self._db.execute("DELETE FROM epoch WHERE n=?", (n,))
        self._db.execute("DELETE FROM mark WHERE epoch=?", (n,))

    def marks(self) -> dict[tuple[int, Lane], int]:
        return {(n, Lane(lane)): seq for n, lane, seq in self._db.execute("SELECT epoch, lane, seq FROM mark")}

    def set_mark(self, n: int, lane: Lane, seq: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO mark VALUES (?,?,?)", (n, lane, seq))

    # Chunks

    def add_chunk(self, lane: Lane, n: int, chunk: Chunk) -> None:
        self._db.execute(
            "INSERT INTO chunk (lane, n, count, first_at, size, crc, body) VALUES (?,?,?,?,?,?,?)", (lane, n, *chunk)
        )

    def chunks(self, lane: Lane, first: int, last: int = (1 << 63) - 1) -> list[tuple[int, Chunk]]:
        """In order, each with its number."""
        where = "WHERE lane=? AND n BETWEEN ? AND ? ORDER BY n"
        rows = self._db.execute(f"SELECT n, count, first_at, size, crc, body FROM chunk {where}", (lane, first, last))  # noqa: S608 - a constant
        return [(n, Chunk(*row)) for n, *row in rows.fetchall()]

    def newest_chunks(self, lane: Lane, limit: int) -> list[Chunk]:
        """The newest first."""
        asked = "SELECT count, first_at, size, crc, body FROM chunk WHERE lane=? ORDER BY n DESC LIMIT ?"
        return [Chunk(*row) for row in self._db.execute(asked, (lane, limit)).fetchall()]

    def drop_chunks(self, lane: Lane, first: int, last: int) -> None:
        self._db.execute("DELETE FROM chunk WHERE lane=? AND n BETWEEN ? AND ?", (lane, first, last))

    def last_chunk(self, lane: Lane) -> int:
        """The highest number that a chunk of this lane ever had, as far as the file remembers."""
        return max(self._number("SELECT max(n) FROM chunk WHERE lane=?", lane), self.last_sealed(lane))

    def last_sealed(self, lane: Lane) -> int:
        """The highest chunk that a batch names."""
        return self._number("SELECT max(last) FROM batch WHERE lane=?", lane)

    # Batches

    def add_batch(self, n: int, lane: Lane, seq: int, tail: Tail, last: int, now: int) -> None:
        row = (n, lane, seq, tail.first, last, tail.readings, tail.stored, tail.first_at, now)
        self._db.execute("INSERT INTO batch VALUES (?,?,?,?,?,?,?,?,?,NULL)", row)

    def batches(self, n: int, lane: Lane, after: int, limit: int) -> list[BatchRow]:
        """In the order of their seqs, from the one after ``after``."""
        return self._batches("WHERE epoch=? AND lane=? AND seq>? ORDER BY seq LIMIT ?", n, lane, after, limit)

    def oldest_whole_batch(self, lane: Lane) -> BatchRow | None:
        """The oldest that has not been given up."""
        return next(iter(self._batches("WHERE lane=? AND certificates IS NULL ORDER BY epoch, seq LIMIT 1", lane)), None)

    def last_seq(self, n: int, lane: Lane) -> int:
        return self._number("SELECT max(seq) FROM batch WHERE epoch=? AND lane=?", n, lane)

    def last_sealed_before(self, n: int, lane: Lane, upto: int, before: int) -> int:
        """The highest seq, ``upto`` at most, that was sealed before an instant; 0 when none was."""
        asked = "SELECT max(seq) FROM batch WHERE epoch=? AND lane=? AND seq<=? AND sealed_at<?"
        return self._number(asked, n, lane, upto, before)

    def waiting(self, n: int, lane: Lane, after: int) -> Waiting:
        asked = "SELECT count(*), coalesce(sum(count), 0), min(first_at) FROM batch WHERE epoch=? AND lane=? AND seq>?"
        return Waiting(*self._db.execute(asked, (n, lane, after)).fetchone())

    def has_batches(self, n: int) -> bool:
        return bool(self._number("SELECT EXISTS (SELECT 1 FROM batch WHERE epoch=?)", n))

    def drop_batches(self, n: int, lane: Lane, upto: int) -> tuple[int, int]:
        """Deletes them up to a seq, not their chunks; their bytes, and the highest chunk that they name."""
        where = "WHERE epoch=? AND lane=? AND seq<=?"
        stored, last = self._db.execute(f"SELECT sum(stored), max(last) FROM batch {where}", (n, lane, upto)).fetchone()  # noqa: S608 - a constant
        self._db.execute(f"DELETE FROM batch {where}", (n, lane, upto))  # noqa: S608 - a constant
        return stored or 0, last or 0

    def first_named(self, lane: Lane) -> int:
        """The lowest chunk that a batch still needs; 0 when none does."""
        return self._number("SELECT min(first) FROM batch WHERE lane=? AND certificates IS NULL", lane)

    def make_tombstone(self, batch: BatchRow, certificates: bytes) -> None:
        where = "WHERE epoch=? AND lane=? AND seq=?"
        self._db.execute(
            f"UPDATE batch SET certificates=?, stored=0 {where}",  # noqa: S608 - a constant
            (certificates, batch.epoch, batch.lane, batch.seq),
        )

    def _batches(self, where: str, *arguments: object) -> list[BatchRow]:
        rows = self._db.execute(f"SELECT * FROM batch {where}", arguments).fetchall()  # noqa: S608 - constants of this class
        return [BatchRow(n, Lane(lane), *rest) for n, lane, *rest in rows]

    def _number(self, question: str, *arguments: object) -> int:
        return int(self._db.execute(question, arguments).fetchone()[0] or 0)
