"""keys are of one kind

What was answered under an older key cannot be said again: it was asked for in other words. The key stays used until its day is
over, so that nothing is done twice.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(name: str, *own: "sa.Column[Any]") -> sa.Table:
    keys = (sa.Column(key, sa.String(length=length), nullable=False) for key, length in (("who", 64), ("key", 255)))
    asked, at = sa.Column("asked", sa.String(length=64), nullable=False), sa.Column("at", sa.BigInteger(), nullable=False)
    made = op.create_table(name, *keys, asked, *own, at, sa.PrimaryKeyConstraint("who", "key"))
    op.create_index(op.f(f"ix_{name}_at"), name, ["at"], unique=False)
    return made


def upgrade() -> None:
    once, connection = _table("once", sa.Column("answer", sa.LargeBinary(), nullable=False)), op.get_bind()
    used: dict[tuple[str, str], dict[str, object]] = {}
    for old in ("alert_once", "work_order_once"):
        for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(old))).mappings():
            used[row["who"], row["key"]] = {"who": row["who"], "key": row["key"], "asked": "", "answer": b"", "at": row["at"]}
        op.drop_table(old)
    if used:
        connection.execute(once.insert(), list(used.values()))


def downgrade() -> None:
    work_order = sa.Column("work_order", sa.String(length=20), nullable=False)
    _table("work_order_once", work_order, sa.Column("version", _NUMBER, nullable=False))
    _table("alert_once", sa.Column("answer", sa.LargeBinary(), nullable=False))
    op.drop_table("once")
