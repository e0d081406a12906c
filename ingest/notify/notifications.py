"""Notifications as operators meet them: read within a scope, sent again, a target switched on again.

1. Nothing outside the scope is returned, counted or changed.
2. Sending again keeps the message's name: a receiver that had it can tell.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.database import Database
from ingest.notify.outbox import State, table
from ingest.notify.standing import Standing, Tries
from ingest.notify.targets import Target
from ingest.once import Once, done_once
from ingest.paging import Cursor
from telemetry.identity import Scope

MAX_REPLAYED = 10_000


class Notification(NamedTuple):
    """A row without what it says; ``alert`` or ``work_order`` is ``""``, of a digest both.

    ``next_at`` is of one that waits, ``settled_at`` of one that does not."""

    id: int
    target: str
    message: str
    alert: str
    work_order: str
    community: str
    kind: str
    colour: str
    transition: str
    known_at: int
    state: State
    tries: int
    next_at: int
    settled_at: int | None
    reason: str


class TargetSeen(NamedTuple):
    """``off`` says why it is switched off, or ``""``. The counts are within the scope."""

    name: str
    type: str
    off: str
    tries: Tries
    waiting: int
    oldest_waiting_at: int | None
    given_up: int


class NotificationFilter(NamedTuple):
    """``None`` is no restriction; since <= known_at < until."""

    target: str | None = None
    state: State | None = None
    alert: str | None = None
    work_order: str | None = None
    since: int | None = None
    until: int | None = None


class Notifications:
    def __init__(
        self, database: Database, targets: Mapping[str, Target], standing: Standing, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._targets = targets
        self._standing = standing
        self._wake = wake

    async def page(
        self, scope: Scope, filter: NotificationFilter, after: Cursor | None, limit: int
    ) -> tuple[list[Notification], Cursor | None]:
        """Newest first, at most ``limit``; the cursor of the next page, or ``None`` when this was the last."""
        wanted = sa.select(*_SHOWN).where(*_filtered(scope, filter))
        if after is not None:
            key = sa.tuple_(table.c.known_at, table.c.id)
            wanted = wanted.where(key < sa.tuple_(sa.literal(after.at), sa.literal(int(after.id))))
        wanted = wanted.order_by(table.c.known_at.desc(), table.c.id.desc()).limit(limit + 1)
        rows = await self._database.read(lambda connection: connection.execute(wanted).mappings().all())
        found = [Notification(**{**row, "state": State(row["state"])}) for row in rows]
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], Cursor(last.known_at, str(last.id)) if last else None

    async def replay(self, scope: Scope, filter: NotificationFilter, now: int, once: Once | None = None) -> int:
        """Sends again what is settled and matches, oldest first, at most ``MAX_REPLAYED``; how many. Raises ``KeyReused``."""
        settled = (*_filtered(scope, filter), table.c.state != State.WAITING, table.c.target.in_(list(self._targets)))
        chosen = sa.select(table.c.id).where(*settled).order_by(table.c.known_at, table.c.id).limit(MAX_REPLAYED)
        again = table.update().where(table.c.id.in_(chosen))
        again = again.values(state=State.WAITING, tries=0, next_at=now, settled_at=None)

        def change(connection: sa.Connection) -> int:
            return done_once(connection, once, now, _count, lambda: connection.execute(again).rowcount)

        replayed = await self._database.write(change)
        self._wake()
        return replayed

    async def targets(self, scope: Scope) -> list[TargetSeen]:
        """Every target of the configuration."""
        oldest = sa.func.min(table.c.known_at)
        counted = sa.select(table.c.target, table.c.state, sa.func.count(), oldest).where(_within(scope))
        counted = counted.where(table.c.state != State.SENT).group_by(table.c.target, table.c.state)
        rows = await self._database.read(lambda connection: connection.execute(counted).all())
        counts = {(target, State(state)): (count, first) for target, state, count, first in rows}
        off = await self._standing.off()
        return [self._seen(name, type_, counts, off) for name, type_ in self._targets.items()]

    async def switch_on(self, name: str) -> bool:
        """Whether there is such a target; it is asked again from now on."""
        if name in self._targets:
            await self._standing.switch_on(name)
            self._wake()
        return name in self._targets

    def _seen(
        self, name: str, target: Target, counts: Mapping[tuple[str, State], tuple[int, int]], off: Mapping[str, str]
    ) -> TargetSeen:
        waiting, oldest = counts.get((name, State.WAITING), (0, None))
        given_up, _ = counts.get((name, State.GIVEN_UP), (0, None))
        tries = self._standing.tries.get(name, Tries())
        type_ = str(target.__struct_config__.tag)
        return TargetSeen(name, type_, off.get(name, ""), tries, waiting, oldest, given_up)


_count: msgspec.json.Decoder[int] = msgspec.json.Decoder(int)
_SHOWN = [table.c[name] for name in Notification._fields]


def _filtered(scope: Scope, filter: NotificationFilter) -> Sequence[sa.ColumnElement[bool]]:
    names = ("target", "state", "alert", "work_order")
    equal: list[Any] = [_within(scope)]
    equal += [table.c[name] == value for name in names if (value := getattr(filter, name)) is not None]
    if filter.since is not None:
        equal.append(table.c.known_at >= filter.since)
    if filter.until is not None:
        equal.append(table.c.known_at < filter.until)
    return equal


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.or_(sa.false(), *(table.c.community.startswith(prefix, autoescape=True) for prefix in scope.prefixes))
