"""Poison is set aside with its bytes and the reason, counted, and never blocks what follows.

One row per distinct body and reason, so that a gateway that repeats itself cannot fill the table; bodies are cut at 64 KB.
Letters are written behind the batches that they came with: a crash may lose the last few, a database that is down none
of the first ``MAX_WAITING``.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.database import Database, metadata
from telemetry.errors import StoreUnavailable
from telemetry.reading import Micros

MAX_BODY = 64 * 1024
MAX_ROWS = 10_000
MAX_WAITING = 1_000
RETRY_S = 5.0

log = structlog.get_logger()

_table = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("digest", sa.String(32), primary_key=True),
    sa.Column("first_at", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class DeadLetter(NamedTuple):
    """``origin`` says where it came from: a topic, or the stream and seq of a store's refusal."""

    origin: str
    reason: str
    body: bytes


class DeadLetters:
    """Letters on their way to the database, in the background; past the bound they are only counted by who puts them."""

    def __init__(self, database: Database, clock: Callable[[], Micros]) -> None:
        self._database = database
        self._clock = clock
        self._queue: asyncio.Queue[DeadLetter] = asyncio.Queue(MAX_WAITING)

    def put(self, letter: DeadLetter) -> None:
        if not self._queue.full():
            self._queue.put_nowait(letter._replace(body=letter.body[:MAX_BODY]))

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            letters = [await self._queue.get()]
            while not self._queue.empty():
                letters.append(self._queue.get_nowait())
            await self._keep(letters)

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


async def set_aside(database: Database, letters: list[DeadLetter], at: Micros) -> None:
    """Keeps the letters durably; past ``MAX_ROWS`` only counts of known ones go up."""

    def change(connection: sa.Connection) -> None:
        room = MAX_ROWS - (connection.scalar(sa.select(sa.func.count()).select_from(_table)) or 0)
        for letter in letters:
            digest = hashlib.sha256(letter.reason.encode() + b"\0" + letter.body).hexdigest()[:32]
            again = _table.update().where(_table.c.digest == digest).values(times=_table.c.times + 1, last_at=at)
            if connection.execute(again).rowcount == 0 and room > 0:
                row = {"digest": digest, "first_at": at, "last_at": at, "times": 1}
                connection.execute(
                    _table.insert().values(**row, origin=letter.origin, reason=letter.reason[:1000], body=letter.body[:MAX_BODY])
                )
                room -= 1

    await database.write(change)


async def count(database: Database) -> int:
    """How many distinct letters are kept."""
    return await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(_table)) or 0)
