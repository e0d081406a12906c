"""Alerts as people meet them: read within a scope, followed by ``seq``, acknowledged.

1. Nothing outside the scope is returned, counted or changed.
2. Pages are those of ``ingest.paging``; the feed of changes costs the same however many alerts there are.
3. Acknowledging twice changes nothing; the first person and time stand.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from ingest.alerts import statistics
from ingest.alerts.deeds import Deeds, acked
from ingest.alerts.episode import Alert, AlertState
from ingest.alerts.marks import Mark, newest_of_few, uncommon
from ingest.alerts.rule import Family
from ingest.alerts.severity import Colour
from ingest.alerts.statistics import By, Rolled, Statistics
from ingest.alerts.tables import Told, alert, alert_of, journal, untold
from ingest.database import Database
from ingest.paging import Cursor, Listing, Span, inside, narrowed, newest, widest
from telemetry.identity import GatewayRef, Scope


class AlertFilter(NamedTuple):
    """``None`` is no restriction. ``since`` and ``until`` bound ``opened_at``, UTC microseconds: since <= opened_at < until.
    ``community`` is a division code or a prefix of one. ``marks`` must all be on the alert; ``drill`` says whether it is one of a
    drill, ``collapsed_into`` which flood it belongs to."""

    state: AlertState | None = None
    colour: Colour | None = None
    family: Family | None = None
    kind: str | None = None
    device: str | None = None
    community: str | None = None
    since: int | None = None
    until: int | None = None
    marks: frozenset[Mark] = frozenset()
    drill: bool | None = None
    collapsed_into: str | None = None


LISTING = Listing(alert, "opened_at", ("device", "kind", "family"), {"state": tuple(AlertState), "colour": tuple(Colour)})
STRIDE = 20_000
"""At most so many changes are looked through for one answer of the feed."""


class Changes(NamedTuple):
    """Alerts by ascending ``seq``, each as it is now. All up to ``reached`` have been looked through: go on after it."""

    alerts: list[Alert]
    reached: int


class Alerts:
    def __init__(self, database: Database, told: Told = untold) -> None:
        """``told`` hears of each change within its transaction."""
        self._database = database
        self._told = told

    async def page(
        self, scope: Scope, filter: AlertFilter, after: Cursor | None, limit: int
    ) -> tuple[list[Alert], Cursor | None]:
        """Newest first, at most ``limit``; the cursor of the next page, or ``None`` when this was the last."""
        equal: dict[str, tuple[Any, ...]] = {name: (value,) for name in _EQUAL if (value := getattr(filter, name)) is not None}
        if filter.drill is False:
            equal["drill"] = (False,)
        few = list(uncommon(filter.marks, filter.drill is True, filter.collapsed_into))
        inner = scope if filter.community is None else narrowed(scope, filter.community)
        span = Span(filter.since, filter.until)

        def ask(connection: sa.Connection) -> list[Alert]:
            if few:
                ids = newest_of_few(connection, few, widest(inner), equal, span, after, limit + 1)
            else:
                ids = newest(connection, LISTING, inner, equal, span, after, limit + 1)
            wanted = sa.select(alert).where(alert.c.id.in_(ids))
            rows = {row["id"]: row for row in connection.execute(wanted).mappings()}
            return [alert_of(rows[id_]) for id_ in ids]

        found = await self._database.read(ask)
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], Cursor(last.opened_at, last.id) if last else None

    async def get(self, scope: Scope, id: str) -> Alert | None:
        found = await self._select(sa.select(alert).where(_within(scope), alert.c.id == id))
        return found[0] if found else None

    async def standing(self, ref: GatewayRef, device: str | None, most: int) -> list[Alert]:
        """Of a device, or of a gateway and what is behind it, those whose condition holds; newest first."""
        mine = [alert.c.community == ref.community, alert.c.over_at.is_(None), alert.c.gateway == ref.gateway]
        if device is not None:
            mine.append(alert.c.device == device)
        return await self._select(sa.select(alert).where(*mine).order_by(alert.c.opened_at.desc(), alert.c.id).limit(most))

    async def ack(self, scope: Scope, id: str, by: str, note: str, at: int) -> Alert | None:
        """Notes that a person has seen it; the alert as it then is. One whose condition is over is closed by it."""
        return await Deeds(self._database, self._told).do(scope, id, acked(by, note, at), at)

    async def changes(self, scope: Scope, after_seq: int, limit: int) -> Changes:
        """What changed after ``after_seq``: at most ``limit`` alerts, of the next ``STRIDE`` that changed."""
        after = sa.select(alert.c.seq, alert.c.community, alert.c.id).where(alert.c.seq > after_seq)
        next_ones = after.order_by(alert.c.seq).limit(STRIDE).subquery()
        mine = sa.select(next_ones.c.id).where(inside(next_ones.c.community, widest(scope)))
        wanted = sa.select(alert).where(alert.c.id.in_(mine.order_by(next_ones.c.seq).limit(limit))).order_by(alert.c.seq)

        def ask(connection: sa.Connection) -> Changes:
            found = [alert_of(row) for row in connection.execute(wanted).mappings()]
            if len(found) == limit:
                return Changes(found, found[-1].seq)
            return Changes(found, connection.scalar(sa.select(sa.func.max(next_ones.c.seq))) or after_seq)

        return await self._database.read(ask)

    async def statistics(self, scope: Scope, since: int, until: int, by: By, rolled: Rolled) -> Statistics:
        """Of the alerts opened from ``since`` to ``until``; ``rolled`` says under which code another is counted."""
        return await self._database.read(lambda connection: statistics.ask(connection, scope, since, until, by, rolled))

    async def open_by_community(self, scope: Scope) -> Mapping[str, Mapping[Colour, int]]:
        """How many are open, by community and colour."""
        wanted = sa.select(alert.c.community, alert.c.colour, sa.func.count()).where(
            _within(scope), alert.c.state == AlertState.OPEN
        )
        rows = await self._database.read(
            lambda connection: connection.execute(wanted.group_by(alert.c.community, alert.c.colour)).all()
        )
        found: dict[str, dict[Colour, int]] = {}
        for community, colour, count in rows:
            found.setdefault(community, {})[Colour(colour)] = count
        return found

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


_EQUAL = ("state", "colour", "family", "kind", "device")


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    return inside(alert.c.community, widest(scope))
