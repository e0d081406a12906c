"""Notifications on their way: one row for each change of an alert or of a work order, or digest, and each
target that is to hear of it.

1. A row is written in the transaction that makes its news: there is never one without the other.
2. A row leaves ``waiting`` by being sent or given up, and comes back by being replayed; its ``message`` stays the same, so a
   receiver can tell what it has had.
3. Bounded: a target with more than ``MAX_WAITING`` rows gives up its oldest that are not red; what is sent is kept
   ``KEEP_SENT_US``, what is given up ``KEEP_GIVEN_UP_US``.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import Alert, Changed, Colour
from ingest.cases import Case, CaseChange, Moved, Step
from ingest.database import Database, metadata
from ingest.notify.digest import KIND as DIGEST
from ingest.notify.digest import Digest
from ingest.notify.news import News, change_of, matter, name_of

DAY_US = 86_400_000_000
KEEP_SENT_US = 30 * DAY_US
KEEP_GIVEN_UP_US = 90 * DAY_US
MAX_WAITING = 50_000
MAX_REASON = 300
_SWEPT = 5_000


class State(StrEnum):
    """Of a notification."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


table = sa.Table(
    "notification",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("target", sa.String(64), nullable=False),
    sa.Column("message", sa.String(64), nullable=False, index=True),
    sa.Column("alert", sa.String(20), nullable=False, index=True),
    sa.Column("work_order", sa.String(20), nullable=False, index=True),
    sa.Column("community", sa.String(15), nullable=False),
    sa.Column("gateway", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("transition", sa.String(16), nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("settled_at", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("target", "message"),
    sa.Index("notification_next", "target", "state", "rank", "next_at"),
    sa.Index("notification_settled", "state", "settled_at"),
    sa.Index("notification_known", "known_at", "id"),
    sqlite_autoincrement=True,
)

_RANK = {colour: rank for rank, colour in enumerate(Colour)}


class Notice(NamedTuple):
    """A notification to be sent. ``message`` names it to the receiver, the same at every try."""

    id: int
    message: str
    news: News
    tries: int

    @property
    def colour(self) -> Colour:
        return matter(self.news).colour


class _Body(msgspec.Struct, frozen=True):
    """A change as a row keeps it."""

    alert: Alert
    transition: str
    event_at: int
    known_at: int


class _MovedBody(msgspec.Struct, frozen=True, rename={"change": "how"}):
    """A change of a work order as a row keeps it."""

    case: Case
    change: CaseChange
    step: Step | None
    units: tuple[str, ...]
    due_at: int | None
    event_at: int
    known_at: int


_decoder = msgspec.json.Decoder(_Body)
_moved_decoder = msgspec.json.Decoder(_MovedBody)
_digest_decoder = msgspec.json.Decoder(Digest)
_encoder = msgspec.json.Encoder()


def enqueue(connection: sa.Connection, news: News, targets: Iterable[str], gateway: str = "") -> None:
    """Writes what ``targets`` are to hear, in the transaction of ``connection``. ``gateway`` is of a work order's alert."""
    rows = [{**_row(news, gateway), "target": target, "message": name_of(news)} for target in targets]
    if rows:
        connection.execute(table.insert(), rows)


class Outbox:
    """The rows of one target. Times are UTC microseconds. Everything raises ``StoreUnavailable``."""

    def __init__(self, database: Database, target: str) -> None:
        self._database = database
        self._mine = table.c.target == target
        self._waiting = sa.and_(self._mine, table.c.state == State.WAITING)

    async def due(self, now: int, most: int) -> list[Notice]:
        """Those to be tried now: by colour, then those that are due longest."""
        wanted = sa.select(table).where(self._waiting, table.c.next_at <= now)
        wanted = wanted.order_by(table.c.rank, table.c.next_at, table.c.id).limit(most)
        rows = await self._database.read(lambda connection: connection.execute(wanted).mappings().all())
        found = [(row["id"], _notice(row)) for row in rows]
        if unreadable := [id for id, notice in found if notice is None]:
            await self._settle(unreadable, State.GIVEN_UP, now, "an older Linli wrote it, and it cannot be read any more")
        return [notice for _, notice in found if notice is not None]

    async def sent_since(self, since: int) -> list[int]:
        """When messages were sent: rows of one message have one instant."""
        sent = sa.select(table.c.settled_at).distinct()
        sent = sent.where(self._mine, table.c.state == State.SENT, table.c.settled_at > since)
        return await self._database.read(lambda connection: list(connection.scalars(sent)))

    async def sent(self, notices: Sequence[Notice], now: int) -> None:
        await self._settle([notice.id for notice in notices], State.SENT, now, "")

    async def given_up(self, notices: Sequence[Notice], now: int, reason: str) -> None:
        await self._settle([notice.id for notice in notices], State.GIVEN_UP, now, reason)

    async def give_up_all(self, now: int, reason: str) -> None:
        """Those that wait."""
        change = table.update().where(self._waiting).values(state=State.GIVEN_UP, settled_at=now, reason=reason[:MAX_REASON])
        await self._database.write(lambda connection: connection.execute(change))

    async def failed(self, notices: Sequence[tuple[Notice, int]], reason: str) -> None:
        """They were tried in vain and are due again at the instant beside each."""
        change = table.update().where(table.c.id == sa.bindparam("the_id"))
        change = change.values(tries=table.c.tries + 1, next_at=sa.bindparam("then"), reason=reason[:MAX_REASON])
        rows = [{"the_id": notice.id, "then": then} for notice, then in notices]
        await self._database.write(lambda connection: connection.execute(change, rows))

    async def _settle(self, ids: Sequence[int], state: State, now: int, reason: str) -> None:
        change = table.update().where(table.c.id.in_(ids))
        change = change.values(state=state, settled_at=now, reason=reason[:MAX_REASON], tries=table.c.tries + 1)
        await self._database.write(lambda connection: connection.execute(change))


async def sweep(database: Database, targets: Collection[str], now: int) -> None:
    """Gives up what has no target any more or no room, and forgets what was settled long ago."""

    def change(connection: sa.Connection) -> None:
        gone = sa.and_(table.c.state == State.WAITING, table.c.target.not_in(list(targets)))
        connection.execute(table.update().where(gone).values(_given_up(now, "there is no such target any more")))
        for target in targets:
            _make_room(connection, target, now)
        for state, keep in ((State.SENT, KEEP_SENT_US), (State.GIVEN_UP, KEEP_GIVEN_UP_US)):
            old = sa.select(table.c.id).where(table.c.state == state, table.c.settled_at < now - keep).limit(_SWEPT)
            connection.execute(table.delete().where(table.c.id.in_(old)))

    await database.write(change)


def forget(connection: sa.Connection, cut: int, most: int) -> int:
    """Deletes what was settled of changes known before ``cut``, sooner than ``sweep`` would. Of ``most``, how many."""
    old = (
        sa.select(table.c.id).where(table.c.known_at < cut, table.c.state != State.WAITING).order_by(table.c.known_at).limit(most)
    )
    return connection.execute(table.delete().where(table.c.id.in_(old))).rowcount


def _make_room(connection: sa.Connection, target: str, now: int) -> None:
    waiting = sa.and_(table.c.target == target, table.c.state == State.WAITING)
    count = connection.scalar(sa.select(sa.func.count()).select_from(table).where(waiting)) or 0
    if count > MAX_WAITING:
        oldest = sa.select(table.c.id).where(waiting, table.c.colour != Colour.RED)
        oldest = oldest.order_by(table.c.id).limit(count - MAX_WAITING)
        connection.execute(table.update().where(table.c.id.in_(oldest)).values(_given_up(now, "too many wait for this target")))


def _given_up(now: int, reason: str) -> dict[str, Any]:
    return {"state": State.GIVEN_UP, "settled_at": now, "reason": reason}


def _row(news: News, gateway: str) -> dict[str, Any]:
    about = matter(news)
    row = {"community": about.community, "kind": about.kind, "colour": about.colour, "rank": _RANK[about.colour]}
    row |= {"transition": change_of(news), "known_at": news.known_at, "next_at": news.known_at}
    row |= {"state": State.WAITING, "tries": 0, "reason": ""}
    if isinstance(news, Changed):
        return {**row, "gateway": news.alert.gateway, "alert": about.id, "work_order": "", "body": _encoder.encode(_Body(*news))}
    if isinstance(news, Digest):
        return {**row, "gateway": news.gateway, "alert": "", "work_order": "", "body": _encoder.encode(news)}
    return {**row, "gateway": gateway, "alert": "", "work_order": about.id, "body": _encoder.encode(_MovedBody(*news))}


def _notice(row: sa.RowMapping) -> Notice | None:
    try:
        return Notice(row["id"], row["message"], _news(row), row["tries"])
    except msgspec.DecodeError:
        return None


def _news(row: sa.RowMapping) -> News:
    if row["work_order"]:
        return Moved(*msgspec.structs.astuple(_moved_decoder.decode(row["body"])))
    if row["transition"] == DIGEST:
        return _digest_decoder.decode(row["body"])
    body = _decoder.decode(row["body"])
    return Changed(body.alert, body.transition, body.event_at, body.known_at)
