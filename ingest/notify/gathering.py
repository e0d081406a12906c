"""Alerts that were over before anybody knew, gathered for each target and community until they are told in one digest.

1. An alert is counted in the transaction that enters it, and its count goes in the one that makes the digest: each is told to a
   target in one digest, whatever is killed when.
2. A digest is made when nothing more came for ``SETTLED_US``, or when its first alert has waited for ``PATIENCE_US``: a gateway's
   backlog of a night is one message, or a few.
3. Bounded: one row for each target, community, kind and colour. Drills stand apart.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from ingest.alerts import Changed, Colour
from ingest.database import metadata, upsert
from ingest.notify.digest import Counted, Digest, id_of, in_order
from ingest.notify.outbox import enqueue
from telemetry.presence import Words

SETTLED_US = 600_000_000
PATIENCE_US = 3_600_000_000

table = sa.Table(
    "notify_gathered",
    metadata,
    sa.Column("target", sa.String(64), primary_key=True),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("drill", sa.Boolean, primary_key=True),
    sa.Column("kind", sa.String(64), primary_key=True),
    sa.Column("colour", sa.String(8), primary_key=True),
    sa.Column("title_zh", sa.Text, nullable=False),
    sa.Column("title_en", sa.Text, nullable=False),
    sa.Column("gateway", sa.String(64), nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_at", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("first_known_at", sa.BigInteger, nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
)
_GROUP = (table.c.target, table.c.community, table.c.drill)


def gather(connection: sa.Connection, changed: Changed, targets: Iterable[str]) -> None:
    """Counts an alert for those who are to hear of it in a sum, in the transaction of ``connection``."""
    upsert(connection, table, [_with(connection, target, changed) for target in targets])


def seal(connection: sa.Connection, now: int) -> int:
    """Makes digests of what has settled; how many."""
    newest, first = sa.func.max(table.c.known_at), sa.func.min(table.c.first_known_at)
    ready = sa.or_(newest <= now - SETTLED_US, first <= now - PATIENCE_US)
    groups = connection.execute(sa.select(*_GROUP).group_by(*_GROUP).having(ready)).all()
    for group in groups:
        mine = [column == value for column, value in zip(_GROUP, group, strict=True)]
        rows = connection.execute(sa.select(table).where(*mine)).mappings().all()
        enqueue(connection, _digest(rows, now), [rows[0]["target"]])
        connection.execute(table.delete().where(*mine))
    return len(groups)


def _with(connection: sa.Connection, target: str, changed: Changed) -> dict[str, Any]:
    """A target's row with one alert more."""
    it, at = changed.alert, changed.event_at
    key = {"target": target, "community": it.community, "drill": it.drill, "kind": it.kind, "colour": it.colour.value}
    same = [table.c[name] == value for name, value in key.items()]
    old = connection.execute(sa.select(table).where(*same)).mappings().one_or_none()
    return {
        **key,
        "title_zh": it.title.zh,
        "title_en": it.title.en,
        "gateway": it.gateway,
        "count": 1 + (old["count"] if old else 0),
        "first_at": min(at, old["first_at"]) if old else at,
        "last_at": max(at, old["last_at"]) if old else at,
        "first_known_at": old["first_known_at"] if old else changed.known_at,
        "known_at": changed.known_at,
    }


def _digest(rows: Sequence[sa.RowMapping], now: int) -> Digest:
    newest = max(rows, key=lambda row: (row["known_at"], row["last_at"]))
    first_known_at = min(row["first_known_at"] for row in rows)
    return Digest(
        id_of(*(newest[column.name] for column in _GROUP), first_known_at, now),
        newest["community"],
        newest["gateway"],
        in_order(_counted(row) for row in rows),
        min(row["first_at"] for row in rows),
        max(row["last_at"] for row in rows),
        now,
        newest["drill"],
    )


def _counted(row: sa.RowMapping) -> Counted:
    return Counted(row["kind"], Colour(row["colour"]), Words(row["title_zh"], row["title_en"]), row["count"])
