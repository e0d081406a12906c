"""The ends of what holds alerts back: shelves that are over, suppressors that are gone, floods that ebbed, flapping that stopped;
and of drills.

1. What still stands when nothing holds it back any more is told; what was over meanwhile and nobody had heard of stays untold.
   What still stands a minute after a drill is no drill any more.
2. Each end is a line of the journal, in the transaction that makes it so. Looking twice changes nothing.
3. At most ``MOST`` alerts are released by one look, the longest held first; the next look goes on.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts import flapping, quiet
from ingest.alerts.episode import Alert, Episode, Key
from ingest.alerts.gate import Gate
from ingest.alerts.inhibition import GRACE_US
from ingest.alerts.tables import Told, alert, episode_of, record, untold
from ingest.database import Database

MACHINE = "machine"
MOST = 500
EVERY_US = 1_000_000


class Release(NamedTuple):
    episode: Episode
    transition: str
    note: str


class Releases:
    """``on_change`` is called after each look that released something. Times are UTC microseconds, the wall's."""

    def __init__(self, database: Database, gate: Gate, on_change: Callable[[], None], told: Told = untold) -> None:
        self._database = database
        self._gate = gate
        self._on_change = on_change
        self._told = told
        self._looked_at: int | None = None

    async def look(self, now: int) -> None:
        """Looks once a second, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        if self._looked_at is not None and 0 <= now - self._looked_at < EVERY_US:
            return
        if await self._database.read(lambda connection: bool(self._due(connection, now))):
            await self._database.write(lambda connection: self._release(connection, now))
            self._on_change()
        self._looked_at = now

    def _due(self, connection: sa.Connection, now: int) -> list[tuple[Key, Release]]:
        held = sa.select(alert).where(alert.c.held).order_by(alert.c.seq)
        found: list[tuple[Key, Release]] = []
        for row in connection.execute(held).mappings():
            key, episode = episode_of(row)
            if (release := self._released(connection, key, episode, now)) is not None:
                found.append((key, release))
                if len(found) == MOST:
                    break
        return found

    def _release(self, connection: sa.Connection, now: int) -> None:
        for key, (episode, transition, note) in self._due(connection, now):
            record(connection, key, episode, transition, now, now, MACHINE, note, self._told)

    def _released(self, connection: sa.Connection, key: Key, episode: Episode, now: int) -> Release | None:
        """The first thing that does not hold it back any longer."""
        return next(self._ends(connection, key, episode, now), None)

    def _ends(self, connection: sa.Connection, key: Key, episode: Episode, now: int) -> Iterator[Release]:
        it = episode.alert
        if it.shelved_until is not None and it.shelved_until <= now:
            yield Release(quiet.unshelved(episode), "unshelved", "the time is over")
        if it.flapping and not flapping.flaps(True, flapping.raises(connection, key, now)):
            yield Release(quiet.with_(episode, flapping=False), "steady", "")
        if episode.over_at is None and it.suppressed_by and not self._gate.suppressor(connection, it, now):
            yield Release(quiet.with_(episode, suppressed_by=""), "unsuppressed", f"was suppressed by {it.suppressed_by}")
        if episode.over_at is None and it.drill and not self._is_drill(connection, it, now):
            yield Release(quiet.with_(episode, drill=False), "drill over", "it stands after the drill")
        if episode.over_at is None and it.folded and not self._gate.flood(connection, it.community, now):
            yield Release(quiet.with_(episode, folded=False), "unfolded", "")

    def _is_drill(self, connection: sa.Connection, alert: Alert, now: int) -> bool:
        """Also for a grace after it: it takes a moment until everything is as it was."""
        return any(self._gate.is_drill(connection, alert, at) for at in (now, now - GRACE_US))
