"""Poison is set aside with its bytes and the reason, counted, and never blocks what follows.

1. A letter is durable when ``set_aside`` returns. One row per gateway, body and reason: what is repeated is counted.
2. Bounded: ``MAX_OF_GATEWAY`` rows a gateway and ``MAX_ROWS`` in all, bodies cut at ``MAX_BODY``, so one gateway cannot fill the
   table for the others. Past that the counts of known letters go up, and new ones are counted on one row of their gateway
   (``NO_ROOM``) without their bytes: it still shows, and raises the alert, that poison comes.
3. What belongs to a batch is set aside before the batch is acknowledged (``ingest.points``). What is no batch at all cannot be
   acknowledged: it waits in ``DeadLetters``, at most ``MAX_WAITING``, and a crash may lose the last few.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.database import Database, insert, metadata
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef
from telemetry.reading import Micros

MAX_BODY = 64 * 1024
MAX_ROWS = 10_000
MAX_OF_GATEWAY = 1_000
MAX_WAITING = 1_000
MAX_REASON = 1_000
ASKED_AT_ONCE = 500
NO_ROOM = "more letters than are kept: these were counted alone"
RETRY_S = 5.0

log = structlog.get_logger()

table = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("digest", sa.String(32), primary_key=True),
    sa.Column("community", sa.Text, nullable=False),
    sa.Column("gateway", sa.Text, nullable=False),
    sa.Column("first_at", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("dead_letter_gateway", "community", "gateway"),
    sa.Index("dead_letter_by_last", "last_at"),
)
_mine = sa.and_(table.c.community == sa.bindparam("community"), table.c.gateway == sa.bindparam("gateway"))


class DeadLetter(NamedTuple):
    """What a gateway sent and nobody can take. ``origin`` says where it stood: a topic, or epoch, lane and seq of a batch."""

    ref: GatewayRef
    origin: str
    reason: str
    body: bytes


class DeadLetters:
    """Letters of no batch, on their way to the database; past the bound they are only counted by who puts them."""

    def __init__(self, database: Database, clock: Callable[[], Micros]) -> None:
        self._database = database
        self._clock = clock
        self._queue: asyncio.Queue[DeadLetter] = asyncio.Queue(MAX_WAITING)
        self._waiting: Counter[GatewayRef] = Counter()

    def put(self, letter: DeadLetter) -> None:
        """One gateway has at most a tenth of the room."""
        if not self._queue.full() and self._waiting[letter.ref] < MAX_WAITING // 10:
            self._waiting[letter.ref] += 1
            self._queue.put_nowait(letter._replace(body=letter.body[:MAX_BODY]))

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            letters = [await self._queue.get()]
            while not self._queue.empty():
                letters.append(self._queue.get_nowait())
            await self._keep(letters)
            self._waiting -= Counter(letter.ref for letter in letters)

    async def _keep(self, letters: list[DeadLetter]) -> None:
        failing = False
        while True:
            try:
                return await set_aside(self._database, letters, self._clock())
            except StoreUnavailable as error:
                if not failing:
                    log.error("dead letters wait for the database", letters=len(letters), error=str(error))
                failing = True
                await asyncio.sleep(RETRY_S)


async def set_aside(database: Database, letters: Sequence[DeadLetter], at: Micros) -> None:
    """Keeps the letters durably, within the bounds. Raises ``StoreUnavailable``; then none is kept."""
    await database.write(lambda connection: _keep_all(connection, letters, at))


async def count(database: Database) -> int:
    """How many distinct letters are kept."""
    return await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def forget(connection: sa.Connection, cut: int, most: int) -> int:
    """Deletes letters that came last before ``cut``: nobody knows whom they speak of. Of ``most``, how many."""
    old = sa.select(table.c.digest).where(table.c.last_at < cut).limit(most)
    return connection.execute(table.delete().where(table.c.digest.in_(old))).rowcount


def _keep_all(connection: sa.Connection, letters: Sequence[DeadLetter], at: Micros) -> None:
    """In few statements, whatever their number: a gateway that sends poison alone sends it by the thousand."""
    came = _told_apart(letters)
    known, room = _known(connection, list(came)), _Room(connection)
    rows: list[dict[str, object]] = []
    beyond: Counter[GatewayRef] = Counter()
    for digest, (letter, times) in came.items():
        if digest in known or room.take(letter.ref):
            rows.append(_row(letter, times, at))
        else:
            beyond[letter.ref] += times
    rows += [_row(DeadLetter(ref, "", NO_ROOM, b""), times, at) for ref, times in beyond.items()]
    if rows:
        connection.execute(_counting(connection), rows)


def _told_apart(letters: Sequence[DeadLetter]) -> dict[str, tuple[DeadLetter, int]]:
    """By digest each letter as it came first, and how often it came."""
    times: Counter[str] = Counter()
    firsts: dict[str, DeadLetter] = {}
    for letter in letters:
        digest = _digest(letter)
        times[digest] += 1
        firsts.setdefault(digest, letter)
    return {digest: (letter, times[digest]) for digest, letter in firsts.items()}


def _known(connection: sa.Connection, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` that have a row."""
    found: set[str] = set()
    for first in range(0, len(digests), ASKED_AT_ONCE):
        some = table.c.digest.in_(digests[first : first + ASKED_AT_ONCE])
        found.update(connection.execute(sa.select(table.c.digest).where(some)).scalars())
    return found


def _counting(connection: sa.Connection) -> sa.Executable:
    """Inserts letters, or counts those that have a row once more."""
    statement = insert(connection, table)
    again = {"times": table.c.times + statement.excluded.times, "last_at": statement.excluded.last_at}
    return statement.on_conflict_do_update(index_elements=["digest"], set_=again)


class _Room:
    """How many more letters may be kept, in all and of each gateway; counted when first asked."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._all: int | None = None
        self._of: dict[GatewayRef, int] = {}

    def take(self, ref: GatewayRef) -> bool:
        count = sa.select(sa.func.count()).select_from(table)
        if self._all is None:
            self._all = MAX_ROWS - (self._connection.scalar(count) or 0)
        if ref not in self._of:
            self._of[ref] = MAX_OF_GATEWAY - (self._connection.scalar(count.where(_mine), ref._asdict()) or 0)
        if min(self._all, self._of[ref]) <= 0:
            return False
        self._all -= 1
        self._of[ref] -= 1
        return True


def _digest(letter: DeadLetter) -> str:
    digest = hashlib.sha256(f"{letter.ref}\0{letter.reason}\0".encode(errors="backslashreplace"))
    digest.update(letter.body)
    return digest.hexdigest()[:32]


def _row(letter: DeadLetter, times: int, at: Micros) -> dict[str, object]:
    kept = {"origin": letter.origin, "reason": letter.reason[:MAX_REASON], "body": letter.body[:MAX_BODY]}
    return {"digest": _digest(letter), **letter.ref._asdict(), "first_at": at, "last_at": at, "times": times, **kept}
