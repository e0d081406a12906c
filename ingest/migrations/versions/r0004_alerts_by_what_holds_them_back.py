"""alerts are listed by what holds them back"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(
            "alert_collapsed",
            ["collapsed_into", "opened_at", "id"],
            unique=False,
            sqlite_where=sa.text("collapsed_into != ''"),
            postgresql_where=sa.text("collapsed_into != ''"),
        )
        batch_op.create_index(
            "alert_drills",
            ["opened_at", "id"],
            unique=False,
            sqlite_where=sa.text("drill = 1"),
            postgresql_where=sa.text("drill"),
        )


def downgrade() -> None:
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index("alert_drills", sqlite_where=sa.text("drill = 1"), postgresql_where=sa.text("drill"))
        batch_op.drop_index(
            "alert_collapsed", sqlite_where=sa.text("collapsed_into != ''"), postgresql_where=sa.text("collapsed_into != ''")
        )
