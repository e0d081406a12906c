"""streams are finished"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "finished_stream",
        sa.Column("sink", sa.String(length=16), nullable=False),
        sa.Column("community", sa.String(length=15), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.String(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sink", "community", "gateway", "epoch", "lane"),
    )


def downgrade() -> None:
    op.drop_table("finished_stream")
