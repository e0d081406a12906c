"""the access log is chained

What was noted before is chained as it is found: what was done to it until now cannot be seen.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_START = "0" * 64
_COVERED = ("at", "token", "role", "scope", "method", "path", "query", "status", "address")
_TOGETHER = 5_000
_KEPT = {"sqlite_autoincrement": True}
"""A table that is made anew would forget it."""


@contextmanager
def _numbers_go_on() -> Iterator[None]:
    """A table that SQLite makes anew counts from its newest row: the number of one that is gone would be given again."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        yield
        return
    name = {"name": "access_log"}
    given = connection.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), name)
    yield
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
    if given:
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), name | {"seq": given})


def upgrade() -> None:
    ends = op.create_table(
        "access_log_ends",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first", sa.String(length=64), nullable=False),
        sa.Column("last", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("access_log", schema=None) as batch_op:
        batch_op.add_column(sa.Column("before", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("digest", sa.String(length=64), nullable=False, server_default=""))
    last = _chained(op.get_bind())
    with _numbers_go_on(), op.batch_alter_table("access_log", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.alter_column("before", server_default=None)
        batch_op.alter_column("digest", server_default=None)
    if last != _START:
        op.get_bind().execute(ends.insert().values(id=1, first=_START, last=last))


def _chained(connection: sa.Connection) -> str:
    """Chains what is there; the digest of its last entry."""
    log = sa.table("access_log", *map(sa.column, ("seq", *_COVERED, "before", "digest")))
    seal = log.update().where(log.c.seq == sa.bindparam("its_seq"))
    seal = seal.values(before=sa.bindparam("its_before"), digest=sa.bindparam("its_digest"))
    last, after = _START, 0
    while True:
        rows = connection.execute(sa.select(log).where(log.c.seq > after).order_by(log.c.seq).limit(_TOGETHER)).mappings().all()
        if not rows:
            return last
        sealed = []
        for row in rows:
            before = last
            said = json.dumps([*(row[name] for name in _COVERED), before], ensure_ascii=False, separators=(",", ":"))
            last = hashlib.sha256(said.encode()).hexdigest()
            sealed.append({"its_seq": row["seq"], "its_before": before, "its_digest": last})
        connection.execute(seal, sealed)
        after = rows[-1]["seq"]


def downgrade() -> None:
    with _numbers_go_on(), op.batch_alter_table("access_log", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.drop_column("digest")
        batch_op.drop_column("before")

    op.drop_table("access_log_ends")
