"""alerts are given to somebody"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "alert_once",
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("asked", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("who", "key"),
    )
    with op.batch_alter_table("alert_once", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_once_at"), ["at"], unique=False)

    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.add_column(sa.Column("assigned_to", sa.String(length=64), nullable=False, server_default=""))
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.alter_column("assigned_to", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_column("assigned_to")

    with op.batch_alter_table("alert_once", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alert_once_at"))

    op.drop_table("alert_once")
