"""The alert tables, and rows to values and back."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import evidence
from ingest.alerts.episode import Alert, AlertState, Episode, Key
from ingest.alerts.journal import Line
from ingest.alerts.quiet import is_watched, speaks
from ingest.alerts.rule import Family
from ingest.alerts.severity import Colour
from ingest.chain import START, digest
from ingest.database import metadata, upsert
from telemetry.identity import Stream
from telemetry.metric import Value
from telemetry.presence import Words

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, unique=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("community", sa.String(15), nullable=False),
    sa.Column("subject", sa.String(160), nullable=False),
    sa.Column("discriminator", sa.String(256), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("family", sa.String(16), nullable=False),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("latch", sa.Boolean, nullable=False),
    sa.Column("title_zh", sa.Text, nullable=False),
    sa.Column("title_en", sa.Text, nullable=False),
    sa.Column("text_zh", sa.Text, nullable=False),
    sa.Column("text_en", sa.Text, nullable=False),
    sa.Column("gateway", sa.String(64), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("place_zh", sa.Text, nullable=False),
    sa.Column("place_en", sa.Text, nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("limit", sa.Text, nullable=False),
    sa.Column("metric", sa.String(64)),
    sa.Column("unit", sa.String(16), nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("over_at", sa.BigInteger),
    sa.Column("cleared_at", sa.BigInteger),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("acked_at", sa.BigInteger),
    sa.Column("acked_by", sa.String(128)),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("withdrawn_at", sa.BigInteger),
    sa.Column("clause", sa.Text, nullable=False),
    sa.Column("rule_version", sa.String(16), nullable=False),
    sa.Column("drill", sa.Boolean, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("suppressed_by", sa.String(32), nullable=False),
    sa.Column("collapsed_into", sa.String(32), nullable=False),
    sa.Column("folded", sa.Boolean, nullable=False),
    sa.Column("flapping", sa.Boolean, nullable=False),
    sa.Column("shelved_until", sa.BigInteger),
    sa.Column("shelved_until_normal", sa.Boolean, nullable=False),
    sa.Column("shelved_by", sa.String(128), nullable=False),
    sa.Column("shelf_reason", sa.Text, nullable=False),
    sa.Column("assigned_to", sa.String(64), nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Index("alert_held", "held", sqlite_where=sa.text("held = 1"), postgresql_where=sa.text("held")),
    sa.Index("alert_drills", "opened_at", "id", sqlite_where=sa.text("drill = 1"), postgresql_where=sa.text("drill")),
    sa.Index(
        "alert_collapsed",
        "collapsed_into",
        "opened_at",
        "id",
        sqlite_where=sa.text("collapsed_into != ''"),
        postgresql_where=sa.text("collapsed_into != ''"),
    ),
    sa.Index(
        *("alert_told_apart", "opened_at"),
        sqlite_where=sa.text("discriminator != ''"),
        postgresql_where=sa.text("discriminator != ''"),
    ),
    sa.Index("alert_standing", "community", "over_at", "kind"),
    sa.Index("alert_subject", "rule", "community", "subject", "discriminator", "opened_at"),
    sa.Index("alert_by_time", "opened_at", "id", "community"),
    sa.Index("alert_by_state", "state", "colour", "opened_at", "id", "community"),
    sa.Index("alert_by_family", "family", "state", "colour", "opened_at", "id", "community"),
    sa.Index("alert_by_kind", "kind", "state", "colour", "opened_at", "id", "community", "family"),
    sa.Index("alert_by_device", "device", "state", "colour", "opened_at", "id", "community", "family", "kind"),
    sa.Index("alert_by_community", "community", "opened_at", "id", "state", "colour", "family", "kind", "device"),
    sa.Index("alert_by_change", "seq", "community", "id"),
)
"""Each index but the first six serves a list (``ingest.paging``) and holds all that a filter may ask for."""

journal = sa.Table(
    "alert_journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("alert", sa.String(20), nullable=False, index=True),
    sa.Column("transition", sa.String(16), nullable=False),
    sa.Column("event_at", sa.BigInteger, nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rule_version", sa.String(16), nullable=False),
    sa.Column("before", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sqlite_autoincrement=True,
)

rule_state = sa.Table(
    "alert_rule_state",
    metadata,
    sa.Column("rule", sa.String(64), primary_key=True),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("subject", sa.String(160), primary_key=True),
    sa.Column("discriminator", sa.String(256), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("gateway", sa.String(64), nullable=False),
    sa.Column("lane", sa.String(8), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("lag", sa.BigInteger, nullable=False),
    sa.Column("trail", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""``trail`` is the last row of the trail that a state has followed."""

watermark = sa.Table(
    "alert_watermark",
    metadata,
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("epoch", sa.String(16), primary_key=True),
    sa.Column("lane", sa.String(8), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

_value = msgspec.json.Decoder(Value | None)
_WORDS = ("title", "text", "place")
_PLAIN = tuple(name for name in Alert.__struct_fields__ if name not in (*_WORDS, "value", "limit", "seq"))


def said(value: Value | None) -> str:
    """A value as JSON text, so that 1, 1.0 and true stay what they are."""
    return msgspec.json.encode(value).decode()


def row_of(key: Key, episode: Episode) -> dict[str, Any]:
    """The row of an episode, without its ``seq``."""
    it = episode.alert
    words = {f"{name}_{language}": getattr(getattr(it, name), language) for name in _WORDS for language in ("zh", "en")}
    plain = {name: getattr(it, name) for name in _PLAIN}
    own = {"subject": key.subject, "discriminator": key.discriminator, "latch": episode.latch, "over_at": episode.over_at}
    own["held"] = is_watched(episode)
    return {**plain, **words, **own, "value": said(it.value), "limit": said(it.limit)}


def alert_of(row: sa.RowMapping) -> Alert:
    fields = {name: row[name] for name in (*_PLAIN, "seq")}
    fields |= {name: Words(row[f"{name}_zh"], row[f"{name}_en"]) for name in _WORDS}
    fields |= {"family": Family(row["family"]), "colour": Colour(row["colour"]), "state": AlertState(row["state"])}
    return Alert(**fields, value=_value.decode(row["value"]), limit=_value.decode(row["limit"]))


def episode_of(row: sa.RowMapping) -> tuple[Key, Episode]:
    key = Key(row["rule"], row["community"], row["subject"], row["discriminator"])
    return key, Episode(alert_of(row), row["latch"], row["over_at"])


class Changed(NamedTuple):
    """An alert as a change left it, its ``seq`` the change's. ``transition`` is the journal's word; UTC microseconds."""

    alert: Alert
    transition: str
    event_at: int
    known_at: int


Told = Callable[[sa.Connection, Changed], None]
"""Hears of each change that people shall hear of, within the transaction that makes it, and writes what must be true if and only
if the change is."""


def untold(connection: sa.Connection, changed: Changed) -> None:
    """Nobody wants to know."""


def record(
    connection: sa.Connection,
    key: Key,
    episode: Episode,
    transition: str,
    event_at: int,
    known_at: int,
    actor: str,
    note: str = "",
    told: Told = untold,
    loud: bool | None = None,
) -> int:
    """Writes an episode and the journal's line of what changed it; the change's ``seq``, which is never used again.

    ``told`` hears of it unless people shall not; ``loud`` says so where the transition alone does not. What opens is to have
    evidence.
    """
    loud = speaks(episode, transition) if loud is None else loud
    it = msgspec.structs.replace(episode.alert, told=episode.alert.told or loud)
    own = (it.id, transition, event_at, known_at, actor, note, said(it.value), it.colour.value, it.state.value, it.rule_version)
    seq = _append(connection, Line(0, *own, before=_head(connection), digest=""))
    row = {**row_of(key, episode._replace(alert=it)), "seq": seq}
    upsert(connection, alert, [row])
    if transition == "opened":
        evidence.owe(connection, it.id, known_at)
    if loud:
        told(connection, Changed(msgspec.structs.replace(it, seq=seq), transition, event_at, known_at))
    return seq


def forget(connection: sa.Connection, cut: int, most: int) -> int:
    """Forgets by what alerts that were over before ``cut`` were told apart, a plate's hash or a card's; of ``most``, how many."""
    named = alert.c.discriminator != sa.literal_column("''")
    old = sa.select(alert.c.id).where(named, alert.c.opened_at < cut, alert.c.over_at < cut)
    these = old.order_by(alert.c.opened_at).limit(most)
    return connection.execute(alert.update().where(alert.c.id.in_(these)).values(discriminator="")).rowcount


def _head(connection: sa.Connection) -> str:
    """The digest of the journal's newest line."""
    return connection.scalar(sa.select(journal.c.digest).order_by(journal.c.seq.desc()).limit(1)) or START


def _append(connection: sa.Connection, line: Line) -> int:
    row = line._replace(digest=digest(line))._asdict()
    del row["seq"]
    return int(connection.execute(journal.insert().values(row)).inserted_primary_key[0])  # type: ignore[index]  # one insert has one


def line_of(row: sa.RowMapping) -> Line:
    return Line(**{name: row[name] for name in Line._fields})


def save_watermarks(connection: sa.Connection, marks: Mapping[Stream, int]) -> None:
    upsert(connection, watermark, ({**stream._asdict(), "seq": seq} for stream, seq in marks.items()))


def drop_watermarks(connection: sa.Connection, streams: Iterable[Stream]) -> None:
    mine = sa.and_(*(watermark.c[name] == sa.bindparam(f"its_{name}") for name in Stream._fields))
    rows = [{f"its_{name}": str(word) for name, word in stream._asdict().items()} for stream in streams]
    if rows:
        connection.execute(watermark.delete().where(mine), rows)


def load_watermarks(connection: sa.Connection) -> dict[Stream, int]:
    rows = connection.execute(sa.select(watermark)).mappings()
    return {Stream(row["community"], row["gateway"], row["epoch"], row["lane"]): row["seq"] for row in rows}
