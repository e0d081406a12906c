"""The seqs that a sink will never see, kept durably, so that an audit can name them.

1. A gap is durable when ``note`` returns; the same gap is kept once for each sink.
2. Bounded: ``MAX_ROWS`` a gateway; past it the oldest of that gateway give way.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from ingest.database import Database, insert_new, metadata
from ingest.sequencer import Gap
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

MAX_ROWS = 1_000

_table = sa.Table(
    "gap",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in Stream._fields),
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True),
    sa.Column("last", sa.BigInteger, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)


class GapRow(NamedTuple):
    """A gap as it was first noted: ``sink`` is who misses the seqs, ``at`` when it learned so, UTC microseconds."""

    sink: str
    gap: Gap
    at: Micros


class Gaps:
    """The gaps that the sinks found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, sink: str, gap: Gap, at: Micros) -> None:
        """Raises ``StoreUnavailable`` when it cannot be kept now."""
        row = {**gap.stream._asdict(), "lane": str(gap.stream.lane), "sink": sink, "at": at}
        row |= {"first": gap.first, "last": gap.last, "reason": gap.reason}

        def change(connection: sa.Connection) -> None:
            insert_new(connection, _table, [row])
            _make_room(connection, gap.stream.ref)

        await self._database.write(change)

    async def between(self, prefixes: Iterable[str], start: int, end: int) -> list[GapRow]:
        """The gaps noted from ``start`` on and before ``end`` in communities that begin so, oldest first."""
        inside = sa.or_(sa.false(), *(_table.c.community.startswith(prefix, autoescape=True) for prefix in prefixes))
        wanted = sa.select(_table).where(inside, _table.c.at >= start, _table.c.at < end).order_by(_table.c.at, _table.c.first)
        rows = await self._database.read(lambda connection: connection.execute(wanted).all())
        return [GapRow(row.sink, Gap(Stream(*row[:4]), row.first, row.last, row.reason), Micros(row.at)) for row in rows]


def _make_room(connection: sa.Connection, ref: GatewayRef) -> None:
    own = sa.and_(_table.c.community == ref.community, _table.c.gateway == ref.gateway)
    newest_lost = sa.select(_table.c.at).where(own).order_by(_table.c.at.desc()).offset(MAX_ROWS).limit(1).scalar_subquery()
    connection.execute(_table.delete().where(own, _table.c.at <= newest_lost))
