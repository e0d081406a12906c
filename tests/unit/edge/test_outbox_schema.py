"""A file of an older version becomes one of this; a newer one is refused in words."""

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from edge.outbox import Outbox, OutboxUnusable
from edge.outbox.schema import SCHEMA
from telemetry.batch import Lane, decode, encode_readings
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
VERSION_1 = """
PRAGMA journal_mode=WAL;
CREATE TABLE epoch (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, before TEXT, before_urgent INTEGER NOT NULL, before_bulk INTEGER NOT NULL);
CREATE TABLE chunk (
    lane TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, size INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE batch (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, stored INTEGER NOT NULL, first_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, certificates BLOB,
    PRIMARY KEY (epoch, lane, seq)) WITHOUT ROWID;
CREATE TABLE mark (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (epoch, lane)) WITHOUT ROWID;
PRAGMA user_version=1;
"""
EPOCHS = ("a" * 16, "b" * 16)


def reading(n: int) -> Reading:
    return Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + n, values={"voltage": 230.0 + n})


def version_1(path: Path) -> None:
    """A queue as version 1 left it: two epochs, the first half acknowledged, a tombstone, a chunk that no batch names."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(VERSION_1)
        for n in range(1, 10):
            text = encode_readings([reading(2 * n), reading(2 * n + 1)])
            body = zlib.compress(text, 6)
            row = ("bulk", n, 2, T0 + 2 * n, len(text), zlib.crc32(body), body)
            db.execute("INSERT INTO chunk VALUES (?,?,?,?,?,?,?)", row)
        db.execute("INSERT INTO epoch VALUES (1, ?, NULL, 0, 0)", (EPOCHS[0],))
        db.execute("INSERT INTO epoch VALUES (2, ?, ?, 0, 4)", EPOCHS[::-1])
        for n in range(1, 9):
            epoch, seq = (1, n) if n <= 4 else (2, n - 4)
            row = (epoch, "bulk", seq, n, n, 2, 50, T0 + 2 * n, T0 + 100 + n, None)
            db.execute("INSERT INTO batch VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        db.execute(
            "UPDATE batch SET certificates = ?, stored = 0 WHERE epoch = 1 AND seq = 3", (encode_readings([reading(500)]),)
        )
        db.execute("INSERT INTO mark VALUES (1, 'bulk', 2)")


def test_a_full_queue_of_version_1_is_sent_by_this_version(tmp_path: Path) -> None:
    version_1(tmp_path / "outbox.db")
    outbox = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)
    keys = [(span.epoch, span.first, span.last) for span in outbox.spans() if span.last >= span.first]
    assert keys == [(EPOCHS[0], 3, 4), (EPOCHS[1], 1, 4), (outbox.epochs[-2], 1, 1)]
    found = [
        one.at - T0
        for epoch, first, _ in keys
        for sealed in outbox.batches(epoch, Lane.BULK, first - 1, 100)
        for one in decode(sealed.message(T0, False)).batch.readings
    ]
    assert found == [500, *range(8, 20)]
    assert outbox.salvaged == 0
    assert outbox.acknowledge(EPOCHS[1], Lane.BULK, 4, T0) == 4


def test_a_damaged_file_of_version_1_is_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    version_1(path)
    with path.open("r+b") as file:
        file.seek(6 * 4096 - 4096)  # the table of marks
        file.write(b"\xa5" * 4096)
    outbox = Outbox.open(path, gateway="gw-test", now=T0)
    assert outbox.salvaged == 1
    assert {(span.epoch, span.last) for span in outbox.spans()} >= {(EPOCHS[0], 4), (EPOCHS[1], 4)}


def test_a_file_becomes_one_of_this_version(tmp_path: Path) -> None:
    version_1(tmp_path / "outbox.db")
    Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0).close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_an_upgrade_that_is_interrupted_has_changed_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    version_1(path)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TRIGGER stuck BEFORE UPDATE ON mark BEGIN SELECT RAISE(FAIL, 'stuck'); END")
    with pytest.raises(OutboxUnusable, match="stuck"):
        Outbox.open(path, gateway="gw-test", now=T0)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("DROP TRIGGER stuck")
    assert Outbox.open(path, gateway="gw-test", now=T0).pending().batches == 7


def test_a_file_of_a_newer_version_is_refused_with_the_cure(tmp_path: Path) -> None:
    Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0).close()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(OutboxUnusable, match=r"version 99.*upgrade"):
        Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)


def test_a_version_with_a_flipped_bit_is_damage_and_not_the_future(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)
    outbox.append([reading(1)], Lane.URGENT, T0)
    outbox.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as other:
        other.execute(f"PRAGMA user_version={SCHEMA ^ 64}")
    again = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)
    assert again.salvaged == 1
    assert again.pending().readings >= 1


def test_text_that_is_no_text_is_damage(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)
    outbox.append([reading(1)], Lane.URGENT, T0)
    outbox.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as other, other:
        other.execute("UPDATE batch SET lane = CAST(x'75ff' AS TEXT)")
    again = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)
    assert again.salvaged == 1
    assert again.pending().readings >= 1
