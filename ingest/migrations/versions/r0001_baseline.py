"""The tables as they were when Alembic began. SQLite files from before it are taken over."""

import sqlalchemy as sa
from alembic import op

from ingest.migrations import before

revision = "0001"
down_revision = None

_tables = sa.MetaData()
_whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

sa.Table(
    "alert",
    _tables,
    sa.Column("id", sa.String(length=20), nullable=False),
    sa.Column("seq", _whole, nullable=False),
    sa.Column("rule", sa.String(length=64), nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("subject", sa.String(length=160), nullable=False),
    sa.Column("discriminator", sa.String(length=256), nullable=False),
    sa.Column("kind", sa.String(length=64), nullable=False),
    sa.Column("family", sa.String(length=16), nullable=False),
    sa.Column("colour", sa.String(length=8), nullable=False),
    sa.Column("state", sa.String(length=16), nullable=False),
    sa.Column("latch", sa.Boolean(), nullable=False),
    sa.Column("title_zh", sa.Text(), nullable=False),
    sa.Column("title_en", sa.Text(), nullable=False),
    sa.Column("text_zh", sa.Text(), nullable=False),
    sa.Column("text_en", sa.Text(), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("device", sa.String(length=64), nullable=False),
    sa.Column("place_zh", sa.Text(), nullable=False),
    sa.Column("place_en", sa.Text(), nullable=False),
    sa.Column("zone", sa.String(length=64), nullable=False),
    sa.Column("value", sa.Text(), nullable=False),
    sa.Column("limit", sa.Text(), nullable=False),
    sa.Column("metric", sa.String(length=64)),
    sa.Column("unit", sa.String(length=16), nullable=False),
    sa.Column("opened_at", sa.BigInteger(), nullable=False),
    sa.Column("over_at", sa.BigInteger()),
    sa.Column("cleared_at", sa.BigInteger()),
    sa.Column("closed_at", sa.BigInteger()),
    sa.Column("acked_at", sa.BigInteger()),
    sa.Column("acked_by", sa.String(length=128)),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("count", _whole, nullable=False),
    sa.Column("origin", sa.String(length=16), nullable=False),
    sa.Column("withdrawn_at", sa.BigInteger()),
    sa.Column("clause", sa.Text(), nullable=False),
    sa.Column("rule_version", sa.String(length=16), nullable=False),
    sa.Column("drill", sa.Boolean(), nullable=False),
    sa.Column("told", sa.Boolean(), nullable=False),
    sa.Column("suppressed_by", sa.String(length=32), nullable=False),
    sa.Column("collapsed_into", sa.String(length=32), nullable=False),
    sa.Column("flapping", sa.Boolean(), nullable=False),
    sa.Column("shelved_until", sa.BigInteger()),
    sa.Column("shelved_until_normal", sa.Boolean(), nullable=False),
    sa.Column("shelved_by", sa.String(length=128), nullable=False),
    sa.Column("shelf_reason", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("seq", name="uq_alert_seq"),
    sa.Index("alert_by_change", "seq", "community", "id"),
    sa.Index("alert_by_community", "community", "opened_at", "id", "state", "colour", "family", "kind", "device"),
    sa.Index("alert_by_device", "device", "state", "colour", "opened_at", "id", "community", "family", "kind"),
    sa.Index("alert_by_family", "family", "state", "colour", "opened_at", "id", "community"),
    sa.Index("alert_by_kind", "kind", "state", "colour", "opened_at", "id", "community", "family"),
    sa.Index("alert_by_state", "state", "colour", "opened_at", "id", "community"),
    sa.Index("alert_by_time", "opened_at", "id", "community"),
    sa.Index("alert_subject", "rule", "community", "subject", "discriminator", "opened_at"),
)

sa.Table(
    "alert_journal",
    _tables,
    sa.Column("seq", _whole, autoincrement=True, nullable=False),
    sa.Column("alert", sa.String(length=20), nullable=False),
    sa.Column("transition", sa.String(length=16), nullable=False),
    sa.Column("event_at", sa.BigInteger(), nullable=False),
    sa.Column("known_at", sa.BigInteger(), nullable=False),
    sa.Column("actor", sa.String(length=128), nullable=False),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("value", sa.Text(), nullable=False),
    sa.Column("colour", sa.String(length=8), nullable=False),
    sa.Column("state", sa.String(length=16), nullable=False),
    sa.Column("rule_version", sa.String(length=16), nullable=False),
    sa.Column("before", sa.String(length=64), nullable=False),
    sa.Column("digest", sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
    sa.Index("ix_alert_journal_alert", "alert"),
    sqlite_autoincrement=True,
)

sa.Table(
    "alert_rule_state",
    _tables,
    sa.Column("rule", sa.String(length=64), nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("subject", sa.String(length=160), nullable=False),
    sa.Column("discriminator", sa.String(length=256), nullable=False),
    sa.Column("version", _whole, nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("lane", sa.String(length=8), nullable=False),
    sa.Column("device", sa.String(length=64), nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False),
    sa.Column("lag", sa.BigInteger(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("rule", "community", "subject", "discriminator"),
)

sa.Table(
    "alert_watermark",
    _tables,
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("epoch", sa.String(length=16), nullable=False),
    sa.Column("lane", sa.String(length=8), nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("community", "gateway", "epoch", "lane"),
)

sa.Table(
    "centre_tenure",
    _tables,
    sa.Column("id", _whole, autoincrement=False, nullable=False),
    sa.Column("term", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
)

sa.Table(
    "dead_letter",
    _tables,
    sa.Column("digest", sa.String(length=32), nullable=False),
    sa.Column("community", sa.Text(), nullable=False),
    sa.Column("gateway", sa.Text(), nullable=False),
    sa.Column("first_at", sa.BigInteger(), nullable=False),
    sa.Column("last_at", sa.BigInteger(), nullable=False),
    sa.Column("times", _whole, nullable=False),
    sa.Column("origin", sa.Text(), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("digest"),
    sa.Index("dead_letter_gateway", "community", "gateway"),
)

sa.Table(
    "gap",
    _tables,
    sa.Column("community", sa.Text(), nullable=False),
    sa.Column("gateway", sa.Text(), nullable=False),
    sa.Column("epoch", sa.Text(), nullable=False),
    sa.Column("lane", sa.Text(), nullable=False),
    sa.Column("sink", sa.Text(), nullable=False),
    sa.Column("first", sa.BigInteger(), nullable=False),
    sa.Column("last", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("community", "gateway", "epoch", "lane", "sink", "first", "last", "reason"),
)

sa.Table(
    "gateway_presence",
    _tables,
    sa.Column("community", sa.Text(), nullable=False),
    sa.Column("gateway", sa.Text(), nullable=False),
    sa.Column("leaf", sa.Text(), nullable=False),
    sa.Column("taken_at", sa.BigInteger(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("community", "gateway", "leaf"),
)

sa.Table(
    "late_reading",
    _tables,
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("device", sa.String(length=64), nullable=False),
    sa.Column("kind", sa.String(length=16), nullable=False),
    sa.Column("earliest", sa.BigInteger(), nullable=False),
    sa.Column("newest", sa.BigInteger(), nullable=False),
    sa.Column("readings", sa.BigInteger(), nullable=False),
    sa.Column("first_known_at", sa.BigInteger(), nullable=False),
    sa.Column("known_at", sa.BigInteger(), nullable=False),
    sa.Column("streams", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("community", "gateway", "device", "kind"),
    sa.Index("ix_late_reading_known_at", "known_at"),
)

sa.Table(
    "loss_certificate",
    _tables,
    sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("device", sa.String(length=64), nullable=False),
    sa.Column("first", sa.BigInteger(), nullable=False),
    sa.Column("readings", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("last", "community", "gateway", "at"),
    sqlite_with_rowid=False,
)

sa.Table(
    "notification",
    _tables,
    sa.Column("id", _whole, autoincrement=True, nullable=False),
    sa.Column("target", sa.String(length=64), nullable=False),
    sa.Column("message", sa.String(length=64), nullable=False),
    sa.Column("alert", sa.String(length=20), nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("kind", sa.String(length=64), nullable=False),
    sa.Column("colour", sa.String(length=8), nullable=False),
    sa.Column("rank", _whole, nullable=False),
    sa.Column("transition", sa.String(length=16), nullable=False),
    sa.Column("known_at", sa.BigInteger(), nullable=False),
    sa.Column("state", sa.String(length=8), nullable=False),
    sa.Column("tries", _whole, nullable=False),
    sa.Column("next_at", sa.BigInteger(), nullable=False),
    sa.Column("settled_at", sa.BigInteger()),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("target", "message", name="uq_notification_target_message"),
    sa.Index("ix_notification_alert", "alert"),
    sa.Index("ix_notification_message", "message"),
    sa.Index("notification_known", "known_at", "id"),
    sa.Index("notification_next", "target", "state", "rank", "next_at"),
    sa.Index("notification_settled", "state", "settled_at"),
    sqlite_autoincrement=True,
)

sa.Table(
    "notify_target_off",
    _tables,
    sa.Column("target", sa.String(length=64), nullable=False),
    sa.Column("off_at", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("target"),
)

sa.Table(
    "retention",
    _tables,
    sa.Column("part", sa.String(length=32), nullable=False),
    sa.Column("days", _whole),
    sa.Column("wanted", _whole),
    sa.Column("since", sa.BigInteger(), nullable=False),
    sa.Column("cut", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("part"),
)

sa.Table(
    "stale_window",
    _tables,
    sa.Column("level", sa.String(length=4), nullable=False),
    sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint("level", "start", "community", "gateway"),
)

sa.Table(
    "store_watermark",
    _tables,
    sa.Column("community", sa.String(), nullable=False),
    sa.Column("gateway", sa.String(), nullable=False),
    sa.Column("epoch", sa.String(), nullable=False),
    sa.Column("lane", sa.String(), nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("community", "gateway", "epoch", "lane"),
)

sa.Table(
    "tally",
    _tables,
    sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("gateway", sa.String(length=64), nullable=False),
    sa.Column("readings", sa.BigInteger(), nullable=False),
    sa.Column("set_aside", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("hour", "community", "gateway"),
    sqlite_with_rowid=False,
)

sa.Table(
    "work_order",
    _tables,
    sa.Column("id", sa.String(length=20), nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("no", sa.String(length=32), nullable=False),
    sa.Column("version", _whole, nullable=False),
    sa.Column("community", sa.String(length=15), nullable=False),
    sa.Column("day", sa.String(length=8), nullable=False),
    sa.Column("stage", sa.String(length=16), nullable=False),
    sa.Column("colour", sa.String(length=8), nullable=False),
    sa.Column("kind", sa.String(length=64), nullable=False),
    sa.Column("unit", sa.String(length=64), nullable=False),
    sa.Column("supervision", _whole, nullable=False),
    sa.Column("ended", sa.Boolean(), nullable=False),
    sa.Column("rule", sa.String(length=64), nullable=False),
    sa.Column("subject", sa.String(length=160), nullable=False),
    sa.Column("discriminator", sa.String(length=256), nullable=False),
    sa.Column("reported_at", sa.BigInteger(), nullable=False),
    sa.Column("look_at", sa.BigInteger()),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("no", name="uq_work_order_no"),
    sa.UniqueConstraint("seq", name="uq_work_order_seq"),
    sa.Index("work_order_by_colour", "ended", "colour", "reported_at", "id", "community"),
    sa.Index(
        "work_order_by_community", "community", "reported_at", "id", "ended", "colour", "stage", "supervision", "kind", "unit"
    ),
    sa.Index("work_order_by_kind", "kind", "ended", "colour", "reported_at", "id", "community", "stage", "supervision"),
    sa.Index("work_order_by_stage", "stage", "ended", "colour", "reported_at", "id", "community"),
    sa.Index("work_order_by_supervision", "supervision", "ended", "colour", "reported_at", "id", "community", "stage"),
    sa.Index("work_order_by_time", "reported_at", "id", "community"),
    sa.Index("work_order_by_unit", "unit", "ended", "colour", "reported_at", "id", "community", "stage", "supervision", "kind"),
    sa.Index("work_order_day", "community", "day"),
    sa.Index("work_order_look", "look_at"),
    sa.Index("work_order_subject", "rule", "community", "subject", "discriminator", "ended"),
)

sa.Table(
    "work_order_alert",
    _tables,
    sa.Column("alert", sa.String(length=20), nullable=False),
    sa.Column("work_order", sa.String(length=20), nullable=False),
    sa.PrimaryKeyConstraint("alert"),
    sa.Index("ix_work_order_alert_work_order", "work_order"),
)

sa.Table(
    "work_order_cursor",
    _tables,
    sa.Column("id", _whole, nullable=False),
    sa.Column("alert_seq", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
)

sa.Table(
    "work_order_journal",
    _tables,
    sa.Column("seq", _whole, autoincrement=True, nullable=False),
    sa.Column("case", sa.String(length=20), nullable=False),
    sa.Column("version", _whole, nullable=False),
    sa.Column("action", sa.String(length=24), nullable=False),
    sa.Column("event_at", sa.BigInteger(), nullable=False),
    sa.Column("known_at", sa.BigInteger(), nullable=False),
    sa.Column("token", sa.String(length=64), nullable=False),
    sa.Column("person", sa.String(length=64), nullable=False),
    sa.Column("role", sa.String(length=16), nullable=False),
    sa.Column("unit", sa.String(length=64), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("details", sa.LargeBinary(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("before", sa.String(length=64), nullable=False),
    sa.Column("digest", sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
    sa.UniqueConstraint("case", "version", name="work_order_journal_version"),
    sqlite_autoincrement=True,
)

sa.Table(
    "work_order_once",
    _tables,
    sa.Column("who", sa.String(length=64), nullable=False),
    sa.Column("key", sa.String(length=255), nullable=False),
    sa.Column("asked", sa.String(length=64), nullable=False),
    sa.Column("work_order", sa.String(length=20), nullable=False),
    sa.Column("version", _whole, nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("who", "key"),
    sa.Index("ix_work_order_once_at", "at"),
)


def upgrade() -> None:
    before.take_over(op.get_bind())
    _tables.create_all(op.get_bind())


def downgrade() -> None:
    _tables.drop_all(op.get_bind())
    before.give_back(op.get_bind())
