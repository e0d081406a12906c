"""Tells the rules when dead letters come, so that somebody is told: an alert that a gateway raises and that time clears.

It asks the table itself, so letters count whichever way they came there; after a restart it looks back ``BACK_US``, and the
rule takes what it has judged already for more of the same episode.
"""

from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from ingest.database import Database
from ingest.deadletter import table
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Reading

EVERY_US = 60_000_000
BACK_US = 300_000_000


class LetterWatch:
    """``observe`` judges a reading that the centre makes of a gateway. Times are UTC microseconds, the wall's."""

    def __init__(self, database: Database, observe: Callable[[GatewayRef, Reading, int], Awaitable[None]]) -> None:
        self._database = database
        self._observe = observe
        self._looked_at: int | None = None

    async def look(self, now: int) -> None:
        """Looks once a minute, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        since = now - BACK_US if self._looked_at is None else self._looked_at
        if self._looked_at is not None and 0 <= now - since < EVERY_US:
            return
        for ref, letters in await self._database.read(lambda connection: _since(connection, since)):
            reading = Reading(device=ref.gateway, kind=Kind.GATEWAY, at=now, values={"dead_letters": letters})
            await self._observe(ref, reading, now)
        self._looked_at = now


def _since(connection: sa.Connection, since: int) -> list[tuple[GatewayRef, int]]:
    """How many letters of each gateway came, or came again, from ``since`` on."""
    place = (table.c.community, table.c.gateway)
    counted = sa.select(*place, sa.func.count()).where(table.c.last_at >= since).group_by(*place).order_by(*place)
    return [(GatewayRef(community, gateway), letters) for community, gateway, letters in connection.execute(counted)]
