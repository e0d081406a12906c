"""How a server of line protocol is asked: InfluxDB in InfluxQL, VictoriaMetrics by its export."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from ingest.store import influx_counts, influx_thinning, influxql, victoria
from ingest.store.facts import ordered
from ingest.store.hours import slices
from ingest.store.line_protocol import measurement
from ingest.store.line_server import LineServer
from ingest.store.protocol import WHOLE, Hour, Query, Row
from ingest.store.summary import Level, Sample, Summary, counts, merged, summarised
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Kind

MAX_PAGES = 200
MAX_SAMPLES = 2_000_000
LEAST_PAGE = 500
WINDOW_ROWS = 1_000_000
PORTION = 20

_Found = TypeVar("_Found", Row, Summary)
_TOO_MUCH = "too much to look through; ask for a shorter time or one device"


class Reader(Protocol):
    """Answers come ordered and limited as the query says. All of them raise ``StoreUnavailable``."""

    async def rows(self, scope: Scope, query: Query) -> list[Row]: ...

    async def summaries(self, level: Level, scope: Scope, query: Query) -> list[Summary]: ...

    async def counts(self, scope: Scope, query: Query) -> Mapping[Hour, int]: ...

    async def computed(self, level: Level, start: int, gateways: Sequence[GatewayRef]) -> Sequence[Summary]:
        """The summaries of the window from ``start`` of gateways of one community, as they must be written to stand in place of
        what is there."""


class _Source(NamedTuple, Generic[_Found]):
    """One measurement, and what its points say."""

    name: str
    kind: Kind
    made: Callable[[influxql.Point, Kind], Iterator[_Found]]
    speaks_of: Callable[[Kind, str], str]

    def said(self, points: Iterable[influxql.Point], metric: str | None) -> list[_Found]:
        return [one for point in points for one in self.made(point, self.kind) if metric in (None, one.metric)]

    def condition(self, metric: str | None) -> str:
        return "" if metric is None or metric == WHOLE else self.speaks_of(self.kind, metric)


class InfluxqlReader:
    """InfluxDB 1 to 3."""

    def __init__(self, server: LineServer) -> None:
        self._server = server

    async def rows(self, scope: Scope, query: Query) -> list[Row]:
        kinds = [query.kind] if query.kind else list(Kind)
        sources = [_Source(str(kind), kind, influxql.rows_of, influxql.speaks_of) for kind in kinds]
        return ordered(await self._found(scope, query, sources), query)

    async def summaries(self, level: Level, scope: Scope, query: Query) -> list[Summary]:
        kinds = [query.kind] if query.kind else list(Kind)
        sources = [_Source(measurement(kind, level), kind, influxql.summaries_of, influxql.is_summarised) for kind in kinds]
        return ordered(await self._found(scope, query, sources), query)

    async def counts(self, scope: Scope, query: Query) -> Mapping[Hour, int]:
        found: dict[Hour, int] = {}
        for start, end in slices(query):
            found |= influx_counts.counted(await self._server.query(influx_counts.count(scope, query.gateway, start, end)))
        return found

    async def computed(self, level: Level, start: int, gateways: Sequence[GatewayRef]) -> Sequence[Summary]:
        """The server computes five minutes of most devices, for all their readings would be too much to fetch."""
        if level is Level.FIVE_MINUTES:
            try:
                return await self._aggregated(start, gateways)
            except StoreUnavailable:  # a mean that is no float any more, or a server without such functions; or it is down
                pass
        return [one for ref in gateways for one in await _window(self, level, start, ref)]

    async def _aggregated(self, start: int, gateways: Sequence[GatewayRef]) -> list[Summary]:
        unusual = influx_thinning.places(await self._server.query(influx_thinning.unusual(gateways, start)))
        answer = await self._server.query(influx_thinning.aggregates(gateways, start))
        found = [
            summary
            for summary in influx_thinning.computed(answer, start)
            if (GatewayRef(summary.community, summary.gateway), summary.device) not in unusual
        ]
        for ref, device in unusual:
            found += await _window(self, Level.FIVE_MINUTES, start, ref, device)
        return found

    async def _found(self, scope: Scope, query: Query, sources: Sequence[_Source[_Found]]) -> list[_Found]:
        """All measurements are asked for at once, and only those that fill a page, or want a condition, one by one."""
        found: list[_Found] = []
        left = list(sources)
        if query.metric is None:
            size = max(query.limit, LEAST_PAGE)
            statement = influxql.select(scope, query, [source.name for source in sources], size)
            first = influxql.points(await self._server.query(statement))
            left = [source for source in sources if len(first.get(source.name, ())) >= size]
            found = [one for source in sources if source not in left for one in source.said(first.get(source.name, ()), None)]
        for source in left:
            found += await self._paged(scope, query, source)
        return found

    async def _paged(self, scope: Scope, query: Query, source: _Source[_Found]) -> list[_Found]:
        """At least as many as the query wants, if there are; of each instant all or none."""
        found: list[_Found] = []
        size, also = max(query.limit, LEAST_PAGE), source.condition(query.metric)
        for _ in range(MAX_PAGES):
            answer = await self._server.query(influxql.select(scope, query, [source.name], size, also))
            page = influxql.points(answer).get(source.name, [])
            if len(page) < size:
                return found + source.said(page, query.metric)
            last = influxql.at_of(page[-1])
            found += source.said((point for point in page if influxql.at_of(point) != last), query.metric)
            if len(found) >= query.limit:
                return found
            if influxql.at_of(page[0]) == last:
                size *= 2
            query = msgspec.structs.replace(query, **({"end": last + 1} if query.newest_first else {"start": last}))
        raise StoreUnavailable(_TOO_MUCH)


class ExportReader:
    """VictoriaMetrics."""

    def __init__(self, server: LineServer, db: str) -> None:
        self._server = server
        self._db = db

    async def rows(self, scope: Scope, query: Query) -> list[Row]:
        return ordered(victoria.rows(await self._exported(scope, query, Level.RAW), query), query)

    async def summaries(self, level: Level, scope: Scope, query: Query) -> list[Summary]:
        return ordered(victoria.summaries(await self._exported(scope, query, level), query, level), query)

    async def counts(self, scope: Scope, query: Query) -> Mapping[Hour, int]:
        return {}

    async def computed(self, level: Level, start: int, gateways: Sequence[GatewayRef]) -> Sequence[Summary]:
        found: list[Summary] = []
        for ref in gateways:
            query = _asking(level, start, ref)
            there = await self._exported(Scope(query.communities), query, level)
            found += victoria.overwriting(there, await _window(self, level, start, ref), level)
        return found

    async def _exported(self, scope: Scope, query: Query, level: Level) -> list[str]:
        lines: list[str] = []
        size = 0
        async for line in self._server.export(victoria.selector(scope, query, self._db, level)):
            size += line.count(",")
            if size > MAX_SAMPLES:
                raise StoreUnavailable(_TOO_MUCH)
            lines.append(line)
        return lines


def portions(gateways: Iterable[GatewayRef]) -> Iterator[list[GatewayRef]]:
    """The gateways of one community each, so many at once that an answer stays small."""
    for _, group in groupby(sorted(gateways), lambda ref: ref.community):
        while some := list(islice(group, PORTION)):
            yield some


async def _window(reader: Reader, level: Level, start: int, ref: GatewayRef, device: str | None = None) -> list[Summary]:
    """The summaries of one window of one gateway, or of one of its devices, from what they are made of."""
    scope, query = Scope((ref.community,)), _asking(level, start, ref, device)
    found: Sequence[Row | Summary]
    if level is Level.FIVE_MINUTES:
        found = rows = await reader.rows(scope, query)
        made = summarised(_samples(rows), level)
    else:
        found = parts = await reader.summaries(Level.FIVE_MINUTES, scope, query)
        made = merged(parts, level)
    if len(found) >= query.limit:
        raise StoreUnavailable(f"{ref}: too much in one window to summarise")
    return [summary for summary in made if summary.community == ref.community]  # the prefix finds its grids too


def _asking(level: Level, start: int, ref: GatewayRef, device: str | None = None) -> Query:
    end = start + level.width_us
    return Query((ref.community,), start=start, end=end, limit=WINDOW_ROWS, gateway=ref.gateway, device=device)


def _samples(rows: Iterable[Row]) -> Iterator[Sample]:
    for row in rows:
        if isinstance(row.value, int | float) and counts(row.kind, row.metric, row.value, row.quality, row.event_id):
            yield Sample(*row[:6], row.value)
