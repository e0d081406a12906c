"""what tells who goes

Evidence that was gathered before does not say whether it tells who was where: that of doors, cameras, car parks, and of readers
that fell silent, is taken to.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(
            "alert_told_apart",
            ["opened_at"],
            unique=False,
            sqlite_where=sa.text("discriminator != ''"),
            postgresql_where=sa.text("discriminator != ''"),
        )

    with op.batch_alter_table("alert_evidence", schema=None) as batch_op:
        batch_op.add_column(sa.Column("personal_at", sa.BigInteger(), nullable=True))
        batch_op.create_index(
            "alert_evidence_personal",
            ["personal_at"],
            unique=False,
            sqlite_where=sa.text("personal_at IS NOT NULL"),
            postgresql_where=sa.text("personal_at IS NOT NULL"),
        )

    op.execute(
        "UPDATE alert_evidence SET personal_at = (SELECT opened_at FROM alert WHERE alert.id = alert_evidence.alert"
        " AND alert.family IN ('access', 'camera', 'parking', 'system')) WHERE body IS NOT NULL"
    )
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.create_index(
            "work_order_told_apart",
            ["reported_at"],
            unique=False,
            sqlite_where=sa.text("discriminator != ''"),
            postgresql_where=sa.text("discriminator != ''"),
        )


def downgrade() -> None:
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index(
            "work_order_told_apart", sqlite_where=sa.text("discriminator != ''"), postgresql_where=sa.text("discriminator != ''")
        )

    with op.batch_alter_table("alert_evidence", schema=None) as batch_op:
        batch_op.drop_index(
            "alert_evidence_personal",
            sqlite_where=sa.text("personal_at IS NOT NULL"),
            postgresql_where=sa.text("personal_at IS NOT NULL"),
        )
        batch_op.drop_column("personal_at")

    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(
            "alert_told_apart", sqlite_where=sa.text("discriminator != ''"), postgresql_where=sa.text("discriminator != ''")
        )
