"""The centre's database: alerts, registry, watermarks, dead letters; in a SQLite file, or on a PostgreSQL server.

1. One process, one writing connection: every write goes through ``write``, one at a time, in a thread of its own.
2. A write is one transaction and durable when it returns: all of it happened, or none.
3. Reads never wait for writes, cannot write, and each sees one state of the database.
4. A database of an older Linli is brought up to date before its first use, whole; a newer one is refused
   (``ingest.migrations``).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import sqlalchemy as sa

from ingest.database.place import Place, Server
from ingest.database.sqlite import SqliteFile
from telemetry.errors import LinliError, StoreUnavailable

_T = TypeVar("_T")

READERS = 3
_NOT_NOW = (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError)


class Backend(Protocol):
    """One kind of database; ``str`` of it says where. Everything but ``close`` raises errors of SQLAlchemy."""

    def open(self) -> None:
        """Brings it up to date. Raises ``ConfigInvalid`` when it cannot do."""

    def transact(self, change: Callable[[sa.Connection], _T]) -> _T: ...

    def ask(self, question: Callable[[sa.Connection], _T]) -> _T: ...

    def close(self) -> None: ...


class Database:
    """Rooms declare their tables on ``metadata`` and hand functions of a connection to ``write`` and ``read``."""

    def __init__(self, place: Place) -> None:
        """Raises ``StoreUnavailable`` when there is no database to be had at ``place``, ``ConfigInvalid`` when it cannot do."""
        self._backend = backend_of(place)
        self._writer = ThreadPoolExecutor(1, "database-write")
        self._readers = ThreadPoolExecutor(READERS, "database-read")
        try:
            self._backend.open()
        except sa.exc.DBAPIError as error:
            self.close()
            raise StoreUnavailable(f"{self._backend} cannot be used: {error.orig}") from error
        except LinliError:
            self.close()
            raise

    async def write(self, change: Callable[[sa.Connection], _T]) -> _T:
        """Runs ``change`` in one transaction; what it returns once it is durable. Its exception rolls all of it back.

        Raises ``StoreUnavailable`` when the database cannot be written now: locked, full, read-only, failing, damaged, away.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._translated, self._backend.transact, change)

    async def read(self, question: Callable[[sa.Connection], _T]) -> _T:
        """Raises ``StoreUnavailable``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._translated, self._backend.ask, question)

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._backend.close()

    def _translated(self, run: Callable[[Callable[[sa.Connection], _T]], _T], work: Callable[[sa.Connection], _T]) -> _T:
        try:
            return run(work)
        except _NOT_NOW as error:
            raise StoreUnavailable(f"{self._backend}: {error.orig}") from error
        except sa.exc.DatabaseError as error:
            if type(error) is not sa.exc.DatabaseError:  # a row that does not fit, or a mistake of ours
                raise
            raise StoreUnavailable(f"{self._backend} is damaged: {error.orig}; stop the centre and put back a copy") from error


def backend_of(place: Place) -> Backend:
    """What serves a place, not opened yet."""
    if not isinstance(place, Server):
        return SqliteFile(place, READERS)
    from ingest.database.postgresql import PostgresqlServer  # its driver is an extra of its own

    return PostgresqlServer(place, READERS)
