"""Who has the database, and what it wrote last.

A centre whose connection broke sees by it whether another one wrote in between, and whether its own last write happened.
"""

import sqlalchemy as sa

from ingest.database.portable import metadata, upsert

tenure = sa.Table(
    "centre_tenure",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("term", sa.BigInteger, nullable=False),
    sa.Column("wrote", sa.BigInteger, nullable=False),
)
"""One row: how many times a centre has taken the database, and the number of its last write, where a commit can go unheard."""


def take(connection: sa.Connection) -> int:
    """Begins a new term; its number."""
    term = int(connection.scalar(sa.select(tenure.c.term)) or 0) + 1
    upsert(connection, tenure, [{"id": 1, "term": term, "wrote": 0}])
    return term


def note(connection: sa.Connection, number: int) -> None:
    """For the transaction that is write ``number`` of the term."""
    connection.execute(tenure.update().values(wrote=number))


def last(connection: sa.Connection) -> int:
    """The number of the last write that happened."""
    return int(connection.execute(sa.select(tenure.c.wrote)).scalar_one())
