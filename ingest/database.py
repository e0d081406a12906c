"""The centre's SQLite file: alerts, registry, watermarks, dead letters.

1. One process, one writing connection: every write goes through ``write``, one at a time, in a thread of its own.
2. A write is one transaction and durable when it returns (WAL, synchronous FULL): all of it happened, or none.
3. Reads never wait for writes.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from telemetry.errors import StoreUnavailable

_T = TypeVar("_T")

metadata = sa.MetaData()


class Database:
    """Rooms declare their tables on ``metadata`` and hand functions of a connection to ``write`` and ``read``."""

    def __init__(self, path: Path) -> None:
        """Raises ``StoreUnavailable`` when there is no database to be had at ``path``."""
        self._engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.QueuePool, pool_size=4)
        sa.event.listen(self._engine, "connect", _prepare)
        self._writer = ThreadPoolExecutor(1, "database-write")
        self._readers = ThreadPoolExecutor(3, "database-read")
        try:
            with self._engine.begin() as connection:
                metadata.create_all(connection)
        except sa.exc.DatabaseError as error:
            raise StoreUnavailable(f"{path} cannot be used: {error.orig}") from error

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
        self._engine.dispose()

    def _transact(self, change: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._engine.begin() as connection:
                return change(connection)
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(f"{self._engine.url.database}: {error.orig}") from error

    def _ask(self, question: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._engine.connect() as connection:
                return question(connection)
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(f"{self._engine.url.database}: {error.orig}") from error


def _prepare(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")
