"""The telemetry store without a server: one DuckDB file, opened by the ingester alone.

1. A write is one transaction: points, new series and watermarks are all there after a crash, or none of them.
2. Once: what the watermark has seen is skipped, so a batch that is sent again is stored once.
3. Thinning reads beside the writing thread, and holds it for bounded steps: one window's summaries, one day's deletion.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np

from ingest.arrival import Arrival
from ingest.store import embedded_counts, embedded_thinning
from ingest.store.columns import Catalogue, Column, Points, Series
from ingest.store.embedded_file import EmbeddedFile, incoming
from ingest.store.embedded_query import row_of, select, summary_of, wanted_summaries
from ingest.store.embedded_restoring import missing
from ingest.store.facts import body_of, bounded, ordered, why_unsound
from ingest.store.hours import slices
from ingest.store.protocol import Aside, Hour, Limits, Query, Refusal, Row, nowhere
from ingest.store.summary import Level, Summary
from ingest.store.watermark import fresh
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

_Found = TypeVar("_Found", Row, Summary)


class EmbeddedStore:
    """A ``PointStore`` in the DuckDB file at ``path``."""

    limits = Limits()

    def __init__(self, path: Path) -> None:
        self._file = EmbeddedFile(path, self._learn)
        self._catalogue = Catalogue()
        self._streams: dict[Stream, int] = {}
        self._marks: Mapping[Stream, int] = {}

    async def open(self) -> None:
        await self._file.write(lambda: None)

    async def close(self) -> None:
        await self._file.close()

    async def write(self, arrivals: Sequence[Arrival], aside: Aside = nowhere) -> Sequence[Refusal]:
        unsound: list[Refusal] = []
        for arrival in fresh(arrivals, self._marks).arrivals:
            if not arrival.checked:
                _sound(arrival, unsound)
        if unsound:
            await aside(unsound)
        return await self._file.append(partial(self._write, arrivals))

    def foresee(self, arrivals: Sequence[Arrival]) -> None:
        """What it prepares depends on what was written before."""

    async def watermarks(self) -> Mapping[Stream, int]:
        return self._marks

    async def advance(self, stream: Stream, seq: int) -> None:
        await self._file.write(partial(self._advance, stream, seq))

    async def forget(self, streams: Collection[Stream]) -> None:
        await self._file.write(partial(self._forget, streams))

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        return await self._file.write(partial(self._restore, arrivals))

    async def read(self, query: Query) -> list[Row]:
        return await self._page(query, select, row_of)

    async def summaries(self, level: Level, query: Query) -> list[Summary]:
        return await self._page(query, partial(wanted_summaries, level), summary_of)

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        scope, found = Scope(query.communities), dict[Hour, int]()
        for start, end in slices(query) if scope.prefixes else ():
            statement = embedded_counts.count(scope.prefixes, query.gateway, start, end)
            rows = await self._file.ask(self._file.queries, partial(_fetched, statement))
            found |= {Hour(*row[:3]): row[3] for row in rows}
        return found

    async def roll_up(self, level: Level, start: int, gateways: Collection[GatewayRef]) -> None:
        found = await self._file.ask(self._file.thinning, partial(embedded_thinning.computed, level, start, gateways))
        await self._file.append(partial(self._overwrite, level, start, found))

    async def drop_before(self, level: Level, at: int, kinds: Collection[Kind]) -> None:
        while (
            oldest := await self._file.ask(self._file.thinning, partial(embedded_thinning.oldest, level, at, kinds))
        ) is not None:
            step = min(at, embedded_thinning.day_after(oldest))
            await self._file.write(partial(self._drop, level, step, kinds))

    async def _page(
        self,
        query: Query,
        statement: Callable[[Scope, Query, int | None], tuple[str, Sequence[object]]],
        made: Callable[..., _Found],
    ) -> list[_Found]:
        """What ``query`` asks for, of its last instant everything."""
        scope, query = Scope(query.communities), bounded(query)
        if not scope.prefixes:
            return []

        def page(connection: duckdb.DuckDBPyConnection) -> list[_Found]:
            rows = [made(*found) for found in _fetched(statement(scope, query, None), connection)]
            if len(rows) >= query.limit:
                last = rows[-1].at
                rows = [row for row in rows if row.at != last]
                rows += [made(*found) for found in _fetched(statement(scope, query, last), connection)]
            return ordered(rows, query)

        return await self._file.ask(self._file.queries, page)

    # ---- in the writing thread

    def _write(self, arrivals: Sequence[Arrival]) -> list[Refusal]:
        new, marks = fresh(arrivals, self._marks)
        if not new:
            return []
        with self._file.transaction() as file:
            self._mark(file, marks)
            points, refusals = self._points(new)
            self._insert(file, points)
        self._marks = {**self._marks, **marks}
        return refusals

    def _restore(self, arrivals: Sequence[Arrival]) -> list[Refusal]:
        with self._file.transaction() as file:
            self._introduce(file, {arrival.stream for arrival in arrivals})
            points, refusals = self._points(missing(file, arrivals))
            self._insert(file, points)
        return refusals

    def _points(self, arrivals: Sequence[Arrival]) -> tuple[Points, list[Refusal]]:
        points = Points(self._catalogue)
        refusals: list[Refusal] = []
        for arrival in arrivals:
            readings = arrival.readings if arrival.checked else _sound(arrival, refusals)
            points.add(arrival.stream.ref, self._streams[arrival.stream], arrival.seq, readings)
        return points, refusals

    def _insert(self, file: duckdb.DuckDBPyConnection, points: Points) -> None:
        added = self._catalogue.take_added()
        if added:
            _insert(file, "series", dict(zip(Series._fields, map(np.array, zip(*added, strict=True)), strict=True)))
        if len(points):
            _insert(file, "point", points.columns())

    def _advance(self, stream: Stream, seq: int) -> None:
        if seq > self._marks.get(stream, 0):
            with self._file.transaction() as file:
                self._mark(file, {stream: seq})
            self._marks = {**self._marks, stream: seq}

    def _forget(self, streams: Collection[Stream]) -> None:
        """Points keep the number of their stream, which only people ask for."""
        numbers = {self._streams[stream] for stream in streams if stream in self._streams}
        with self._file.transaction() as file, incoming(file, {"id": np.array(list(numbers), np.int64)}):
            file.execute("DELETE FROM stream WHERE id IN (SELECT id FROM incoming)")
        self._streams = {stream: number for stream, number in self._streams.items() if number not in numbers}
        self._marks = {stream: seq for stream, seq in self._marks.items() if stream in self._streams}

    def _mark(self, file: duckdb.DuckDBPyConnection, marks: Mapping[Stream, int]) -> None:
        self._introduce(file, marks)
        numbers = [self._streams[stream] for stream in marks]
        moved = {"id": np.array(numbers, np.int64), "seq": np.array(list(marks.values()), np.int64)}
        with incoming(file, moved):
            file.execute("UPDATE stream SET seq = incoming.seq FROM incoming WHERE stream.id = incoming.id")

    def _introduce(self, file: duckdb.DuckDBPyConnection, streams: Iterable[Stream]) -> None:
        """Numbers the streams that are new; nothing is seen of them yet."""
        new = [stream for stream in streams if stream not in self._streams]
        if not new:
            return
        first = max(self._streams.values(), default=0) + 1
        columns: dict[str, Column] = {"id": np.arange(first, first + len(new)), "seq": np.zeros(len(new), np.int64)}
        for name, words in zip(Stream._fields, zip(*new, strict=True), strict=True):
            columns[name] = np.array([str(word) for word in words])
        _insert(file, "stream", columns)
        self._streams.update((stream, first + place) for place, stream in enumerate(new))

    def _overwrite(self, level: Level, start: int, found: Mapping[str, Column]) -> None:
        with self._file.transaction() as file, incoming(file, found):
            for statement in embedded_thinning.overwriting(level):
                file.execute(statement, [start])

    def _drop(self, level: Level, before: int, kinds: Collection[Kind]) -> None:
        with self._file.transaction() as file:
            file.execute(*embedded_thinning.dropping(level, before, kinds))

    def _learn(self, file: duckdb.DuckDBPyConnection) -> None:
        self._catalogue = Catalogue(Series(*row) for row in file.sql("FROM series").fetchall())
        found = {Stream(*row[1:5]): row for row in file.sql("FROM stream").fetchall()}
        self._streams = {stream: row[0] for stream, row in found.items()}
        self._marks = {stream: row[5] for stream, row in found.items() if row[5]}


def _sound(arrival: Arrival, refusals: list[Refusal]) -> list[Reading]:
    """The sound readings of an arrival; the others go to ``refusals``."""
    sound: list[Reading] = []
    for reading in arrival.readings:
        if reason := why_unsound(reading):
            refusals.append(Refusal(arrival.stream, arrival.seq, body_of(reading), reason))
        else:
            sound.append(reading)
    return sound


def _fetched(statement: tuple[str, Sequence[object]], file: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return file.execute(*statement).fetchall()


def _insert(file: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Column]) -> None:
    with incoming(file, columns):
        file.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM incoming")  # noqa: S608 - our own names
