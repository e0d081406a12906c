"""The telemetry store in InfluxDB, or in VictoriaMetrics: the ``PointStore`` over line protocol.

1. The server has no transactions: writing is idempotent (series and timestamp), and the watermark moves after it confirmed.
2. The watermark stands in the centre's own database, so a crash between the two writes the same lines once more.
3. A line that the server will never take is found and refused, and the others are stored; see ``line_writer``.
4. A server that is down, at its limit or refuses us costs nothing: the write raises and is repeated later.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.sqlite import insert

from ingest.arrival import Arrival
from ingest.database import Database, metadata
from ingest.store import influx_counts, influxql, line_protocol, victoria
from ingest.store.answer import Meaning, Verdict
from ingest.store.facts import body_of, bounded, ordered, why_unsound
from ingest.store.hours import slices
from ingest.store.line_server import ANSWER_S, LineServer, Unwelcome, deflated
from ingest.store.line_writer import Line, LineWriter, bytes_of
from ingest.store.profile import Address, Profile
from ingest.store.protocol import Hour, Limits, Query, Refusal, Row
from ingest.store.watermark import fresh
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope, Stream
from telemetry.metric import Kind

log = structlog.get_logger()

MAX_LINES = 5_000
MAX_PAGES = 200
MAX_SAMPLES = 2_000_000

_NUMBERS_ONLY = Limits(resolution_us=1000, text=False, durable=False)

watermark = sa.Table(
    "store_watermark",
    metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in Stream._fields),
    sa.Column("seq", sa.BigInteger, nullable=False),
)


class InfluxStore:
    """A ``PointStore`` on the server at ``address``, its watermark in ``database``."""

    def __init__(
        self,
        address: Address,
        database: Database,
        answer_s: float = ANSWER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._server = LineServer(address, answer_s)
        self._writer = LineWriter(repr(address), self._post, clock)
        self._database = database
        self._profile = address.profile
        self._ready = False
        self._marks: Mapping[Stream, int] = {}
        self._writing = asyncio.Lock()

    @property
    def limits(self) -> Limits:
        return _NUMBERS_ONLY if self._profile is Profile.VICTORIA else Limits()

    async def open(self) -> None:
        self._marks = await self._database.read(_marks)
        try:
            await self._prepared()
        except StoreUnavailable as error:
            log.warning("telemetry store is not there yet", store=repr(self._address), reason=str(error))

    async def close(self) -> None:
        await self._server.close()

    async def watermarks(self) -> Mapping[Stream, int]:
        return self._marks

    async def advance(self, stream: Stream, seq: int) -> None:
        async with self._writing:
            if seq > self._marks.get(stream, 0):
                await self._move({stream: seq})

    async def write(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        async with self._writing:
            new, marks = fresh(arrivals, self._marks)
            if not new:
                return []
            refusals = await self.restore(new)
            await self._move(marks)
            return refusals

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        profile = await self._prepared()
        refusals: list[Refusal] = []
        lines = _lines(arrivals, profile, refusals)
        while block := await asyncio.to_thread(_block, lines, self._writer.max_bytes):
            for line, reason in await self._writer.write(block):
                refusals.append(Refusal(line.stream, line.seq, body_of(line.reading), reason))
        return refusals

    async def read(self, query: Query) -> list[Row]:
        scope, query = Scope(query.communities), bounded(query)
        if not scope.prefixes:
            return []
        if await self._prepared() is Profile.VICTORIA:
            return ordered(await self._exported(scope, query), query)
        kinds = [query.kind] if query.kind else list(Kind)
        return ordered([row for kind in kinds for row in await self._selected(scope, query, kind)], query)

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        scope = Scope(query.communities)
        if not scope.prefixes or await self._prepared() is Profile.VICTORIA:
            return {}
        found: dict[Hour, int] = {}
        for start, end in slices(query):
            statement = influx_counts.count(scope, query.gateway, start, end)
            found |= influx_counts.counted(await self._server.query(statement))
        return found

    async def _post(self, lines: Sequence[Line]) -> Verdict:
        found = await self._server.post(await asyncio.to_thread(_body, lines))
        if found.meaning not in (Meaning.STORED, Meaning.BAD, Meaning.LARGE):
            self._ready = False  # it may come back as another server, or without its database
        return found

    async def _prepared(self) -> Profile:
        if self._profile is None or not self._ready:
            self._writer.check_rest()
            try:
                self._profile = await self._server.prepare()
            except Unwelcome as unwelcome:
                self._writer.rest(unwelcome.found)
                raise
            self._ready = True
        return self._profile

    async def _move(self, marks: Mapping[Stream, int]) -> None:
        await self._database.write(lambda connection: _put(connection, marks))
        self._marks = {**self._marks, **marks}

    async def _selected(self, scope: Scope, query: Query, kind: Kind) -> list[Row]:
        """At least as many rows as the query wants, if there are; of each instant all or none."""
        rows: list[Row] = []
        size = max(query.limit, 500)
        for _ in range(MAX_PAGES):
            page = influxql.page(await self._server.query(influxql.select(scope, query, kind, size)), kind, query)
            if len(page.instants) < size:
                return rows + page.rows
            last = page.instants[-1]
            rows += [row for row in page.rows if row.at != last]
            if len(rows) >= query.limit:
                return rows
            if page.instants[0] == last:
                size *= 2
            query = msgspec.structs.replace(query, **({"end": last + 1} if query.newest_first else {"start": last}))
        raise StoreUnavailable(f"{self._address}: too much to look through; ask for a shorter time or one device")

    async def _exported(self, scope: Scope, query: Query) -> list[Row]:
        lines: list[str] = []
        size = 0
        async for line in self._server.export(victoria.selector(scope, query, self._address.db)):
            size += line.count(",")
            if size > MAX_SAMPLES:
                raise StoreUnavailable(f"{self._address}: too much to look through; ask for a shorter time or one device")
            lines.append(line)
        return list(victoria.rows(lines, query))


def _lines(arrivals: Iterable[Arrival], profile: Profile, refusals: list[Refusal]) -> Iterator[Line]:
    """The lines of all sound readings; the others go to ``refusals``."""
    encode = line_protocol.numeric_line if profile is Profile.VICTORIA else line_protocol.line
    for arrival in arrivals:
        stream, seq, ref = arrival.stream, arrival.seq, arrival.stream.ref
        for reading in arrival.readings:
            if reason := why_unsound(reading):
                refusals.append(Refusal(stream, seq, body_of(reading), reason))
            else:
                yield Line(encode(ref, reading), stream, seq, reading)


def _block(lines: Iterator[Line], max_bytes: int) -> list[Line]:
    """The next lines of one request: bounded in number and size."""
    block: list[Line] = []
    size = 0
    for line in islice(lines, MAX_LINES):
        block.append(line)
        size += bytes_of(line)
        if size >= max_bytes:
            break
    return block


def _body(lines: Sequence[Line]) -> bytes:
    return deflated("\n".join(line.text for line in lines).encode())


def _marks(connection: sa.Connection) -> dict[Stream, int]:
    return {Stream(*row[:4]): row.seq for row in connection.execute(sa.select(watermark))}


def _put(connection: sa.Connection, marks: Mapping[Stream, int]) -> None:
    rows = [{**stream._asdict(), "lane": str(stream.lane), "seq": seq} for stream, seq in marks.items()]
    statement = insert(watermark)
    larger = sa.func.max(watermark.c.seq, statement.excluded.seq)
    connection.execute(statement.on_conflict_do_update(index_elements=list(Stream._fields), set_={"seq": larger}), rows)
