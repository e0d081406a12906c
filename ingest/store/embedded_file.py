"""The embedded store's DuckDB file: who may touch it, from which thread.

1. One thread writes and others read, each with a connection of its own; none is the event loop's, and a long read holds up
   no write.
2. A transaction is there after a crash, whole, or not at all.
3. After an error of DuckDB the file is closed; the next use opens it and learns from it again, for it alone knows what happened.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb

from ingest.store.columns import Column
from ingest.store.embedded_layout import upgrade
from telemetry.errors import StoreUnavailable

_T = TypeVar("_T")

# The limit is of DuckDB's cache as well, which keeps all that was written until it is full: what nobody asks for would be the
# most of the centre's memory. Summaries of a city's window and the longest answers take no longer with it than with four times
# as much.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "128MB",
    "autoinstall_known_extensions": False,
    "enable_external_access": False,
}


class Reader:
    """A thread that reads, with its connection while the file is open."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, name)
        self.busy = threading.Lock()
        self.connection: duckdb.DuckDBPyConnection | None = None


class EmbeddedFile:
    """``learn`` is called in the writing thread whenever the file was opened."""

    def __init__(self, path: Path, learn: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        self._path = path
        self._learn = learn
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._file: duckdb.DuckDBPyConnection | None = None
        self.queries = Reader("store-read")
        self.thinning = Reader("store-thin")

    async def close(self) -> None:
        await _in(self._writer, self._forget)
        for thread in (self._writer, self.queries.thread, self.thinning.thread):
            thread.shutdown()

    async def write(self, work: Callable[[], _T]) -> _T:
        """Runs ``work`` in the writing thread, with the file open. Raises ``StoreUnavailable``, or ``ConfigInvalid``."""
        return await _in(self._writer, partial(self._work, work))

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
            self._forget()
            raise StoreUnavailable(f"{self._path}: {error}") from error
        except BaseException:
            self._forget()
            raise

    def _work(self, work: Callable[[], _T]) -> _T:
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
                return question(reader.connection)
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self._path}: {error}") from error


@contextmanager
def incoming(file: duckdb.DuckDBPyConnection, columns: Mapping[str, Column]) -> Iterator[None]:
    """Inside, ``incoming`` is a table of these columns."""
    file.register("incoming", dict(columns))
    yield
    file.unregister("incoming")


async def _in(thread: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
