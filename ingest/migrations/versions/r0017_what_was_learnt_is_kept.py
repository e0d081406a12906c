"""what was learnt is kept"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "alert_baseline",
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("community", sa.String(length=15), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("discriminator", sa.String(length=256), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "community", "subject", "discriminator", "slot"),
    )


def downgrade() -> None:
    op.drop_table("alert_baseline")
