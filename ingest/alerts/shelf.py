"""Shelving: a person keeps an alert from people for a while, with a reason.

1. Bounded: ``LONGEST_US`` at most. A shelved alert is listed and counted as any other.
2. What shelves and unshelves is journalled with who and why; the same again changes nothing.
3. Nothing outside the scope is changed.
"""

from collections.abc import Callable

import sqlalchemy as sa

from ingest.alerts import quiet
from ingest.alerts.episode import Alert, AlertState, Episode
from ingest.alerts.tables import Told, alert, alert_of, episode_of, record, untold
from ingest.database import Database
from telemetry.errors import LinliError
from telemetry.identity import Scope

LONGEST_US = 24 * 3600 * 1_000_000
ENDED = (AlertState.CLOSED, AlertState.WITHDRAWN)


class HasEnded(LinliError):
    """The alert is closed or withdrawn: there is nothing to shelve."""


class Shelf:
    def __init__(self, database: Database, told: Told = untold) -> None:
        """``told`` hears of each change that people shall hear of, within its transaction."""
        self._database = database
        self._told = told

    async def shelve(
        self, scope: Scope, id: str, until: int, by: str, reason: str, at: int, *, until_normal: bool = False
    ) -> Alert | None:
        """Shelves it until an instant after ``at``, or until ``LONGEST_US`` after it, whichever comes first. A second time it is
        shelved anew. Raises ``HasEnded``."""

        def shelved(episode: Episode) -> Episode:
            if episode.alert.state in ENDED:
                raise HasEnded(id)
            return quiet.shelved(episode, min(until, at + LONGEST_US), until_normal, by, reason)

        return await self._change(scope, id, shelved, "shelved", by, reason, at)

    async def unshelve(self, scope: Scope, id: str, by: str, at: int) -> Alert | None:
        """People hear of it again, at once when its condition stands."""
        return await self._change(scope, id, quiet.unshelved, "unshelved", by, "", at)

    async def _change(
        self, scope: Scope, id: str, change: Callable[[Episode], Episode], transition: str, by: str, note: str, at: int
    ) -> Alert | None:
        def write(connection: sa.Connection) -> Alert | None:
            mine = sa.select(alert).where(alert.c.id == id)
            row = connection.execute(mine).mappings().one_or_none()
            if row is None or not scope.covers(row["community"]):
                return None
            key, episode = episode_of(row)
            if (changed := change(episode)) != episode:
                record(connection, key, changed, transition, at, at, by, note, self._told)
            return alert_of(connection.execute(mine).mappings().one())

        return await self._database.write(write)
