"""Floods of alerts: one alert stands for them, and none of them is lost.

1. The centre says of each community how many of its alerts were raised within ten minutes, and the rule of kind ``alarm_flood``
   decides when that is a flood; it is said only when it has changed and may matter.
2. What belongs to a flood says so (``collapsed_into``): what came after its beginning as it is opened, what came before it here.
3. After a restart, communities in which a flood is still open are well.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts import quiet
from ingest.alerts.gate import FLOOD, FLOOD_WINDOW_US, FORMING, in_a_flood
from ingest.alerts.tables import alert, episode_of, record
from ingest.database import Database
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

EVERY_US = 2_000_000
METRIC = "alerts_10min"
MATTERS = 3
"""Fewer alerts than that are no news unless a flood was told of."""

MOST = 1_000
MACHINE = "machine"


class Rate(NamedTuple):
    """Alerts of a community within the window; ``gateway`` is one of those they are of."""

    gateway: str
    alerts: int


class FloodWatch:
    """``observe`` judges a reading that the centre makes of a gateway. Times are UTC microseconds, the wall's."""

    def __init__(self, database: Database, observe: Callable[[GatewayRef, Reading, int], Awaitable[None]]) -> None:
        self._database = database
        self._observe = observe
        self._looked_at: int | None = None
        self._said: dict[str, Rate] | None = None

    async def look(self, now: int) -> None:
        """Looks every two seconds, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        if self._looked_at is not None and 0 <= now - self._looked_at < EVERY_US:
            return
        if self._said is None:
            self._said = await self._database.read(_open_floods)
        rates = await self._database.read(lambda connection: _rates(connection, now))
        for community in sorted({*rates, *self._said}):
            rate = rates.get(community, Rate(self._said[community].gateway if community in self._said else "", 0))
            if rate.alerts != self._said.get(community, Rate("", 0)).alerts:
                await self._say(community, rate, now)
            if community in rates:
                self._said[community] = rate
            else:
                self._said.pop(community)
        if await self._database.read(lambda connection: bool(_strays(connection, 1))):
            await self._database.write(lambda connection: _adopt(connection, now))
        self._looked_at = now

    async def _say(self, community: str, rate: Rate, now: int) -> None:
        ref = GatewayRef(community, rate.gateway)
        reading = Reading(device=rate.gateway, kind=Kind.GATEWAY, at=Micros(now), values={METRIC: rate.alerts})
        await self._observe(ref, reading, now)


def _open_floods(connection: sa.Connection) -> dict[str, Rate]:
    wanted = sa.select(alert.c.community, alert.c.gateway).where(alert.c.kind == FLOOD, alert.c.over_at.is_(None))
    return {community: Rate(gateway, -1) for community, gateway in connection.execute(wanted)}


def _rates(connection: sa.Connection, now: int) -> Mapping[str, Rate]:
    counted = sa.select(alert.c.community, sa.func.min(alert.c.gateway), sa.func.count()).where(*in_a_flood(now))
    counted = counted.group_by(alert.c.community).having(sa.func.count() >= MATTERS)
    return {community: Rate(gateway, count) for community, gateway, count in connection.execute(counted)}


def _strays(connection: sa.Connection, most: int) -> Sequence[tuple[sa.RowMapping, str]]:
    """Alerts of open floods that do not say so yet, with the flood's id."""
    flood = alert.alias("flood")
    before = flood.c.opened_at - FLOOD_WINDOW_US
    open_ = flood.c.kind == FLOOD, flood.c.over_at.is_(None), flood.c.community == alert.c.community
    loose = alert.c.collapsed_into.in_(("", FORMING)), alert.c.suppressed_by == "", alert.c.drill.is_(False)
    lately = alert.c.opened_at > before, alert.c.kind != FLOOD, alert.c.origin == ""
    wanted = sa.select(alert, flood.c.id.label("flood")).join_from(flood, alert, sa.and_(*open_, *loose, *lately)).limit(most)
    return [(row, row["flood"]) for row in connection.execute(wanted).mappings()]


def _adopt(connection: sa.Connection, now: int) -> None:
    for row, flood in _strays(connection, MOST):
        key, episode = episode_of(row)
        record(connection, key, quiet.with_(episode, collapsed_into=flood), "collapsed", now, now, MACHINE, f"part of {flood}")
