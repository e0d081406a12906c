"""The tables of work orders, and rows to values and back."""

from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.cases.case import Case
from ingest.cases.journal import Line
from ingest.database import metadata

work_order = sa.Table(
    "work_order",
    metadata,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("no", sa.String(32), nullable=False, unique=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("community", sa.String(15), nullable=False),
    sa.Column("day", sa.String(8), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("unit", sa.String(64), nullable=False),
    sa.Column("supervision", sa.Integer, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(160), nullable=False),
    sa.Column("discriminator", sa.String(256), nullable=False),
    sa.Column("reported_at", sa.BigInteger, nullable=False),
    sa.Column("look_at", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("work_order_day", "community", "day"),
    sa.Index("work_order_look", "look_at"),
    sa.Index("work_order_subject", "rule", "community", "subject", "discriminator", "ended"),
    sa.Index(
        *("work_order_told_apart", "reported_at"),
        sqlite_where=sa.text("discriminator != ''"),
        postgresql_where=sa.text("discriminator != ''"),
    ),
    sa.Index("work_order_by_time", "reported_at", "id", "community"),
    sa.Index("work_order_by_colour", "ended", "colour", "reported_at", "id", "community"),
    sa.Index("work_order_by_stage", "stage", "ended", "colour", "reported_at", "id", "community"),
    sa.Index(
        *("work_order_by_supervision", "supervision", "ended", "colour", "reported_at", "id", "community"),
        *("stage", "kind", "unit"),
    ),
    sa.Index("work_order_by_kind", "kind", "ended", "colour", "reported_at", "id", "community", "stage", "supervision"),
    sa.Index("work_order_by_unit", "unit", "ended", "colour", "reported_at", "id", "community", "stage", "supervision", "kind"),
    sa.Index(
        *("work_order_by_community", "community", "reported_at", "id"),
        *("ended", "colour", "stage", "supervision", "kind", "unit"),
    ),
)
"""``look_at`` is the next instant at which time alone changes it. ``body`` is the case, as the journal's last line has it. The
indexes ``by`` serve lists (``ingest.paging``)."""

work_order_alert = sa.Table(
    "work_order_alert",
    metadata,
    sa.Column("alert", sa.String(20), primary_key=True),
    sa.Column("work_order", sa.String(20), nullable=False, index=True),
)
"""An alert has one intake: the work order that it belongs to now."""

work_order_journal = sa.Table(
    "work_order_journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("case", sa.String(20), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("action", sa.String(24), nullable=False),
    sa.Column("event_at", sa.BigInteger, nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("person", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("unit", sa.String(64), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("before", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.UniqueConstraint("case", "version", name="work_order_journal_version"),
    sqlite_autoincrement=True,
)

work_order_cursor = sa.Table(
    "work_order_cursor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_seq", sa.BigInteger, nullable=False),
)
"""Up to which change of alerts the work orders have followed; one row."""

_encoder = msgspec.json.Encoder()
_case = msgspec.json.Decoder(Case)


def written(value: Any) -> bytes:
    return _encoder.encode(value)


def case_of(body: bytes) -> Case:
    return _case.decode(body)


def case_then(line: Line) -> Case:
    """The case as it was after a line of the journal."""
    return case_of(line.body)


def line_of(row: sa.RowMapping) -> Line:
    return Line(**{name: row[name] for name in Line._fields})


def row_of(case: Case, day: str, look_at: int | None) -> dict[str, Any]:
    """The row of a case, without its ``seq`` and what tells it apart, which do not follow from it."""
    same = ("id", "no", "version", "community", "kind", "rule", "subject", "supervision", "ended")
    row = {name: getattr(case, name) for name in same}
    lead = case.lead
    row |= {"stage": case.stage.value, "colour": case.colour.value, "unit": lead.unit if lead else ""}
    return row | {"day": day, "reported_at": case.times.reported, "look_at": look_at, "body": written(case)}
