"""What is asked under an idempotency key is done once, and asked again has the same answer for ``KEPT_US``.

1. The answer is written in the transaction that does what was asked: there is never one without the other.
2. A key belongs to the token that used it, whatever for: asked for something else under it, nothing is done.
3. Bounded: an answer goes ``KEPT_US`` after it was given, when the next one is kept.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from ingest.database import metadata
from telemetry.errors import LinliError

_T = TypeVar("_T")

KEPT_US = 24 * 3600 * 1_000_000

_table = sa.Table(
    "once",
    metadata,
    sa.Column("who", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)


class Once(NamedTuple):
    """An idempotency key of ``who``, and a hash of all that is asked under it."""

    who: str
    key: str
    asked: str


class KeyReused(LinliError):
    """The idempotency key was used for something else."""


def done_once(
    connection: sa.Connection, once: Once | None, at: int, answers: "msgspec.json.Decoder[_T]", do: Callable[[], _T]
) -> _T:
    """What ``do`` answers, or answered under this key before; ``None`` is no answer and is not kept. Raises ``KeyReused``."""
    if once is None:
        return do()
    connection.execute(_table.delete().where(_table.c.at < at - KEPT_US))
    if (known := answered(connection, once, answers)) is not None:
        return known
    answer = do()
    if answer is not None:
        connection.execute(_table.insert().values(**once._asdict(), answer=msgspec.json.encode(answer), at=at))
    return answer


def answered(connection: sa.Connection, once: Once | None, answers: "msgspec.json.Decoder[_T]") -> _T | None:
    """What was answered under this key before; ``None``: nothing yet. Raises ``KeyReused``.

    For what cannot be done inside a transaction: it is asked first, and whoever does it ends with ``done_once``.
    """
    if once is None:
        return None
    mine = _table.c.who == once.who, _table.c.key == once.key
    row = connection.execute(sa.select(_table.c.asked, _table.c.answer).where(*mine)).one_or_none()
    if row is None:
        return None
    if row.asked != once.asked:
        raise KeyReused(once.key)
    return answers.decode(row.answer)
