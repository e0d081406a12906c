"""alerts are held back"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "planned",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("community", sa.String(length=15), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("planned", schema=None) as batch_op:
        batch_op.create_index("planned_place", ["community", "ends_at"], unique=False)

    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.add_column(sa.Column("folded", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.alter_column("folded", server_default=None)
        batch_op.alter_column("held", server_default=None)
        batch_op.create_index(
            "alert_held", ["held"], unique=False, sqlite_where=sa.text("held = 1"), postgresql_where=sa.text("held")
        )
        batch_op.create_index("alert_standing", ["community", "over_at", "kind"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index("alert_standing")
        batch_op.drop_index("alert_held", sqlite_where=sa.text("held = 1"), postgresql_where=sa.text("held"))
        batch_op.drop_column("held")
        batch_op.drop_column("folded")

    with op.batch_alter_table("planned", schema=None) as batch_op:
        batch_op.drop_index("planned_place")

    op.drop_table("planned")
