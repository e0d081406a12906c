"""writes leave their number"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    with op.batch_alter_table("centre_tenure", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wrote", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("centre_tenure", schema=None) as batch_op:
        batch_op.alter_column("wrote", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("centre_tenure", schema=None) as batch_op:
        batch_op.drop_column("wrote")
