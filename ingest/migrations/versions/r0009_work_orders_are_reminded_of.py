"""work orders are reminded of"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_KEPT = {"sqlite_autoincrement": True}
"""A table that is made anew would forget it."""


def upgrade() -> None:
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.add_column(sa.Column("work_order", sa.String(length=20), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_notification_work_order"), ["work_order"], unique=False)
    with op.batch_alter_table("notification", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.alter_column("work_order", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("notification", schema=None, table_kwargs=_KEPT) as batch_op:
        batch_op.drop_index(batch_op.f("ix_notification_work_order"))
        batch_op.drop_column("work_order")
