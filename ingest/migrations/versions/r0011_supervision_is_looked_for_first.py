"""supervision is looked for first"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("work_order_by_supervision"))
        batch_op.create_index(
            "work_order_by_supervision",
            ["supervision", "ended", "colour", "reported_at", "id", "community", "stage", "kind", "unit"],
            unique=False,
        )


def downgrade() -> None:
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index("work_order_by_supervision")
        batch_op.create_index(
            batch_op.f("work_order_by_supervision"),
            ["supervision", "ended", "colour", "reported_at", "id", "community", "stage"],
            unique=False,
        )
