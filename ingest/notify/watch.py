"""Tells the rules when a notification reaches nobody, so that this is an alert itself: raised at the alert's gateway.

1. ``notify_late``: red alerts that no target has taken ``LATE_US`` after they became known.
2. ``notify_failed``: what was given up within ``LATELY_US``.
3. What tells of such an alert is never counted itself: a failure does not feed on itself. Nor is what has no gateway:
   work orders that no sensor has seen.
4. Only a change is told; after a restart, also that those of which an alert is still open are well.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from ingest.alerts import Colour
from ingest.alerts.tables import alert
from ingest.database import Database
from ingest.notify.outbox import State, table
from telemetry.identity import GatewayRef
from telemetry.metric import Kind, Value
from telemetry.reading import Micros, Reading

EVERY_US = 10_000_000
LATE_US = 60_000_000
LATELY_US = 3_600_000_000
KIND = "notify_failed"

_NONE: dict[str, Value] = {"notify_late": 0, "notify_failed": 0}


class NotifyWatch:
    """``observe`` judges a reading that the centre makes of a gateway. Times are UTC microseconds, the wall's."""

    def __init__(self, database: Database, observe: Callable[[GatewayRef, Reading, int], Awaitable[None]]) -> None:
        self._database = database
        self._observe = observe
        self._looked_at: int | None = None
        self._said: dict[GatewayRef, dict[str, Value]] | None = None

    async def look(self, now: int) -> None:
        """Looks every ten seconds, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        if self._looked_at is not None and 0 <= now - self._looked_at < EVERY_US:
            return
        if self._said is None:
            self._said = {ref: {} for ref in await self._database.read(_raised)}
        found = await self._database.read(lambda connection: _found(connection, now))
        for ref in sorted({*found, *self._said}):
            values = found.get(ref, _NONE)
            if values != self._said.get(ref):
                await self._observe(ref, Reading(device=ref.gateway, kind=Kind.GATEWAY, at=Micros(now), values=values), now)
            if ref in found:
                self._said[ref] = values
            else:
                self._said.pop(ref, None)
        self._looked_at = now


def _raised(connection: sa.Connection) -> list[GatewayRef]:
    """Gateways of which such an alert is open."""
    wanted = sa.select(alert.c.community, alert.c.gateway).distinct()
    return [GatewayRef(*row) for row in connection.execute(wanted.where(alert.c.kind == KIND, alert.c.over_at.is_(None)))]


def _found(connection: sa.Connection, now: int) -> dict[GatewayRef, dict[str, Value]]:
    """What there is to say, of gateways of which there is."""
    given_up = sa.and_(table.c.state == State.GIVEN_UP, table.c.settled_at > now - LATELY_US)
    taken = sa.alias(table)
    late = sa.and_(
        table.c.colour == Colour.RED,
        table.c.state == State.WAITING,
        table.c.known_at <= now - LATE_US,
        ~sa.exists().where(taken.c.message == table.c.message, taken.c.state == State.SENT),
    )
    place = (table.c.community, table.c.gateway)
    others = (table.c.kind != KIND, table.c.gateway != "")
    found: dict[GatewayRef, dict[str, Value]] = defaultdict(_NONE.copy)
    for metric, which in (("notify_failed", given_up), ("notify_late", late)):
        counted = sa.select(*place, sa.func.count(sa.distinct(table.c.message))).where(which, *others)
        for community, gateway, count in connection.execute(counted.group_by(*place)):
            found[GatewayRef(community, gateway)][metric] = count
    return found
