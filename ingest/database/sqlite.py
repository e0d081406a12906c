"""The centre's database in one SQLite file: durable by WAL with synchronous FULL.

Only the writing connection checkpoints: two connections that write and checkpoint at once can corrupt a file before
SQLite 3.51.3.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from ingest import migrations

_T = TypeVar("_T")

_DURABLE = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class SqliteFile:
    """Implements ``ingest.database.Backend``."""

    def __init__(self, path: Path, readers: int) -> None:
        self._path = path
        self._changes = _engine(path, 1, "BEGIN IMMEDIATE", *_DURABLE)
        self._looks = _engine(path, readers, "BEGIN", "query_only=ON", "wal_autocheckpoint=0")

    def __str__(self) -> str:
        return str(self._path)

    def open(self) -> None:
        with self._changes.begin() as connection:
            migrations.upgrade(connection, str(self))

    def transact(self, change: Callable[[sa.Connection], _T]) -> _T:
        with self._changes.begin() as connection:
            return change(connection)

    def ask(self, question: Callable[[sa.Connection], _T]) -> _T:
        with self._looks.connect() as connection:
            return question(connection)

    def close(self) -> None:
        self._looks.dispose()
        self._changes.dispose()  # last, for the last to close checkpoints


def _engine(path: Path, connections: int, begin: str, *pragmas: str) -> sa.Engine:
    """An engine whose transactions begin with ``begin``: left to itself, Python's driver begins none for DDL or reads."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.QueuePool, pool_size=connections, max_overflow=0)

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=5000", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
