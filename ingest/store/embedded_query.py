"""The SQL that reads the embedded store, and its answers as rows: pure."""

from typing import Any

from ingest.store.columns import QUALITIES
from ingest.store.embedded_thinning import TABLE
from ingest.store.facts import typed
from ingest.store.protocol import MAX_ROWS, Query, Row
from ingest.store.summary import Level, Summary
from telemetry.identity import Scope
from telemetry.metric import Kind, Value

_COLUMNS = "community, gateway, device, kind, metric, instant, number, whole, text, quality, reason, event_id"
_SUMMARIES = "community, gateway, device, kind, metric, instant, samples, minimum, maximum, mean, last"


def select(scope: Scope, query: Query, at: int | None) -> tuple[str, list[Any]]:
    """The statement for rows, and its values; with ``at`` the rows of that instant alone."""
    return _select(_COLUMNS, Level.RAW, scope, query, at)


def wanted_summaries(level: Level, scope: Scope, query: Query, at: int | None) -> tuple[str, list[Any]]:
    """The same for summaries."""
    return _select(_SUMMARIES, level, scope, query, at)


def _select(columns: str, level: Level, scope: Scope, query: Query, at: int | None) -> tuple[str, list[Any]]:
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
        f"SELECT {columns} FROM {TABLE[level]} AS held JOIN series ON series.id = held.series"  # noqa: S608 - our own words; values are bound
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


def summary_of(community: str, gateway: str, device: str, kind: str, metric: str, at: int, *figures: Any) -> Summary:
    """A summary as ``wanted_summaries`` asks for it."""
    return Summary(community, gateway, device, Kind(kind), metric, at, *figures)
