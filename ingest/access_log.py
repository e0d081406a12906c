"""Who did what through the API, and who read what says who was where; when each token was used last.

1. An entry is durable before its answer leaves. There is no way to change one, and none to delete one before its time.
2. ``page`` tells of a token only to who sees all that the token saw.
3. Uses live in memory and are written once a minute: asking costs no write. Bounded: a row for each token.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.database import Database, metadata
from ingest.database.portable import upsert
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
    sqlite_autoincrement=True,
)
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
        row = {"at": self._clock(), "token": grant.name, "role": grant.role.value, "scope": " ".join(grant.scope.prefixes)}
        row |= {"method": method, "path": path[:512], "query": query[:2_000], "status": status, "address": address[:64]}
        await self._database.write(lambda connection: connection.execute(_entry.insert().values(row)))

    async def page(self, scope: Scope, wanted: Wanted, limit: int) -> tuple[list[Entry], int | None]:
        """Newest first, at most ``limit``; the ``before`` of the next page, ``None`` after the last."""
        rows = sa.select(_entry).where(*_asked(wanted)).order_by(_entry.c.seq.desc()).limit(STRIDE)
        found = await self._database.read(lambda connection: [Entry(*row) for row in connection.execute(rows)])
        mine = [entry for entry in found if all(scope.covers(prefix) for prefix in entry.scope.split())]
        if len(mine) > limit:
            return mine[:limit], mine[limit - 1].seq
        return mine, found[-1].seq if len(found) == STRIDE else None

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
        past = sa.select(_entry.c.seq).where(_entry.c.at < self._clock() - self._kept_us).limit(DELETED)

        def change(connection: sa.Connection) -> None:
            upsert(connection, _use, uses)
            connection.execute(_entry.delete().where(_entry.c.seq.in_(past)))

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
