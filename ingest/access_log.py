"""Who did what through the API, and who read what says who was where; when each token was used last.

1. An entry is durable before its answer leaves. There is no way to change one, and none to delete one before its time; that
   somebody did, in the database itself, shows by the chain (``ingest.chain``), whose two ends are kept beside it: the oldest
   entries go when their time is over, and the newest must be there.
2. ``page`` tells of a token only to who sees all that the token saw.
3. Uses live in memory and are written once a minute: asking costs no write. Bounded: a row for each token.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.chain import START, Broken, Checked, digest, followed
from ingest.database import Database, metadata, upsert
from ingest.tokens import Grant
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope

log = structlog.get_logger()

DAY_US = 24 * 3600 * 1_000_000
EVERY_S = 60.0
STRIDE = 5_000
DELETED = 10_000
"""At most so many entries go in one transaction."""

_entry = sa.Table(
    "access_log",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("method", sa.String(8), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("before", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sqlite_autoincrement=True,
)
_ends = sa.Table(
    "access_log_ends",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("first", sa.String(64), nullable=False),
    sa.Column("last", sa.String(64), nullable=False),
)
"""What stands before the oldest entry that is kept, and the digest of the newest; one row."""

_use = sa.Table(
    "token_use",
    metadata,
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
)


class Entry(NamedTuple):
    """``scope`` is what the token saw then, prefixes with blanks between; ``at`` is UTC microseconds."""

    seq: int
    at: int
    token: str
    role: str
    scope: str
    method: str
    path: str
    query: str
    status: int
    address: str
    before: str
    digest: str


class Ends(NamedTuple):
    first: str = START
    last: str = START


class Use(NamedTuple):
    at: int
    address: str


class Wanted(NamedTuple):
    """``None`` is no restriction; since <= at < until. ``before`` is the ``seq`` that the page before ended with."""

    token: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None


class AccessLog:
    def __init__(self, database: Database, clock: Callable[[], int], kept_days: int) -> None:
        self._database = database
        self._clock = clock
        self._kept_us = kept_days * DAY_US
        self._uses: dict[str, Use] = {}

    def used(self, grant: Grant, address: str) -> None:
        """Notes that a token was used now."""
        self._uses[grant.name] = Use(self._clock(), address[:64])

    async def append(self, grant: Grant, method: str, path: str, query: str, status: int, address: str) -> None:
        """Durable on return. Raises ``StoreUnavailable``."""
        entry = Entry(
            seq=0,
            at=self._clock(),
            token=grant.name,
            role=grant.role.value,
            scope=" ".join(grant.scope.prefixes),
            method=method,
            path=path[:512],
            query=query[:2_000],
            status=status,
            address=address[:64],
            before="",
            digest="",
        )
        await self._database.write(lambda connection: _append(connection, entry))

    async def page(self, scope: Scope, wanted: Wanted, limit: int) -> tuple[list[Entry], int | None]:
        """Newest first, at most ``limit``; the ``before`` of the next page, ``None`` after the last."""
        rows = sa.select(_entry).where(*_asked(wanted)).order_by(_entry.c.seq.desc()).limit(STRIDE)
        found = await self._database.read(lambda connection: [Entry(*row) for row in connection.execute(rows)])
        mine = [entry for entry in found if all(scope.covers(prefix) for prefix in entry.scope.split())]
        if len(mine) > limit:
            return mine[:limit], mine[limit - 1].seq
        return mine, found[-1].seq if len(found) == STRIDE else None

    async def check(self) -> Checked:
        """Whether the log is what was written, from the oldest entry that is kept to the newest."""
        return await self._database.read(_check)

    async def uses(self) -> dict[str, Use]:
        """When each token was used last, by its name."""
        rows = await self._database.read(lambda connection: connection.execute(sa.select(_use)).all())
        return {row.token: Use(row.at, row.address) for row in rows} | self._uses

    async def run(self) -> None:
        """Writes uses and deletes what is past its time, until cancelled."""
        late = False
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.tidy()
                late = False
            except StoreUnavailable as error:
                if not late:
                    log.error("uses of tokens wait for the database", error=str(error))
                late = True

    async def tidy(self) -> None:
        """Raises ``StoreUnavailable``."""
        uses = [{"token": token, **use._asdict()} for token, use in self._uses.items()]
        cut = self._clock() - self._kept_us

        def change(connection: sa.Connection) -> None:
            upsert(connection, _use, uses)
            _shorten(connection, cut)

        await self._database.write(change)


def _asked(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = []
    if wanted.token is not None:
        bounds.append(_entry.c.token == wanted.token)
    if wanted.since is not None:
        bounds.append(_entry.c.at >= wanted.since)
    if wanted.until is not None:
        bounds.append(_entry.c.at < wanted.until)
    if wanted.before is not None:
        bounds.append(_entry.c.seq < wanted.before)
    return bounds


def _append(connection: sa.Connection, entry: Entry) -> None:
    ends = _known_ends(connection)
    entry = entry._replace(before=ends.last)
    row = entry._replace(digest=digest(entry))._asdict()
    del row["seq"]
    connection.execute(_entry.insert().values(row))
    upsert(connection, _ends, [{"id": 1, "first": ends.first, "last": row["digest"]}])


def _shorten(connection: sa.Connection, cut: int) -> None:
    """Deletes the oldest entries, up to the first that is not before ``cut``: a clock that went back takes none out of a row."""
    kept = sa.select(_entry.c.seq).where(_entry.c.at >= cut).order_by(_entry.c.seq).limit(1)
    first = connection.scalar(kept)
    past = sa.select(_entry.c.seq, _entry.c.digest).order_by(_entry.c.seq).limit(DELETED)
    rows = connection.execute(past if first is None else past.where(_entry.c.seq < first)).all()
    if rows:
        connection.execute(_entry.delete().where(_entry.c.seq <= rows[-1].seq))
        connection.execute(_ends.update().values(first=rows[-1].digest))


def _known_ends(connection: sa.Connection) -> Ends:
    row = connection.execute(sa.select(_ends.c.first, _ends.c.last)).one_or_none()
    return Ends() if row is None else Ends(*row)


def _check(connection: sa.Connection) -> Checked:
    """All of it in one reading: what goes meanwhile is still there."""
    ends = _known_ends(connection)
    rows = connection.execute(sa.select(_entry).order_by(_entry.c.seq).execution_options(yield_per=STRIDE))
    found = followed((Entry(*row) for row in rows), ends.first)
    if found.broken is None and found.head != ends.last:
        newest = connection.scalar(sa.select(sa.func.max(_entry.c.seq))) or 0
        return found._replace(broken=Broken(newest, "what came after it is missing"))
    return found
