"""What is known of a gateway's devices has a table of its own; it stood among the states of rules, as text."""

import struct

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "alert_presence",
        sa.Column("community", sa.String(length=15), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=8), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("community", "gateway", "part"),
    )
    connection = op.get_bind()
    old = connection.execute(
        sa.text("SELECT community, subject, body FROM alert_rule_state WHERE rule = '@presence' AND version = 1")
    )
    for row in old.all():
        for part, body in _parts(msgspec.json.decode(row.body)).items():
            said = {"community": row.community, "gateway": row.subject, "part": part, "body": body}
            connection.execute(sa.text("INSERT INTO alert_presence VALUES (:community, :gateway, :part, :body)"), said)
    op.execute("DELETE FROM alert_rule_state WHERE rule = '@presence'")


def downgrade() -> None:
    op.drop_table("alert_presence")


def _parts(old: dict[str, object]) -> dict[str, bytes]:
    heard, failing = old.get("heard", {}), old.get("failing", {})
    assert isinstance(heard, dict) and isinstance(failing, dict)
    names = list(heard | failing)
    newest_of = struct.pack(f"<{len(names)}q", *[heard.get(name, 0) for name in names])
    silent = {place: failing[name] for place, name in enumerate(names) if name in failing}
    times = [old.get("newest", 0), old.get("epoch", ""), old.get("epoch_at", 0), newest_of, {}, silent]
    return {"names": msgspec.msgpack.encode(names), "times": msgspec.msgpack.encode(times)}
