"""work orders are reminded of"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_KEPT = {"sqlite_autoincrement": True}
"""A table that is made anew would forget it."""


@contextmanager
def _numbers_go_on() -> Iterator[None]:
    """A table that SQLite makes anew counts from its newest row: the number of one that is gone would be given again."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        yield
        return
    name = {"name": "notification"}
    given = connection.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), name)
    yield
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
    if given:
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), name | {"seq": given})


def upgrade() -> None:
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.add_column(sa.Column("work_order", sa.String(length=20), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_notification_work_order"), ["work_order"], unique=False)
    with _numbers_go_on(), op.batch_alter_table("notification", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.alter_column("work_order", server_default=None)


def downgrade() -> None:
    with _numbers_go_on(), op.batch_alter_table("notification", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notification_work_order"))
        batch_op.drop_column("work_order")
