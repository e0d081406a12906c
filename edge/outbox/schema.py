"""The tables of the outbox's file, their version, and how a file of an older version becomes one of this.

Every row has a checksum of all its columns: a chunk under another number would be sent in the place of another. Chunks that
versions 1 and 2 wrote have one of their body alone. A batch without chunks is a tombstone: ``first`` is ``last + 1`` or its
certificates are there.
"""

import sqlite3
import zlib

SCHEMA = 3


class Damaged(sqlite3.DatabaseError):
    """A row's checksum is wrong, or the file's words make no sense."""


COLUMNS = {
    "epoch": "n, id, before, before_urgent, before_bulk",
    "batch": "epoch, lane, seq, first, last, count, first_at, sealed_at, certificates",
    "mark": "epoch, lane, seq",
    "thinned": "device, first, last, count, since",
    "undated": "n, lane, boot, base, count, first_at, size, body_crc, body",
}
"""What the checksum of a row covers, in this order."""

_TABLES = (
    "CREATE TABLE epoch (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, before TEXT, before_urgent INTEGER NOT NULL,"
    " before_bulk INTEGER NOT NULL, crc INTEGER)",
    "CREATE TABLE chunk (lane TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL,"
    " size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID",
    "CREATE TABLE batch (epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, certificates BLOB,"
    " crc INTEGER, PRIMARY KEY (epoch, lane, seq)) WITHOUT ROWID",
    "CREATE TABLE mark (epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, crc INTEGER,"
    " PRIMARY KEY (epoch, lane)) WITHOUT ROWID",
    "CREATE TABLE thinned (device TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,"
    " since INTEGER NOT NULL, crc INTEGER) WITHOUT ROWID",
    "CREATE TABLE undated (n INTEGER PRIMARY KEY, lane TEXT NOT NULL, boot TEXT NOT NULL, base INTEGER NOT NULL,"
    " count INTEGER NOT NULL, first_at INTEGER NOT NULL, size INTEGER NOT NULL, body_crc INTEGER NOT NULL, body BLOB NOT NULL,"
    " crc INTEGER)",
)
_FROM_1 = (
    "ALTER TABLE epoch ADD COLUMN crc INTEGER",
    "ALTER TABLE batch DROP COLUMN stored",
    "ALTER TABLE batch ADD COLUMN crc INTEGER",
    "ALTER TABLE mark ADD COLUMN crc INTEGER",
    *_TABLES[4:],
    *(f"UPDATE {table} SET crc = row_crc({COLUMNS[table]})" for table in ("epoch", "batch", "mark")),  # noqa: S608 - constants
)
_STEPS: dict[int, tuple[str, ...]] = {0: _TABLES, 1: _FROM_1, 2: ()}


def text_of_bytes(text: bytes) -> str:
    """For SQLite: text that is no UTF-8 fails by its checksum, not in the middle of a query."""
    return text.decode(errors="replace")


def row_crc(*columns: object) -> int:
    return zlib.crc32("|".join(map(str, columns)).encode())


def chunk_crc(lane: str, n: int, readings: int, first_at: int, size: int, body_crc: int) -> int:
    """Of a chunk and its place; its own inverse in ``body_crc``."""
    return row_crc(lane, n, readings, first_at, size) ^ body_crc


def version_of(db: sqlite3.Connection) -> int:
    """0 of a file without tables."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_newer(db: sqlite3.Connection) -> bool:
    """Whether a newer software made it, which says so in two places; a flipped bit does in one."""
    version, again = version_of(db), int(db.execute("PRAGMA application_id").fetchone()[0])
    is_flip = again == SCHEMA and (version ^ SCHEMA).bit_count() == 1
    return version > SCHEMA and not is_flip


def upgrade(db: sqlite3.Connection) -> None:
    """Makes the tables, or makes them of this version, wholly or not at all; ``db`` commits by itself otherwise."""
    version = version_of(db)
    if version == SCHEMA:
        return
    if version not in _STEPS:
        raise Damaged(f"there is no version {version}")
    db.create_function("row_crc", -1, row_crc, deterministic=True)
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _STEPS[version]:
            db.execute(statement)
        db.execute(f"PRAGMA user_version={SCHEMA}")
        db.execute(f"PRAGMA application_id={SCHEMA}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def first_page() -> bytes:
    """The first page of an empty file of ours, which holds its header and its tables' places."""
    with sqlite3.connect(":memory:", isolation_level=None) as db:
        upgrade(db)
        return db.serialize()[:PAGE]


PAGE = 4096
