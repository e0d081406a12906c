"""Planned works and drills in the database: announced, listed, ended.

1. Nothing outside the scope is changed; what is planned for more than the scope is seen where it counts.
2. What was planned is never deleted: alerts name it. Bounded: so many are open at once in one community.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from ingest.alerts.episode import Alert
from ingest.alerts.planned import Planned, Purpose, covers
from ingest.database import Database, metadata
from ingest.once import Once, done_once
from telemetry.errors import LinliError
from telemetry.identity import PREFIX_LENGTHS, Scope

MAX_OPEN = 200

planned_table = sa.Table(
    "planned",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("purpose", sa.String(8), nullable=False),
    sa.Column("community", sa.String(15), nullable=False),
    sa.Column("gateway", sa.String(64), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("kinds", sa.Text, nullable=False),
    sa.Column("starts_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("ended_by", sa.String(128), nullable=False),
    sa.Index("planned_place", "community", "ends_at"),
)
_kinds = msgspec.json.Decoder(tuple[str, ...])
_answer: msgspec.json.Decoder[Planned | None] = msgspec.json.Decoder(Planned | None)
_announced: msgspec.json.Decoder[Planned] = msgspec.json.Decoder(Planned)


class TooMany(LinliError):
    """So many are open in this community already."""


class Plans:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, planned: Planned, once: Once | None = None) -> Planned:
        """Announced twice it is there once. Raises ``TooMany``, ``KeyReused``."""

        def do(connection: sa.Connection) -> Planned:
            same = connection.execute(_select().where(planned_table.c.id == planned.id)).mappings().one_or_none()
            if same is not None:
                return _planned(same)
            mine = planned_table.c.community == planned.community, planned_table.c.ends_at > planned.made_at
            if (connection.scalar(sa.select(sa.func.count()).select_from(planned_table).where(*mine)) or 0) >= MAX_OPEN:
                raise TooMany(f"{MAX_OPEN} are planned for {planned.community} already")
            connection.execute(planned_table.insert().values(_row(planned)))
            return planned

        def change(connection: sa.Connection) -> Planned:
            return done_once(connection, once, planned.made_at, _announced, lambda: do(connection))

        return await self._database.write(change)

    async def end(self, scope: Scope, purpose: Purpose, id: str, by: str, at: int, once: Once | None = None) -> Planned | None:
        """Over from now on; what is over already stays as it is. Raises ``KeyReused``."""

        def do(connection: sa.Connection) -> Planned | None:
            row = connection.execute(_select().where(*_mine(scope, purpose, id))).mappings().one_or_none()
            found = _planned(row) if row is not None else None
            if found is None or found.until <= at:
                return found
            ended = {"ended_at": at, "ended_by": by}
            connection.execute(planned_table.update().where(planned_table.c.id == id).values(ended))
            return msgspec.structs.replace(found, ended_at=at, ended_by=by)

        def change(connection: sa.Connection) -> Planned | None:
            return done_once(connection, once, at, _answer, lambda: do(connection))

        found = await self._database.write(change)
        return found if found is not None and scope.covers(found.community) else None

    async def get(self, scope: Scope, purpose: Purpose, id: str) -> Planned | None:
        wanted = _select().where(_seen(scope), planned_table.c.purpose == purpose.value, planned_table.c.id == id)
        row = await self._database.read(lambda connection: connection.execute(wanted).mappings().one_or_none())
        return _planned(row) if row is not None else None

    async def all(self, scope: Scope, purpose: Purpose, open_at: int | None, limit: int) -> list[Planned]:
        """The newest first; with ``open_at`` those that are not over then."""
        wanted = _select().where(_seen(scope), planned_table.c.purpose == purpose.value)
        if open_at is not None:
            over = sa.func.coalesce(planned_table.c.ended_at, planned_table.c.ends_at)
            wanted = wanted.where(planned_table.c.ends_at > open_at, over > open_at)
        wanted = wanted.order_by(planned_table.c.made_at.desc(), planned_table.c.id).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(wanted).mappings().all())
        return [_planned(row) for row in rows]


def covering(connection: sa.Connection, alert: Alert, at: int) -> Sequence[Planned]:
    """What is planned for an alert at an instant, in the order in which it was announced."""
    places = [alert.community[:length] for length in PREFIX_LENGTHS if length <= len(alert.community)]
    now = planned_table.c.community.in_(places), planned_table.c.ends_at > at, planned_table.c.starts_at <= at
    rows = connection.execute(_select().where(*now).order_by(planned_table.c.made_at, planned_table.c.id)).mappings()
    return [found for row in rows if covers(found := _planned(row), alert, at)]


def _select() -> sa.Select[tuple[object, ...]]:
    return sa.select(planned_table)


def _mine(scope: Scope, purpose: Purpose, id: str) -> tuple[sa.ColumnElement[bool], ...]:
    inside = sa.or_(sa.false(), *(planned_table.c.community.startswith(prefix) for prefix in scope.prefixes))
    return planned_table.c.id == id, planned_table.c.purpose == purpose.value, inside


def _seen(scope: Scope) -> sa.ColumnElement[bool]:
    inside = [planned_table.c.community.startswith(prefix) for prefix in scope.prefixes]
    around = {prefix[:length] for prefix in scope.prefixes for length in PREFIX_LENGTHS if length <= len(prefix)}
    return sa.or_(planned_table.c.community.in_(sorted(around)), *inside)


def _row(planned: Planned) -> dict[str, object]:
    row = {name: getattr(planned, name) for name in Planned.__struct_fields__}
    return row | {"purpose": planned.purpose.value, "kinds": msgspec.json.encode(planned.kinds).decode()}


def _planned(row: sa.RowMapping) -> Planned:
    return Planned(**{**row, "purpose": Purpose(row["purpose"]), "kinds": _kinds.decode(row["kinds"])})
