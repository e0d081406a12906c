"""The centre's database: one connection writes, an older file becomes ours whole, a newer one is not touched."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import ingest.service  # noqa: F401 - declares every table of the centre
from ingest.alerts.tables import alert, journal, load_watermarks, rule_state
from ingest.database import Database
from ingest.deadletter import table as dead_letter
from ingest.registry import Registry
from ingest.schema import LAYOUT
from ingest.store.influx import watermark as store_watermark
from telemetry.errors import ConfigInvalid, StoreUnavailable
from telemetry.identity import Scope, Stream

RECORDED = Path(__file__).parents[2] / "recorded" / "centre" / "layout-1.sql"
EPOCH = "f51eebd6d0b63d2d"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """``centre.db`` as layout 1 left it after a while of the demo community, with some letters and marks more."""
    file = tmp_path / "centre.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(RECORDED.read_text())
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return file


def shape(file: Path) -> set[tuple[object, ...]]:
    """Every column and index of every table."""
    with sqlite3.connect(file) as connection:
        columns = connection.execute(
            "SELECT t.name, c.name, c.type, c.[notnull], c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c"
            " WHERE t.type = 'table'"
        ).fetchall()
        indexes = connection.execute(
            "SELECT t.name, i.name, c.seqno, c.name FROM sqlite_master t JOIN pragma_index_list(t.name) i"
            " JOIN pragma_index_info(i.name) c WHERE t.type = 'table' AND i.origin = 'c'"
        ).fetchall()
        version = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    return {*columns, *indexes, *version}


async def count(database: Database, table: sa.Table) -> int:
    return await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def test_an_older_file_keeps_all_its_rows(old: Path) -> None:
    database = Database(old)
    assert [await count(database, table) for table in (alert, journal, rule_state)] == [1, 2, 8]
    reference = ("411202002001", "gw-jianye-1")
    marks = await database.read(load_watermarks)
    assert marks == {Stream(*reference, EPOCH, "urgent"): 10, Stream(*reference, EPOCH, "bulk"): 3}
    stored = await database.read(lambda connection: connection.execute(sa.select(store_watermark)).fetchall())
    assert [tuple(row) for row in stored] == [(*reference, "0123456789abcdef", "bulk", 41)]
    letters = await database.read(lambda connection: connection.execute(sa.select(dead_letter)).mappings().all())
    assert [(row["community"], row["gateway"], row["times"], row["reason"], row["body"]) for row in letters] == [
        (*reference, 2, "not JSON", b"\xff\x00"),
        (*reference, 1, "fault_code is out of range", b'{"device":"b3-meter"}'),
    ]
    registry = Registry(database)
    await registry.open()
    assert [seen.ref for seen in registry.gateways(Scope(["41"]))] == [reference]
    database.close()


def test_an_upgraded_file_has_the_shape_of_a_new_one(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for file in (old, new, old):
        Database(file).close()
    assert shape(old) == shape(new)
    assert (LAYOUT,) in shape(new)


def test_an_upgrade_that_fails_changes_nothing(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("CREATE TABLE gap (foreign_to_us INTEGER)")
        connection.execute("CREATE INDEX dead_letter_gateway ON gap (foreign_to_us)")
    connection.close()
    before = shape(old)
    with pytest.raises(StoreUnavailable, match="dead_letter_gateway already exists"):
        Database(old)
    assert shape(old) == before


def test_a_newer_file_is_refused_with_the_cure_and_stays_as_it_is(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    content = old.read_bytes()
    with pytest.raises(ConfigInvalid, match=rf"newer Linli \(layout 99, not {LAYOUT}\) \(install that version again"):
        Database(old)
    assert old.read_bytes() == content


async def test_every_write_is_of_one_connection_and_one_thread_and_a_read_cannot_write(tmp_path: Path) -> None:
    database = Database(tmp_path / "centre.db")
    writers = {
        await database.write(lambda connection: (id(connection.connection.dbapi_connection), threading.get_ident()))
        for _ in range(5)
    }
    assert len(writers) == 1
    with pytest.raises(StoreUnavailable, match="readonly"):
        await database.read(lambda connection: connection.execute(sa.delete(alert)))
    database.close()


async def test_a_read_sees_one_state_of_the_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "centre.db")
    begun, written = threading.Event(), threading.Event()

    def look(connection: sa.Connection) -> tuple[int, int]:
        first = connection.execute(sa.text("SELECT count(*) FROM dead_letter")).scalar_one()
        begun.set()
        assert written.wait(5)
        return first, connection.execute(sa.text("SELECT count(*) FROM dead_letter")).scalar_one()

    def change(connection: sa.Connection) -> None:
        assert begun.wait(5)
        connection.execute(sa.text("INSERT INTO dead_letter VALUES ('d', '411202002001', 'gw-1', 1, 1, 1, 'o', 'r', x'00')"))

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(database.read(look), name="look")
        await database.write(change)
        written.set()
    assert looking.result() == (0, 0)
    assert await count(database, dead_letter) == 1
    database.close()
