"""What an alert stood on, kept with it: readings around it, the text of its rule, how device and gateway were.

1. What is to be gathered is written in the transaction that opens the alert: no crash forgets one.
2. It is gathered once, when the time after the alert has passed and its readings are stored, and never changed afterwards.
3. Bounded: ``MOST`` rows before the alert and after it, those nearest to it; what was cut is said.
4. What its readings say of who was where goes when such readings go (``forget``): they are left out, the rest stays.
"""

import zlib
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from ingest.alerts.rules import Watcher
from ingest.database import insert_new, metadata
from telemetry.metric import Value

AROUND_US = 300_000_000
SETTLED_US = 30_000_000
"""How long after that readings of its time may still be on their way here."""

MOST = 100

rule_text = sa.Table(
    "alert_rule_text",
    metadata,
    sa.Column("version", sa.String(16), primary_key=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
"""Every text of a rule by which an alert was raised."""

table = sa.Table(
    "alert_evidence",
    metadata,
    sa.Column("alert", sa.String(20), primary_key=True),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("body", sa.LargeBinary),
    sa.Column("personal_at", sa.BigInteger),
    sa.Index(
        "alert_evidence_due", "due_at", sqlite_where=sa.text("due_at IS NOT NULL"), postgresql_where=sa.text("due_at IS NOT NULL")
    ),
    sa.Index(
        *("alert_evidence_personal", "personal_at"),
        sqlite_where=sa.text("personal_at IS NOT NULL"),
        postgresql_where=sa.text("personal_at IS NOT NULL"),
    ),
)
"""``due_at`` is when it is to be gathered; without one it has been. ``personal_at`` is the alert's instant while its readings say
who was where."""


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of a reading; ``value`` is ``None`` where only a fault is known."""

    at: int
    metric: str
    value: Value | None = None
    quality: str = "good"
    reason: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``readings`` of the alert's device between ``start`` and ``end``, oldest first; ``cut`` when there were more. ``gateway``
    is what its gateway had last said of itself. ``profile`` and ``unit`` are of the inventory when this was gathered.
    ``personal``: the readings say who was where; ``forgotten``: they did, and are no longer here."""

    gathered_at: int
    start: int
    end: int
    readings: tuple[Word, ...] = ()
    cut: bool = False
    qualities: Mapping[str, int] = {}
    gateway: tuple[Word, ...] = ()
    profile: str = ""
    profile_version: int = 0
    unit: str = ""
    personal: bool = False
    forgotten: bool = False


_decoder = msgspec.json.Decoder(Evidence)
_encoder = msgspec.json.Encoder()


def owe(connection: sa.Connection, alert: str, known_at: int) -> None:
    """Evidence of an alert that became known now is to be gathered."""
    insert_new(connection, table, [{"alert": alert, "due_at": known_at + AROUND_US + SETTLED_US, "body": None}])


def remember(connection: sa.Connection, watcher: Watcher) -> None:
    """Keeps the text of the rule that raises an alert."""
    row = {"version": watcher.version, "rule": watcher.rule.id, "text": watcher.text.decode()}
    insert_new(connection, rule_text, [row])


def keep(connection: sa.Connection, alert: str, evidence: Evidence, at: int) -> None:
    """``at`` is the alert's instant."""
    kept = {"due_at": None, "body": _packed(evidence), "personal_at": at if evidence.personal else None}
    connection.execute(table.update().where(table.c.alert == alert).values(kept))


def forget(connection: sa.Connection, cut: int, most: int) -> int:
    """Leaves out what readings of before ``cut`` say of who was where, of ``most`` alerts at most; of how many."""
    old = sa.select(table.c.alert, table.c.body).where(table.c.personal_at < cut).order_by(table.c.personal_at).limit(most)
    rows = connection.execute(old).all()
    for row in rows:
        left = replace(load(row.body), readings=(), personal=False, forgotten=True)
        connection.execute(table.update().where(table.c.alert == row.alert).values(body=_packed(left), personal_at=None))
    return len(rows)


def load(body: bytes) -> Evidence:
    return _decoder.decode(zlib.decompress(body))


def _packed(evidence: Evidence) -> bytes:
    return zlib.compress(_encoder.encode(evidence), 6)
