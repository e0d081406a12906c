"""The layout of the centre's database: an older one becomes ours whole, a newer one is not touched, and none is forgotten."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

import ingest.service  # noqa: F401 - declares every table of the centre
from ingest import migrations
from ingest.alerts.rules import Rules
from ingest.alerts.states import States
from ingest.alerts.tables import alert, journal, load_watermarks, rule_state
from ingest.database import Database, Place, metadata
from ingest.deadletter import table as dead_letter
from ingest.migrations.before import ALEMBIC, LAYOUT
from ingest.registry import Registry
from ingest.store.influx import watermark as store_watermark
from telemetry.errors import ConfigInvalid, StoreUnavailable
from telemetry.identity import GatewayRef, Scope, Stream

RECORDED = Path(__file__).parents[2] / "recorded" / "centre" / "layout-1.sql"
EPOCH = "f51eebd6d0b63d2d"
MAKE_ONE = 'a table changed without a revision; make one: python -m ingest.migrations "what changes"'


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


def settings(file: Path) -> dict[str, tuple[bool, bool]]:
    """Whether each table counts up for ever, and whether it has rows of its own: SQLite says it in its words alone."""
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        said = {name: ("AUTOINCREMENT" in sql, "WITHOUT ROWID" in sql) for name, sql in found}
    connection.close()
    said.pop("alembic_version", None)
    return said


async def count(database: Database, table: sa.Table) -> int:
    return await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def test_an_older_file_keeps_all_its_rows(old: Path) -> None:
    database = Database(old)
    assert [await count(database, table) for table in (alert, journal, rule_state)] == [1, 2, 7]
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
    states = States()
    await database.read(lambda connection: states.load(connection, Rules(), lambda ref, device: ""))
    presence = states.presence(GatewayRef(*reference))
    assert presence.epoch == EPOCH and presence.newest > 0
    assert all(seat.heard == seat.newest > 0 for seat in presence.devices()) and len(presence.seats) > 0
    registry = Registry(database)
    await registry.open()
    assert [seen.ref for seen in registry.gateways(Scope(["41"]))] == [reference]
    database.close()


def test_an_upgraded_file_has_the_shape_of_a_new_one(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for file in (old, new, old):
        Database(file).close()
    assert shape(old) == shape(new)
    assert (ALEMBIC,) in shape(new)


def test_an_upgrade_that_fails_changes_nothing(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("CREATE TABLE gap (foreign_to_us INTEGER)")
        connection.execute("CREATE INDEX dead_letter_gateway ON gap (foreign_to_us)")
    connection.close()
    before = shape(old)
    with pytest.raises(StoreUnavailable, match="dead_letter_gateway already exists"):
        Database(old)
    assert shape(old) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("PRAGMA user_version = 99", rf"layout 99, not {LAYOUT}"),
        ("CREATE TABLE alembic_version AS SELECT '9999' AS version_num", "revision 9999, not [0-9]{4}"),
    ],
    ids=["before alembic", "with alembic"],
)
def test_a_newer_file_is_refused_with_the_cure_and_stays_as_it_is(old: Path, change: str, said: str) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute(change)
    connection.close()
    content = old.read_bytes()
    with pytest.raises(ConfigInvalid, match=rf"newer Linli \({said}\) \(install that version again"):
        Database(old)
    assert old.read_bytes() == content


def test_tables_are_the_same_migrated_and_declared_to_the_last_word_of_sqlite(tmp_path: Path) -> None:
    Database(tmp_path / "migrated.db").close()
    declared = sa.create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(declared)
    declared.dispose()
    assert settings(tmp_path / "migrated.db") == settings(tmp_path / "declared.db"), MAKE_ONE


async def test_no_declared_table_lacks_its_revision(place: Place) -> None:
    database = Database(place)
    assert await database.read(lambda connection: migrations.differences(connection, metadata)) == [], MAKE_ONE
    database.close()


async def test_every_revision_can_be_taken_back_and_made_again(place: Place) -> None:
    database = Database(place)
    await database.write(lambda connection: migrations.downgrade(connection, "base"))
    left = await database.read(lambda connection: sa.inspect(connection).get_table_names())
    assert set(left) <= {"alembic_version"}
    database.close()
    again = Database(place)
    assert await again.read(migrations.current) == migrations.newest()
    assert await again.read(lambda connection: migrations.differences(connection, metadata)) == []
    again.close()


async def test_a_newer_database_is_refused_with_the_cure(place: Place) -> None:
    database = Database(place)
    await database.write(lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    database.close()
    with pytest.raises(ConfigInvalid, match=r"newer Linli \(revision 9999, not [0-9]{4}\) \(install that version again"):
        Database(place)


@pytest.mark.parametrize(
    ("journal", "change"),
    [
        ("alert_journal", "UPDATE alert_journal SET actor = 'me'"),
        ("alert_journal", "DELETE FROM alert_journal"),
        ("work_order_journal", "UPDATE work_order_journal SET person = 'me'"),
        ("work_order_journal", "DELETE FROM work_order_journal"),
        ("access_log", "UPDATE access_log SET token = 'me'"),
    ],
)
async def test_journals_are_only_added_to(place: Place, journal: str, change: str) -> None:
    """Also after every revision was taken back and made again: SQLite forgets triggers with the table that they are of."""
    database = Database(place)

    def again(connection: sa.Connection) -> None:
        migrations.downgrade(connection, "0010")
        migrations.upgrade(connection, "here")

    await database.write(again)
    table = metadata.tables[journal]
    line = {column.name: _something(column) for column in table.columns if column.name != "seq"}
    await database.write(lambda connection: connection.execute(table.insert().values(line)))
    with pytest.raises(sa.exc.IntegrityError, match=f"{journal} is only added to"):
        await database.write(lambda connection: connection.execute(sa.text(change)))
    assert await count(database, table) == 1
    database.close()


def _something(column: "sa.Column[object]") -> object:
    return {str: "x", int: 1, bytes: b"x"}[column.type.python_type]
