"""dead letters are found by when they came last: what is too old was looked for among all of them"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_index("dead_letter_by_last", "dead_letter", ["last_at"])


def downgrade() -> None:
    op.drop_index("dead_letter_by_last", "dead_letter")
