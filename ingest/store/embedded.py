"""The telemetry store without a server: one DuckDB file, opened by the ingester alone.

1. A write is one transaction: points, new series and watermarks are all there after a crash, or none of them.
2. Once: what the watermark has seen is skipped, so a batch that is sent again is stored once.
3. One thread writes and another reads; neither is the event loop's, and a long read does not hold up a write.
4. After an error of DuckDB the file is opened again and the watermarks are read from it, for it alone knows what happened.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import structlog

from ingest.arrival import Arrival
from ingest.store import embedded_counts
from ingest.store.columns import Catalogue, Column, Points, Series
from ingest.store.embedded_query import LAYOUT, TABLES, row_of, select
from ingest.store.facts import body_of, bounded, ordered, why_unsound
from ingest.store.hours import slices
from ingest.store.protocol import Hour, Limits, Query, Refusal, Row
from ingest.store.watermark import fresh
from telemetry.errors import ConfigInvalid, Problem, StoreUnavailable
from telemetry.identity import Scope, Stream

_T = TypeVar("_T")
log = structlog.get_logger()

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
    "enable_external_access": False,
}


class EmbeddedStore:
    """A ``PointStore`` in the DuckDB file at ``path``."""

    limits = Limits()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._reader = ThreadPoolExecutor(1, "store-read")
        self._reading = threading.Lock()
        self._file: duckdb.DuckDBPyConnection | None = None
        self._read_only: duckdb.DuckDBPyConnection | None = None
        self._catalogue = Catalogue()
        self._streams: dict[Stream, int] = {}
        self._marks: Mapping[Stream, int] = {}

    async def open(self) -> None:
        await _in(self._writer, self._opened)

    async def close(self) -> None:
        await _in(self._writer, self._forget)
        self._writer.shutdown()
        self._reader.shutdown()

    async def write(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        return await _in(self._writer, partial(self._write, arrivals))

    async def watermarks(self) -> Mapping[Stream, int]:
        return self._marks

    async def advance(self, stream: Stream, seq: int) -> None:
        await _in(self._writer, partial(self._advance, stream, seq))

    async def read(self, query: Query) -> list[Row]:
        scope, query = Scope(query.communities), bounded(query)
        if not scope.prefixes:
            return []
        if self._read_only is None:
            await _in(self._writer, self._opened)
        return await _in(self._reader, partial(self._read, scope, query))

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        scope, found = Scope(query.communities), dict[Hour, int]()
        for start, end in slices(query) if scope.prefixes else ():
            if self._read_only is None:
                await _in(self._writer, self._opened)
            statement = embedded_counts.count(scope.prefixes, query.gateway, start, end)
            found |= await _in(self._reader, partial(self._count, *statement))
        return found

    # ---- in the writing thread

    def _write(self, arrivals: Sequence[Arrival]) -> list[Refusal]:
        self._opened()
        new, marks = fresh(arrivals, self._marks)
        if not new:
            return []
        with self._transaction() as file:
            self._mark(file, marks)
            points, refusals = self._points(new)
            added = self._catalogue.take_added()
            if added:
                _insert(file, "series", dict(zip(Series._fields, map(np.array, zip(*added, strict=True)), strict=True)))
            if len(points):
                _insert(file, "point", points.columns())
        self._marks = {**self._marks, **marks}
        return refusals

    def _points(self, arrivals: Sequence[Arrival]) -> tuple[Points, list[Refusal]]:
        points = Points(self._catalogue)
        refusals = []
        for arrival in arrivals:
            stream, ref = self._streams[arrival.stream], arrival.stream.ref
            for reading in arrival.readings:
                if reason := why_unsound(reading):
                    refusals.append(Refusal(arrival.stream, arrival.seq, body_of(reading), reason))
                else:
                    points.add(ref, stream, arrival.seq, reading)
        return points, refusals

    def _advance(self, stream: Stream, seq: int) -> None:
        self._opened()
        if seq > self._marks.get(stream, 0):
            with self._transaction() as file:
                self._mark(file, {stream: seq})
            self._marks = {**self._marks, stream: seq}

    def _mark(self, file: duckdb.DuckDBPyConnection, marks: Mapping[Stream, int]) -> None:
        for stream, seq in marks.items():
            if stream in self._streams:
                file.execute("UPDATE stream SET seq = ? WHERE id = ?", [seq, self._streams[stream]])
            else:
                number = self._streams[stream] = len(self._streams) + 1
                file.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)", [number, *map(str, stream), seq])

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
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

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._file is None:
            try:
                file = duckdb.connect(str(self._path), config=_SETTINGS)
                self._load(file)
                self._read_only = file.cursor()
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self._path} cannot be opened: {str(error).partition(chr(10))[0]}") from error
            self._file = file
        return self._file

    def _load(self, file: duckdb.DuckDBPyConnection) -> None:
        file.execute(TABLES)
        file.execute("INSERT INTO layout SELECT ? WHERE NOT EXISTS (FROM layout)", [LAYOUT])
        version = file.sql("FROM layout").fetchall()[0][0]
        if version != LAYOUT:
            file.close()
            raise ConfigInvalid(
                [Problem(str(self._path), "", f"is of layout {version}, not {LAYOUT}", "use the Linli that wrote it")]
            )
        self._catalogue = Catalogue(Series(*row) for row in file.sql("FROM series").fetchall())
        found = {Stream(*row[1:5]): row for row in file.sql("FROM stream").fetchall()}
        self._streams = {stream: row[0] for stream, row in found.items()}
        self._marks = {stream: row[5] for stream, row in found.items()}

    def _forget(self) -> None:
        """Closes the file. The next use opens it again, and knows again what it holds."""
        with self._reading:
            for connection in (self._read_only, self._file):
                if connection is not None:
                    connection.close()
            self._read_only = self._file = None

    # ---- in the reading thread

    def _read(self, scope: Scope, query: Query) -> list[Row]:
        with self._reading:
            if self._read_only is None:
                raise StoreUnavailable(f"{self._path} is not open")
            try:
                rows = _rows(self._read_only, *select(scope, query))
                if len(rows) >= query.limit:
                    last = rows[-1].at
                    rows = [row for row in rows if row.at != last]
                    rows += _rows(self._read_only, *select(scope, query, at=last))
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self._path}: {error}") from error
            return ordered(rows, query)

    def _count(self, statement: str, values: Sequence[object]) -> dict[Hour, int]:
        with self._reading:
            if self._read_only is None:
                raise StoreUnavailable(f"{self._path} is not open")
            try:
                found = self._read_only.execute(statement, values).fetchall()
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self._path}: {error}") from error
            return {Hour(*row[:3]): row[3] for row in found}


def _rows(file: duckdb.DuckDBPyConnection, statement: str, values: Sequence[object]) -> list[Row]:
    return [row_of(*found) for found in file.execute(statement, values).fetchall()]


async def _in(executor: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


def _insert(file: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Column]) -> None:
    file.register("incoming", dict(columns))
    file.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM incoming")  # noqa: S608 - our own names
    file.unregister("incoming")
