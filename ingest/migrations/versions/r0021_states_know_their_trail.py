"""a state says which row of the trail it has followed last: what was heard before it is not heard by it again"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    with op.batch_alter_table("alert_rule_state", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trail", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("alert_rule_state", schema=None) as batch_op:
        batch_op.alter_column("trail", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("alert_rule_state", schema=None) as batch_op:
        batch_op.drop_column("trail")
