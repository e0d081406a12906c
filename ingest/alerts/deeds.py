"""What people do with alerts: take note, give to somebody, say something, shelve; with one, or with many at once.

1. Nothing outside the scope is changed or told.
2. A deed that names the version it was decided on is not done when the alert has changed since.
3. Of many at once each has its own answer; what was asked under an idempotency key is done once, and has the same answer for
   24 hours.
4. The first acknowledgement stands; what changes nothing is not journalled.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import quiet
from ingest.alerts.episode import Alert, Episode, acknowledged
from ingest.alerts.shelf import ENDED, LONGEST_US
from ingest.alerts.tables import Told, alert, alert_of, episode_of, record, untold
from ingest.database import Database, metadata
from telemetry.errors import LinliError
from telemetry.identity import Scope

DAY_US = 24 * 3600 * 1_000_000

_once = sa.Table(
    "alert_once",
    metadata,
    sa.Column("who", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)
"""What was asked under an idempotency key, and what came of it."""


class AlertChanged(LinliError):
    """The alert is not at the version that was named; it is at ``version``."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"the alert is at version {version}")


class KeyReused(LinliError):
    """The idempotency key was used for something else."""


class Ended(LinliError):
    """The alert is closed or withdrawn: this cannot be done with it any more."""


class Deed(NamedTuple):
    """``change`` raises ``Ended``. ``always``: it is journalled though it leaves the alert as it was."""

    transition: str
    change: Callable[[Episode], Episode]
    by: str
    note: str
    always: bool = False


class Key(NamedTuple):
    """An idempotency key of ``who``, and all that was asked under it."""

    who: str
    key: str
    asked: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What became of one of many; ``seq`` is the alert's now."""

    id: str
    result: Literal["done", "missing", "ended"]
    seq: int | None = None


def acked(by: str, note: str, at: int) -> Deed:
    return Deed("acknowledged", lambda episode: acknowledged(episode, by, note, at), by, note)


def assigned(to: str, by: str, note: str) -> Deed:
    """Whose it is from now on; "" is nobody's."""
    said = f"→ {to} {note}".rstrip()
    return Deed("assigned", lambda episode: quiet.with_(_live(episode), assigned_to=to), by, said)


def commented(by: str, note: str) -> Deed:
    return Deed("commented", lambda episode: episode, by, note, always=True)


def shelved(until: int, until_normal: bool, by: str, reason: str, at: int) -> Deed:
    """Until an instant after ``at``, at most ``LONGEST_US`` after it."""
    end = min(until, at + LONGEST_US)
    return Deed("shelved", lambda episode: quiet.shelved(_live(episode), end, until_normal, by, reason), by, reason)


def _live(episode: Episode) -> Episode:
    if episode.alert.state in ENDED:
        raise Ended(episode.alert.id)
    return episode


class Deeds:
    def __init__(self, database: Database, told: Told = untold) -> None:
        """``told`` hears of each change that people shall hear of, within its transaction."""
        self._database = database
        self._told = told

    async def do(self, scope: Scope, id: str, deed: Deed, at: int, version: int | None = None) -> Alert | None:
        """The alert after it; ``None`` when it is not in the scope. Raises ``AlertChanged``, ``Ended``."""
        return await self._database.write(lambda connection: self._do(connection, scope, id, deed, at, version))

    async def do_all(self, scope: Scope, ids: Sequence[str], deed: Deed, at: int, once: Key | None = None) -> list[Outcome]:
        """What became of each, in order. Raises ``KeyReused``."""

        def change(connection: sa.Connection) -> list[Outcome]:
            if (before := _answered(connection, once)) is not None:
                return before
            outcomes = [self._outcome(connection, scope, id, deed, at) for id in ids]
            _remember(connection, once, outcomes, at)
            return outcomes

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


def _answered(connection: sa.Connection, once: Key | None) -> list[Outcome] | None:
    if once is None:
        return None
    row = connection.execute(sa.select(_once).where(_once.c.who == once.who, _once.c.key == once.key)).mappings().one_or_none()
    if row is None:
        return None
    if row["asked"] != hashlib.sha256(once.asked).hexdigest():
        raise KeyReused(once.key)
    return msgspec.json.decode(row["answer"], type=list[Outcome])


def _remember(connection: sa.Connection, once: Key | None, outcomes: list[Outcome], at: int) -> None:
    connection.execute(_once.delete().where(_once.c.at < at - DAY_US))
    if once is not None:
        row = {"who": once.who, "key": once.key, "asked": hashlib.sha256(once.asked).hexdigest()}
        connection.execute(_once.insert().values(**row, answer=msgspec.json.encode(outcomes), at=at))
