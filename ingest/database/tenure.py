"""Who has the database: how many times a centre has taken it.

A centre whose connection broke sees by it whether another one wrote in between.
"""

import sqlalchemy as sa

from ingest.database.portable import metadata, upsert

tenure = sa.Table(
    "centre_tenure",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("term", sa.BigInteger, nullable=False),
)
"""One row."""


def take(connection: sa.Connection) -> int:
    """Begins a new term; its number."""
    term = int(connection.scalar(sa.select(tenure.c.term)) or 0) + 1
    upsert(connection, tenure, [{"id": 1, "term": term}])
    return term
