"""The embedded store's DuckDB file: who may touch it, from which thread.

1. One thread writes and others read, each with a connection of its own; none is the event loop's, and a long read holds up
   no write.
2. A transaction is there after a crash, whole, or not at all.
3. After an error of DuckDB the file is closed; the next use opens it and learns from it again, for it alone knows what happened.
4. Between questions its memory is bounded by ``AT_REST``, while history is summarised too; while something is asked or put right,
   by ``MOST``.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb

from ingest.store.columns import Column
from ingest.store.embedded_layout import upgrade
from telemetry.errors import StoreUnavailable

_T = TypeVar("_T")

MOST, AT_REST = "128MB", "64MB"
"""The limit is of DuckDB's cache as well, which keeps all that was written until it is full: what nobody asks for would be the
most of the centre's memory. The longest answers take no longer with ``MOST`` than with four times as much, and do not do with
less; a city's window costs no more processor time with 24 MB, summarised 200 gateways at a time."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": MOST,
    "autoinstall_known_extensions": False,
    "enable_external_access": False,
}


class Reader:
    """A thread that reads, with its connection while the file is open; ``in_room`` while it does."""

    def __init__(self, name: str, in_room: Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[object]]) -> None:
        self.in_room = in_room
        self.thread = ThreadPoolExecutor(1, name)
        self.busy = threading.Lock()
        self.connection: duckdb.DuckDBPyConnection | None = None


class Room:
    """The limit of DuckDB's memory: ``MOST`` while any work is ``inside``, else ``at_rest``."""

    def __init__(self) -> None:
        self.at_rest = AT_REST
        self._works = 0
        self._changing = threading.Lock()

    @contextmanager
    def inside(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        with self._changing:
            self._works += 1
            _limit(connection, MOST)
        try:
            yield
        finally:
            with self._changing:
                self._works -= 1
            self.rest(connection)

    def learn(self, error: duckdb.Error) -> None:
        """What did not do with less is tried again, and must not fail for ever."""
        if isinstance(error, duckdb.OutOfMemoryException):
            self.at_rest = MOST

    def rest(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Gives back what is not in use, if no work is inside."""
        with self._changing:
            if not self._works:
                _limit(connection, self.at_rest)


class EmbeddedFile:
    """``learn`` is called in the writing thread whenever the file was opened."""

    def __init__(self, path: Path, learn: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        self._path = path
        self._learn = learn
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._file: duckdb.DuckDBPyConnection | None = None
        self._room = Room()
        self.queries = Reader("store-read", self._room.inside)
        self.thinning = Reader("store-thin", nullcontext)

    async def close(self) -> None:
        await _in(self._writer, self._forget)
        for thread in (self._writer, self.queries.thread, self.thinning.thread):
            thread.shutdown()

    async def write(self, work: Callable[[], _T]) -> _T:
        """Runs ``work`` in the writing thread, with the file open. Raises ``StoreUnavailable``, or ``ConfigInvalid``."""
        return await _in(self._writer, partial(self._work, work))

    async def append(self, work: Callable[[], _T]) -> _T:
        """The same for what adds a group at a time, or a step's summaries: it does with the memory of a file at rest."""
        return await _in(self._writer, partial(self._add, work))

    async def ask(self, reader: Reader, question: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """Runs ``question`` in a reading thread. Raises ``StoreUnavailable``."""
        if reader.connection is None:
            await self.write(lambda: None)
        return await _in(reader.thread, partial(self._answer, reader, question))

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """In the writing thread: what is done inside is durable when this ends."""
        file = self._opened()
        try:
            file.begin()
            yield file
            file.commit()
        except duckdb.Error as error:
            self._room.learn(error)
            self._forget()
            raise StoreUnavailable(f"{self._path}: {error}") from error
        except BaseException:
            self._forget()
            raise

    def _work(self, work: Callable[[], _T]) -> _T:
        with self._room.inside(self._opened()):
            return work()

    def _add(self, work: Callable[[], _T]) -> _T:
        self._opened()
        return work()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._file is None:
            try:
                self._file = self._open()
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self._path} cannot be opened: {str(error).partition(chr(10))[0]}") from error
        return self._file

    def _open(self) -> duckdb.DuckDBPyConnection:
        file = duckdb.connect(str(self._path), config=_SETTINGS)
        try:
            upgrade(file, self._path)
            self._learn(file)
            for reader in (self.queries, self.thinning):
                reader.connection = file.cursor()
            self._room.rest(file)
        except BaseException:
            file.close()
            raise
        return file

    def _forget(self) -> None:
        for reader in (self.queries, self.thinning):
            with reader.busy:
                if reader.connection is not None:
                    reader.connection.close()
                reader.connection = None
        if self._file is not None:
            self._file.close()
        self._file = None

    def _answer(self, reader: Reader, question: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        with reader.busy:
            if reader.connection is None:
                raise StoreUnavailable(f"{self._path} is not open")
            try:
                with reader.in_room(reader.connection):
                    return question(reader.connection)
            except duckdb.Error as error:
                self._room.learn(error)
                self._room.rest(reader.connection)
                raise StoreUnavailable(f"{self._path}: {error}") from error


@contextmanager
def incoming(file: duckdb.DuckDBPyConnection, columns: Mapping[str, Column]) -> Iterator[None]:
    """Inside, ``incoming`` is a table of these columns."""
    file.register("incoming", dict(columns))
    yield
    file.unregister("incoming")


def _limit(connection: duckdb.DuckDBPyConnection, limit: str) -> None:
    """As far as it goes: a file that is closed has none, and what is in use cannot be given back."""
    with suppress(duckdb.Error):
        connection.execute(f"SET memory_limit = '{limit}'")


async def _in(thread: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
