"""The telemetry store in InfluxDB, or in VictoriaMetrics: the ``PointStore`` over line protocol.

1. The server has no transactions: writing is idempotent (series and timestamp), and the watermark moves after it confirmed.
2. The watermark stands in the centre's own database, so a crash between the two writes the same lines once more.
3. A line that the server will never take is found and refused, and the others are stored; see ``line_writer``.
4. A server that is down, at its limit or refuses us costs nothing: the write raises and is repeated later.
5. While it works at one group the next is encoded, so that neither of them waits for the other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
import structlog

from ingest.arrival import Arrival
from ingest.database import Database, insert, metadata
from ingest.store import line_protocol, victoria
from ingest.store.answer import Meaning, Verdict
from ingest.store.facts import body_of, bounded
from ingest.store.line_blocks import MAX_LINES, Block, Encoded, body_of_lines, encoded
from ingest.store.line_server import ANSWER_S, LineServer, Unwelcome
from ingest.store.line_writer import Line, LineWriter
from ingest.store.profile import Address, Profile
from ingest.store.protocol import Aside, Hour, Limits, Query, Refusal, Row, nowhere
from ingest.store.reader import ExportReader, InfluxqlReader, Reader, portions
from ingest.store.summary import Level, Summary
from ingest.store.watermark import fresh
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind

log = structlog.get_logger()

_T = TypeVar("_T")

GROUP = 30_000
"""Readings. Between two groups a server waits for the watermark and for the centre to find time."""

_LIMITS = Limits(group=GROUP)
_NUMBERS_ONLY = _LIMITS._replace(resolution_us=victoria.RESOLUTION_US, text=False, durable=False, deletes=False)

watermark = sa.Table(
    "store_watermark",
    metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in Stream._fields),
    sa.Column("seq", sa.BigInteger, nullable=False),
)


class _Foreseen(NamedTuple):
    """What was told beforehand, and its lines in the making; of two, one is being written and the other comes next."""

    arrivals: Sequence[Arrival]
    encoding: asyncio.Task[Encoded]


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
        self._foreseen: deque[_Foreseen] = deque(maxlen=2)

    @property
    def limits(self) -> Limits:
        match self._profile:
            case Profile.VICTORIA:
                return _NUMBERS_ONLY
            case Profile.V2:
                return _LIMITS._replace(deletes=bool(self._address.org))
            case profile:
                return _LIMITS._replace(deletes=profile is not Profile.V3)

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

    async def forget(self, streams: Collection[Stream]) -> None:
        async with self._writing:
            await self._database.write(lambda connection: _drop(connection, streams))
            gone = set(streams)
            self._marks = {stream: seq for stream, seq in self._marks.items() if stream not in gone}

    async def write(self, arrivals: Sequence[Arrival], aside: Aside = nowhere) -> Sequence[Refusal]:
        async with self._writing:
            new, marks = fresh(arrivals, self._marks)
            if not new:
                return []
            await self._prepared()
            refusals = await self._stored(self._encoding_of(arrivals, new))
            if refusals:
                await aside(refusals)
            await self._move(marks)
            return refusals

    async def restore(self, arrivals: Sequence[Arrival]) -> Sequence[Refusal]:
        await self._prepared()
        return await self._stored(self._encoded(arrivals))

    def foresee(self, arrivals: Sequence[Arrival]) -> None:
        if self._profile is not None:
            self._foreseen.append(_Foreseen(arrivals, asyncio.create_task(self._encoded(arrivals))))

    async def read(self, query: Query) -> list[Row]:
        scope = Scope(query.communities)
        return await (await self._reader()).rows(scope, bounded(query)) if scope.prefixes else []

    async def summaries(self, level: Level, query: Query) -> list[Summary]:
        scope = Scope(query.communities)
        return await (await self._reader()).summaries(level, scope, bounded(query)) if scope.prefixes else []

    async def counts(self, query: Query) -> Mapping[Hour, int]:
        scope = Scope(query.communities)
        return await (await self._reader()).counts(scope, query) if scope.prefixes else {}

    async def roll_up(self, level: Level, start: int, gateways: Collection[GatewayRef]) -> None:
        reader = await self._reader()
        for some in portions(gateways):
            lines = line_protocol.summary_lines(await reader.computed(level, start, some), level)
            while block := [Line(text) for text in islice(lines, MAX_LINES)]:
                await self._store_summaries(block)

    async def drop_before(self, level: Level, at: int, kinds: Collection[Kind]) -> None:
        await self._prepared()
        if self.limits.deletes:
            for kind in kinds:
                await self._server.delete(line_protocol.measurement(kind, level), at)

    def _encoding_of(self, arrivals: Sequence[Arrival], new: Sequence[Arrival]) -> Awaitable[Encoded]:
        """What was foreseen, if it is this; of what is not all new anew."""
        for foreseen in [one for one in self._foreseen if one.arrivals == arrivals and len(new) == len(arrivals)]:
            self._foreseen.remove(foreseen)
            return foreseen.encoding
        return self._encoded(new)

    async def _encoded(self, arrivals: Sequence[Arrival]) -> Encoded:
        numbers_only = self._profile is Profile.VICTORIA
        return await self._beside(lambda: encoded(arrivals, numbers_only, self._writer.max_bytes, self._server.pack))

    async def _beside(self, work: Callable[[], _T]) -> _T:
        """In a thread; that none is to be had now is no fault of ours that should end the centre."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise StoreUnavailable(f"{self._address}: {error}") from error

    async def _stored(self, encoding: Awaitable[Encoded]) -> list[Refusal]:
        blocks, refusals = await encoding
        return [*refusals, *(_refusal(*refused) for refused in await self._writer.write_all(blocks))]

    async def _store_summaries(self, lines: Sequence[Line]) -> None:
        refused = await self._writer.write(lines)
        if refused:
            log.warning("summaries refused", store=repr(self._address), count=len(refused), reason=refused[0].reason)

    async def _post(self, lines: Sequence[Line]) -> Verdict:
        body = lines.body if isinstance(lines, Block) else await self._beside(lambda: body_of_lines(lines, self._server.pack))
        found = await self._server.post(body)
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

    async def _reader(self) -> Reader:
        if await self._prepared() is Profile.VICTORIA:
            return ExportReader(self._server, self._address.db)
        return InfluxqlReader(self._server)

    async def _move(self, marks: Mapping[Stream, int]) -> None:
        await self._database.write(lambda connection: _put(connection, marks))
        self._marks = {**self._marks, **marks}


def _refusal(line: Line, reason: str) -> Refusal:
    assert line.origin is not None  # only lines of summaries have none
    stream, seq, reading = line.origin
    return Refusal(stream, seq, body_of(reading), reason)


def _marks(connection: sa.Connection) -> dict[Stream, int]:
    return {Stream(*row[:4]): row.seq for row in connection.execute(sa.select(watermark))}


def _put(connection: sa.Connection, marks: Mapping[Stream, int]) -> None:
    rows = [{**stream._asdict(), "lane": str(stream.lane), "seq": seq} for stream, seq in marks.items()]
    statement = insert(connection, watermark)
    seq = statement.excluded.seq
    change = statement.on_conflict_do_update(index_elements=Stream._fields, set_={"seq": seq}, where=seq > watermark.c.seq)
    connection.execute(change, rows)


def _drop(connection: sa.Connection, streams: Collection[Stream]) -> None:
    mine = sa.and_(*(watermark.c[name] == sa.bindparam(f"its_{name}") for name in Stream._fields))
    rows = [{f"its_{name}": str(word) for name, word in stream._asdict().items()} for stream in streams]
    if rows:
        connection.execute(watermark.delete().where(mine), rows)
