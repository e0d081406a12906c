"""Alerts as people meet them: read within a scope, followed by ``seq``, acknowledged.

1. Nothing outside the scope is returned, counted or changed.
2. Pages are keyed by the last row seen: rows that come or go in between are neither skipped nor shown twice.
3. Acknowledging twice changes nothing; the first person and time stand.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from ingest.alerts.episode import Alert, AlertState, acknowledged
from ingest.alerts.rule import Family
from ingest.alerts.severity import Colour
from ingest.alerts.tables import Told, alert, alert_of, episode_of, journal, record, untold
from ingest.database import Database
from telemetry.identity import Scope


class Cursor(NamedTuple):
    """The last alert of a page."""

    opened_at: int
    id: str


class AlertFilter(NamedTuple):
    """``None`` is no restriction. ``since`` and ``until`` bound ``opened_at``, UTC microseconds: since <= opened_at < until.
    ``community`` is a division code or a prefix of one."""

    state: AlertState | None = None
    colour: Colour | None = None
    family: Family | None = None
    kind: str | None = None
    device: str | None = None
    community: str | None = None
    since: int | None = None
    until: int | None = None


class Alerts:
    def __init__(self, database: Database, told: Told = untold) -> None:
        """``told`` hears of each change within its transaction."""
        self._database = database
        self._told = told

    async def page(
        self, scope: Scope, filter: AlertFilter, after: Cursor | None, limit: int
    ) -> tuple[list[Alert], Cursor | None]:
        """Newest first, at most ``limit``; the cursor of the next page, or ``None`` when this was the last."""
        key = sa.tuple_(alert.c.opened_at, alert.c.id)
        wanted = sa.select(alert).where(_within(scope), *_filtered(filter))
        if after is not None:
            wanted = wanted.where(key < sa.tuple_(sa.literal(after.opened_at), sa.literal(after.id)))
        found = await self._select(wanted.order_by(alert.c.opened_at.desc(), alert.c.id.desc()).limit(limit + 1))
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], Cursor(last.opened_at, last.id) if last else None

    async def get(self, scope: Scope, id: str) -> Alert | None:
        found = await self._select(sa.select(alert).where(_within(scope), alert.c.id == id))
        return found[0] if found else None

    async def ack(self, scope: Scope, id: str, by: str, note: str, at: int) -> Alert | None:
        """Notes that a person has seen it; the alert as it then is. One whose condition is over is closed by it."""

        def change(connection: sa.Connection) -> Alert | None:
            mine = sa.select(alert).where(_within(scope), alert.c.id == id)
            row = connection.execute(mine).mappings().one_or_none()
            if row is None:
                return None
            key, episode = episode_of(row)
            if episode.alert.acked_at is not None:
                return episode.alert
            record(connection, key, acknowledged(episode, by, note, at), "acknowledged", at, at, by, note, self._told)
            return alert_of(connection.execute(mine).mappings().one())

        return await self._database.write(change)

    async def changes(self, scope: Scope, after_seq: int, limit: int) -> list[Alert]:
        """Alerts changed after ``after_seq``, by ascending ``seq``, each as it is now."""
        changed = sa.select(alert).where(_within(scope), alert.c.seq > after_seq)
        return await self._select(changed.order_by(alert.c.seq).limit(limit))

    async def newest_seq(self) -> int:
        """The ``seq`` of the newest change, 0 before the first."""
        newest = sa.select(sa.func.coalesce(sa.func.max(journal.c.seq), 0))
        return await self._database.read(lambda connection: int(connection.execute(newest).scalar_one()))

    async def counts(self, scope: Scope) -> Mapping[tuple[Colour, AlertState], int]:
        grouped = (
            sa.select(alert.c.colour, alert.c.state, sa.func.count())
            .where(_within(scope))
            .group_by(alert.c.colour, alert.c.state)
        )
        rows = await self._database.read(lambda connection: connection.execute(grouped).all())
        return {(Colour(colour), AlertState(state)): count for colour, state, count in rows}

    async def _select(self, wanted: sa.Select[Any]) -> list[Alert]:
        return await self._database.read(lambda connection: [alert_of(row) for row in connection.execute(wanted).mappings()])


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    """Ranges and not LIKE, so that an index can serve; ``:`` follows the last digit."""
    ranges = [sa.and_(alert.c.community >= prefix, alert.c.community < f"{prefix}:") for prefix in scope.prefixes]
    return sa.or_(sa.false(), *ranges)


def _filtered(filter: AlertFilter) -> list[sa.ColumnElement[bool]]:
    equal = [
        alert.c[name] == value
        for name in ("state", "colour", "family", "kind", "device")
        if (value := getattr(filter, name)) is not None
    ]
    if filter.community is not None:
        equal.append(alert.c.community.startswith(filter.community, autoescape=True))
    if filter.since is not None:
        equal.append(alert.c.opened_at >= filter.since)
    if filter.until is not None:
        equal.append(alert.c.opened_at < filter.until)
    return equal
