"""Poison is set aside with its bytes and the reason, counted, and never blocks what follows.

One row per distinct body and reason, so that a gateway that repeats itself cannot fill the table; bodies are cut at 64 KB.
"""

import hashlib
from typing import NamedTuple

import sqlalchemy as sa

from ingest.database import Database, metadata
from telemetry.reading import Micros

MAX_BODY = 64 * 1024
MAX_ROWS = 100_000

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
