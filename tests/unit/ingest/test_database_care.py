"""What operators do with a whole database: look at its revision, take it back, move it from a file to a server."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import ingest.service  # noqa: F401 - declares every table of the centre
from ingest import migrations
from ingest.alerts.tables import journal
from ingest.database import Database, Place, Server, copy, metadata, revision, take_back, tenure
from ingest.gaps import _table as gap
from ingest.notify.outbox import table as notification
from telemetry.errors import ConfigInvalid
from tests.databases import Postgresqls

RECORDED = Path(__file__).parents[2] / "recorded" / "centre" / "layout-1.sql"
GAP = {"community": "411202002001", "gateway": "g\0w", "epoch": "0" * 16, "lane": "bulk", "sink": "alerts"}
GAP |= {"first": 1, "last": 2**62, "reason": "没有", "at": 1_700_000_000_000_000}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What a demo community left, and some rows more; the newest notification is gone."""
    path = tmp_path / "centre.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(RECORDED.read_text())
    connection.close()
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('notification', 41)")
    connection.close()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(gap.insert(), [GAP | {"first": first} for first in range(2_500)])
    engine.dispose()
    return path


@pytest.fixture
def server(postgresqls: Postgresqls) -> Iterator[Server]:
    place = postgresqls.empty()
    yield place
    postgresqls.drop(place)


async def everything(place: Place) -> dict[str, list[tuple[object, ...]]]:
    database = Database(place)

    def look(connection: sa.Connection) -> dict[str, list[tuple[object, ...]]]:
        tables = [table for table in metadata.sorted_tables if table is not tenure.tenure]
        return {table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr) for table in tables}

    found = await database.read(look)
    database.close()
    return found


async def test_a_server_is_filled_with_all_that_a_file_holds(file: Path, server: Server) -> None:
    rows = copy(file, server)
    assert rows["gap"] == 2_500
    assert rows["alert_journal"] == 2
    held = await everything(file)
    held["gap"] = [tuple("g␀w" if value == "g\0w" else value for value in row) for row in held["gap"]]
    assert await everything(server) == held


async def test_a_server_goes_on_with_numbers_that_no_row_of_the_file_had(file: Path, server: Server) -> None:
    copy(file, server)
    database = Database(server)
    line = {column.name: 0 if isinstance(column.type, sa.Integer) else "" for column in journal.c if column.name != "seq"}
    word = {column.name: 0 if isinstance(column.type, sa.Integer) else "" for column in notification.c if column.name != "id"}
    made = await database.write(lambda it: it.execute(journal.insert().values(line)).inserted_primary_key)
    assert made == (3,)
    made = await database.write(lambda it: it.execute(notification.insert().values(word | {"body": b""})).inserted_primary_key)
    assert made == (42,)
    database.close()


def test_a_database_that_holds_something_is_not_filled(file: Path, server: Server) -> None:
    copy(file, server)
    with pytest.raises(ConfigInvalid, match="holds something already: alert,"):
        copy(file, server)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ConfigInvalid, match="there is no such file"):
        copy(tmp_path / "centre.db", server)
    assert revision(tmp_path / "centre.db") is None
    assert not (tmp_path / "centre.db").exists()


def test_the_revision_is_told_and_taken_back_and_the_next_start_brings_it_up_again(place: Place) -> None:
    Database(place).close()
    assert revision(place) == migrations.newest()
    take_back(place, "0001")
    assert revision(place) == "0001"
    Database(place).close()
    assert revision(place) == migrations.newest()


@pytest.mark.parametrize("to", ["0000", "base", "head", "-1", "9999"])
def test_there_is_a_way_back_to_revisions_that_were(place: Place, to: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"no way back to revision {to}"):
        take_back(place, to)
