"""What people do with alerts: take note, give to somebody, say something, shelve; with one, or with many at once.

1. Nothing outside the scope is changed or told.
2. A deed that names the version it was decided on is not done when the alert has changed since.
3. Of many at once each has its own answer; what was asked under an idempotency key is done once (``ingest.once``).
4. The first acknowledgement stands; what changes nothing is not journalled.
5. No shelf is longer than ``LONGEST_US``. A shelved alert is listed and counted as any other.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import quiet
from ingest.alerts.episode import Alert, AlertState, Episode, acknowledged
from ingest.alerts.tables import Told, alert, alert_of, episode_of, record, untold
from ingest.database import Database
from ingest.once import Once, done_once
from telemetry.errors import LinliError
from telemetry.identity import Scope

LONGEST_US = 24 * 3600 * 1_000_000
ENDED = (AlertState.CLOSED, AlertState.WITHDRAWN)


class AlertChanged(LinliError):
    """The alert is not at the version that was named; it is at ``version``."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"the alert is at version {version}")


class Ended(LinliError):
    """The alert is closed or withdrawn: this cannot be done with it any more."""


class Deed(NamedTuple):
    """``change`` raises ``Ended``. ``always``: it is journalled though it leaves the alert as it was."""

    transition: str
    change: Callable[[Episode], Episode]
    by: str
    note: str
    always: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of one of many; ``seq`` is the alert's now."""

    id: str
    result: Literal["done", "missing", "ended"]
    seq: int | None = None


_alert: msgspec.json.Decoder[Alert | None] = msgspec.json.Decoder(Alert | None)
_outcomes: msgspec.json.Decoder[list[Outcome]] = msgspec.json.Decoder(list[Outcome])


def acked(by: str, note: str, at: int) -> Deed:
    return Deed("acknowledged", lambda episode: acknowledged(episode, by, note, at), by, note)


def assigned(to: str, by: str, note: str) -> Deed:
    """Whose it is from now on; "" is nobody's."""
    said = f"→ {to} {note}".rstrip()
    return Deed("assigned", lambda episode: quiet.with_(_live(episode), assigned_to=to), by, said)


def commented(by: str, note: str) -> Deed:
    return Deed("commented", lambda episode: episode, by, note, always=True)


def shelved(until: int, until_normal: bool, by: str, reason: str, at: int) -> Deed:
    """Until an instant after ``at``, at most ``LONGEST_US`` after it; a second time it is shelved anew."""
    end = min(until, at + LONGEST_US)
    return Deed("shelved", lambda episode: quiet.shelved(_live(episode), end, until_normal, by, reason), by, reason)


def unshelved(by: str) -> Deed:
    """People hear of it again, at once when its condition stands."""
    return Deed("unshelved", quiet.unshelved, by, "")


def _live(episode: Episode) -> Episode:
    if episode.alert.state in ENDED:
        raise Ended(episode.alert.id)
    return episode


class Deeds:
    def __init__(self, database: Database, told: Told = untold) -> None:
        """``told`` hears of each change that people shall hear of, within its transaction."""
        self._database = database
        self._told = told

    async def do(
        self, scope: Scope, id: str, deed: Deed, at: int, version: int | None = None, once: Once | None = None
    ) -> Alert | None:
        """The alert after it; ``None`` when it is not in the scope. Raises ``AlertChanged``, ``Ended``, ``KeyReused``."""

        def change(connection: sa.Connection) -> Alert | None:
            return done_once(connection, once, at, _alert, lambda: self._do(connection, scope, id, deed, at, version))

        found = await self._database.write(change)
        return found if found is not None and scope.covers(found.community) else None

    async def do_all(self, scope: Scope, ids: Sequence[str], deed: Deed, at: int, once: Once | None = None) -> list[Outcome]:
        """What became of each, in order. Raises ``KeyReused``."""

        def change(connection: sa.Connection) -> list[Outcome]:
            def do() -> list[Outcome]:
                return [self._outcome(connection, scope, id, deed, at) for id in ids]

            return done_once(connection, once, at, _outcomes, do)

        return await self._database.write(change)

    def _outcome(self, connection: sa.Connection, scope: Scope, id: str, deed: Deed, at: int) -> Outcome:
        try:
            found = self._do(connection, scope, id, deed, at, None)
        except Ended:
            return Outcome(id, "ended")
        return Outcome(id, "missing") if found is None else Outcome(id, "done", found.seq)

    def _do(self, connection: sa.Connection, scope: Scope, id: str, deed: Deed, at: int, version: int | None) -> Alert | None:
        mine = sa.select(alert).where(alert.c.id == id)
        row = connection.execute(mine).mappings().one_or_none()
        if row is None or not scope.covers(row["community"]):
            return None
        if version is not None and version != row["seq"]:
            raise AlertChanged(row["seq"])
        key, episode = episode_of(row)
        changed = deed.change(episode)
        if changed == episode and not deed.always:
            return episode.alert
        record(connection, key, changed, deed.transition, at, at, deed.by, deed.note, self._told)
        return alert_of(connection.execute(mine).mappings().one())
