"""The tables of the embedded store, and the SQL that reads them: pure."""

from typing import Any

from ingest.store.columns import QUALITIES
from ingest.store.facts import typed
from ingest.store.protocol import MAX_ROWS, Query, Row
from telemetry.identity import Scope
from telemetry.metric import Kind, Value

LAYOUT = 1

# No keys and no indexes: the watermark keeps points unique, and a primary key would make the file seven times larger.
# ``stream`` and ``seq`` name the batch of a point, so that one batch can be audited or replaced; they compress to nothing.
# The view is for people with a DuckDB prompt on a copy of the file.
TABLES = """
CREATE TABLE IF NOT EXISTS layout (version INTEGER);
CREATE TABLE IF NOT EXISTS stream (id INTEGER, community VARCHAR, gateway VARCHAR, epoch VARCHAR, lane VARCHAR, seq BIGINT);
CREATE TABLE IF NOT EXISTS series (id INTEGER, community VARCHAR, gateway VARCHAR, device VARCHAR, kind VARCHAR, metric VARCHAR);
CREATE TABLE IF NOT EXISTS point (
    series INTEGER, instant BIGINT, number DOUBLE, whole BIGINT, text VARCHAR,
    quality UTINYINT, reason VARCHAR, event_id VARCHAR, stream INTEGER, seq BIGINT
);
CREATE VIEW IF NOT EXISTS reading AS
    SELECT community, gateway, device, kind, metric, make_timestamp(instant) AS instant_utc,
           coalesce(text, number::VARCHAR, whole::VARCHAR) AS value,
           ['good', 'uncertain', 'stale', 'bad'][quality + 1] AS quality, reason, event_id
    FROM point JOIN series ON series.id = point.series;
"""

_COLUMNS = "community, gateway, device, kind, metric, instant, number, whole, text, quality, reason, event_id"


def select(scope: Scope, query: Query, at: int | None = None) -> tuple[str, list[Any]]:
    """The statement and its values; with ``at`` the rows of that instant alone."""
    start, end = (query.start, query.end) if at is None else (at, at + 1)
    wanted: dict[str, str | int | None] = {
        "gateway = ?": query.gateway,
        "device = ?": query.device,
        "kind = ?": query.kind and query.kind.value,
        "metric = ?": query.metric,
        "instant >= ?": start,
        "instant < ?": end,
    }
    bound = {condition: value for condition, value in wanted.items() if value is not None}
    conditions = [f"({' OR '.join(['starts_with(community, ?)'] * len(scope.prefixes))})", *bound]
    order = "DESC" if query.newest_first else "ASC"
    limit = query.limit if at is None else MAX_ROWS
    return (
        f"SELECT {_COLUMNS} FROM point JOIN series ON series.id = point.series"  # noqa: S608 - our own words; values are bound
        f" WHERE {' AND '.join(conditions)} ORDER BY instant {order}, community, gateway, device, metric LIMIT {limit}"
    ), [*scope.prefixes, *bound.values()]


def row_of(
    community: str,
    gateway: str,
    device: str,
    kind: str,
    metric: str,
    at: int,
    number: float | None,
    whole: int | None,
    text: str | None,
    quality: int,
    reason: str | None,
    event_id: str | None,
) -> Row:
    """A row as ``select`` asks for it."""
    stored: Value | None = text if text is not None else whole if whole is not None else number
    value = None if stored is None else typed(Kind(kind), metric, stored)
    return Row(community, gateway, device, Kind(kind), metric, at, value, QUALITIES[quality], reason or "", event_id)
