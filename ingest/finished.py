"""Streams that are finished, so that a centre need not know them for ever: a gateway begins two at each start and outage.

1. An epoch is finished when its gateway, connected and naming all that it holds, has not named it for ``FINISHED_US``, and
   nothing of it came meanwhile. Then all of it was acknowledged, and nothing of it is sent again unasked: the time is longer
   than a replay window, and what is replayed moves no watermark.
2. A card that was put back may send it all the same, years later. So a watermark is not dropped but put aside, durably, before
   anything forgets it; ``of`` tells it, and no batch at or below it is stored twice, nor one beyond it lost.
3. What was put aside is kept for ``KEEP_US``, as long as the count of what was taken.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import sqlalchemy as sa

from ingest.database import Database, metadata, upsert
from ingest.tally import KEEP_US
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import MAX_SPANS, State
from telemetry.reading import Micros

FINISHED_US = 25 * 3_600_000_000
ASKED_AT_ONCE = 100

table = sa.Table(
    "finished_stream",
    metadata,
    sa.Column("sink", sa.String(16), primary_key=True),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("epoch", sa.String(16), primary_key=True),
    sa.Column("lane", sa.String(8), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

Epoch = tuple[GatewayRef, str]
Marks = Mapping[Stream, int]


class Finishing:
    """Which epochs are finished: pure. ``state`` is what a gateway said last of itself."""

    def __init__(self, state: Callable[[GatewayRef], State | None]) -> None:
        self._state = state
        self._unnamed: dict[Epoch, tuple[Micros, dict[Stream, int]]] = {}

    def look(self, marks: Marks, now: Micros) -> list[Stream]:
        """The streams of ``marks`` that are finished ``now``; to be asked now and then, with all that is known."""
        epochs: dict[Epoch, dict[Stream, int]] = defaultdict(dict)
        for stream, seq in marks.items():
            epochs[stream.ref, stream.epoch][stream] = seq
        named = {ref: _named(self._state(ref)) for ref in {ref for ref, _ in epochs}}
        before, self._unnamed = self._unnamed, {}
        for (ref, epoch), reached in epochs.items():
            if (held := named[ref]) is not None and epoch not in held:
                since = before.get((ref, epoch))
                self._unnamed[ref, epoch] = since if since and since[1] == reached else (now, reached)
        over = [reached for since, reached in self._unnamed.values() if now - since >= FINISHED_US]
        return [stream for reached in over for stream in reached]


def _named(state: State | None) -> set[str] | None:
    """The epochs that a gateway holds; ``None`` while it does not tell, or not all."""
    if state is None or not state.online or not 0 < len(state.hello) < MAX_SPANS:
        return None
    return {span.epoch for span in state.hello}


class Finished:
    """The watermarks that were put aside, by sink."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_aside(self, marks: Mapping[str, Marks], now: Micros) -> None:
        """Durable on return. ``marks`` by the name of the sink. Raises ``StoreUnavailable``."""
        rows = [
            {**stream._asdict(), "lane": str(stream.lane), "sink": sink, "seq": seq, "at": now}
            for sink, its in marks.items()
            for stream, seq in its.items()
        ]

        def change(connection: sa.Connection) -> None:
            upsert(connection, table, rows)
            connection.execute(table.delete().where(table.c.at < now - KEEP_US))

        await self._database.write(change)

    async def of(self, sink: str, streams: Iterable[Stream]) -> dict[Stream, int]:
        """Those of ``streams`` that are known here. Raises ``StoreUnavailable``."""
        return await self._database.read(lambda connection: _found(connection, sink, list(streams)))


def _found(connection: sa.Connection, sink: str, streams: Sequence[Stream]) -> dict[Stream, int]:
    names = sa.tuple_(*(table.c[name] for name in Stream._fields))
    found: dict[Stream, int] = {}
    for some in _portions(streams):
        wanted = sa.select(table).where(table.c.sink == sink, names.in_([tuple(map(str, stream)) for stream in some]))
        found |= {Stream(row.community, row.gateway, row.epoch, row.lane): row.seq for row in connection.execute(wanted)}
    return found


def _portions(streams: Sequence[Stream]) -> Iterator[Sequence[Stream]]:
    left = iter(streams)
    while some := list(islice(left, ASKED_AT_ONCE)):
        yield some
