"""The centre's SQLite file: alerts, registry, watermarks, dead letters.

1. One process, one writing connection: every write goes through ``write``, one at a time, in a thread of its own. It alone
   checkpoints: two connections that write and checkpoint at once can corrupt a file before SQLite 3.51.3.
2. A write is one transaction and durable when it returns (WAL, synchronous FULL): all of it happened, or none.
3. Reads never wait for writes, cannot write, and each sees one state of the file.
4. A file of an older Linli is brought up to date before its first use, whole; a newer one is refused (``ingest.schema``).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from ingest.schema import upgrade
from telemetry.errors import ConfigInvalid, StoreUnavailable

_T = TypeVar("_T")

metadata = sa.MetaData()

READERS = 3
_DURABLE = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class Database:
    """Rooms declare their tables on ``metadata`` and hand functions of a connection to ``write`` and ``read``."""

    def __init__(self, path: Path) -> None:
        """Raises ``StoreUnavailable`` when there is no database to be had at ``path``, ``ConfigInvalid`` when it is newer."""
        self._changes = _engine(path, 1, "BEGIN IMMEDIATE", *_DURABLE)
        self._looks = _engine(path, READERS, "BEGIN", "query_only=ON", "wal_autocheckpoint=0")
        self._writer = ThreadPoolExecutor(1, "database-write")
        self._readers = ThreadPoolExecutor(READERS, "database-read")
        try:
            with self._changes.begin() as connection:
                upgrade(connection, metadata, path)
        except sa.exc.DatabaseError as error:
            self.close()
            raise StoreUnavailable(f"{path} cannot be used: {error.orig}") from error
        except ConfigInvalid:
            self.close()
            raise

    async def write(self, change: Callable[[sa.Connection], _T]) -> _T:
        """Runs ``change`` in one transaction; what it returns once it is durable. Its exception rolls all of it back.

        Raises ``StoreUnavailable`` when the file cannot be written now: locked, full, read-only, failing.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, change)

    async def read(self, question: Callable[[sa.Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._ask, question)

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._looks.dispose()
        self._changes.dispose()  # last, for the last to close checkpoints

    def _transact(self, change: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._changes.begin() as connection:
                return change(connection)
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(f"{self._changes.url.database}: {error.orig}") from error

    def _ask(self, question: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._looks.connect() as connection:
                return question(connection)
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(f"{self._changes.url.database}: {error.orig}") from error


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
