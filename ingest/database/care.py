"""What operators do with a whole database while no centre runs: look at its revision, take it back, move it to a server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ingest import migrations
from ingest.database.database import Backend, backend_of
from ingest.database.place import Place, Server
from ingest.database.portable import metadata
from ingest.database.tenure import tenure
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable

_ROWS = 1_000


def revision(place: Place) -> str | None:
    """The revision of the database, which is left as it is; ``None`` when it has none yet. Raises ``StoreUnavailable``."""
    if isinstance(place, Path) and not place.exists():
        return None
    with _using(place) as backend:
        return backend.ask(migrations.current)


def take_back(place: Place, to: str) -> None:
    """Brings the database to an older revision; what only newer ones hold is lost. Raises ``ConfigInvalid``."""
    older = list(migrations.revisions())
    if to not in older:
        raise ConfigInvalid([Problem(str(place), "", f"there is no way back to revision {to}", f"one of {', '.join(older)}")])
    with _using(place) as backend:
        backend.open()
        backend.transact(lambda connection: migrations.downgrade(connection, to))


def copy(source: Path, target: Server) -> Mapping[str, int]:
    """Fills an empty database of a server with all that a SQLite file holds, in one transaction; how many rows each table has.

    Both are brought up to date. Raises ``ConfigInvalid`` when the target holds something, ``StoreUnavailable``.
    """
    if not source.exists():
        raise ConfigInvalid([Problem(str(source), "", "there is no such file", "name the centre.db of before")])
    with _using(source) as old, _using(target) as new:
        old.open()
        new.open()
        return new.transact(lambda into: old.ask(lambda out: _filled(out, into, str(target))))


@contextmanager
def _using(place: Place) -> Iterator[Backend]:
    backend = backend_of(place)
    try:
        yield backend
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(f"{backend}: {error.orig}") from error
    finally:
        backend.close()


def _filled(out: sa.Connection, into: sa.Connection, target: str) -> dict[str, int]:
    tables = [table for table in metadata.sorted_tables if table is not tenure]
    if full := [table.name for table in tables if into.execute(sa.select(table).limit(1)).first()]:
        cure = "make an empty database, and name it in centre.yaml"
        raise ConfigInvalid([Problem(target, "", f"it holds something already: {', '.join(full)}", cure)])
    copied = {table.name: _copied(out, into, table) for table in tables}
    for table in tables:
        if table.autoincrement_column is not None:
            _count_on(out, into, table, table.autoincrement_column)
    return copied


def _copied(out: sa.Connection, into: sa.Connection, table: sa.Table) -> int:
    copied = 0
    for rows in out.execution_options(yield_per=_ROWS).execute(sa.select(table)).mappings().partitions():
        into.execute(table.insert(), [dict(row) for row in rows])
        copied += len(rows)
    return copied


def _count_on(out: sa.Connection, into: sa.Connection, table: sa.Table, key: "sa.Column[Any]") -> None:
    """The server's numbers begin after those that the file has given, also to rows that are gone."""
    given = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    if last := out.scalar(given, {"name": table.name}):
        into.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, key.name), last)))
