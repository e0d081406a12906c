"""How the embedded store computes summaries and deletes by age: the SQL."""

from collections.abc import Collection, Mapping
from typing import Any

import duckdb
import numpy as np

from ingest.store.columns import QUALITIES, Column
from ingest.store.summary import SCALE, SOUND, Level, is_measured
from telemetry.identity import GatewayRef
from telemetry.metric import METRICS, Kind

DAY_US = 86_400_000_000
TABLE = {Level.RAW: "point", Level.FIVE_MINUTES: "summary_5m", Level.HOUR: "summary_1h"}

_MEASURED = [(kind.value, metric) for kind in Kind for metric in METRICS[kind] if is_measured(kind, metric)]
_CODES = ", ".join(str(QUALITIES.index(quality)) for quality in SOUND)

# Sums are scaled down by a power of two and compensated: exact to the last digits, and no sum of large values is infinite.
_FROM_POINTS = f"""
SELECT point.series, count(*) AS samples, min(value) AS minimum, max(value) AS maximum,
       fsum(value * {SCALE!r}) / count(*) / {SCALE!r} AS mean, arg_max(value, instant) AS last
FROM (SELECT series, instant, coalesce(number, whole::DOUBLE) AS value FROM point
      WHERE instant >= $start AND instant < $end AND quality IN ({_CODES}) AND event_id IS NULL) AS point
JOIN series ON series.id = point.series
JOIN (SELECT unnest($communities) AS community, unnest($gateways) AS gateway) AS place USING (community, gateway)
JOIN (SELECT unnest($kinds) AS kind, unnest($metrics) AS metric) AS measured USING (kind, metric)
WHERE value IS NOT NULL GROUP BY point.series ORDER BY point.series
"""  # noqa: S608 - our own words

_FROM_SUMMARIES = f"""
SELECT series, sum(samples) AS samples, min(minimum) AS minimum, max(maximum) AS maximum,
       fsum(mean * {SCALE!r} * samples) / sum(samples) / {SCALE!r} AS mean, arg_max(last, instant) AS last
FROM summary_5m JOIN series ON series.id = summary_5m.series
JOIN (SELECT unnest($communities) AS community, unnest($gateways) AS gateway) AS place USING (community, gateway)
WHERE instant >= $start AND instant < $end GROUP BY series ORDER BY series
"""  # noqa: S608 - our own words


def computed(
    level: Level, start: int, gateways: Collection[GatewayRef], connection: duckdb.DuckDBPyConnection
) -> Mapping[str, Column]:
    """The summaries of one window, as columns."""
    values: dict[str, Any] = {
        "start": start,
        "end": start + level.width_us,
        "communities": [ref.community for ref in gateways],
        "gateways": [ref.gateway for ref in gateways],
    }
    if level is Level.HOUR:
        return _columns(connection.execute(_FROM_SUMMARIES, values))
    kinds, metrics = zip(*_MEASURED, strict=True)
    return _columns(connection.execute(_FROM_POINTS, {**values, "kinds": kinds, "metrics": metrics}))


def overwriting(level: Level) -> tuple[str, str]:
    """The statements that put the summaries in the table ``incoming`` in their place; each takes the window's start."""
    table = TABLE[level]
    return (
        f"DELETE FROM {table} WHERE instant = ? AND series IN (SELECT series FROM incoming)",  # noqa: S608 - our own words
        f"INSERT INTO {table} SELECT series, ?, samples, minimum, maximum, mean, last FROM incoming",  # noqa: S608 - our own words
    )


def oldest(level: Level, before: int, kinds: Collection[Kind], connection: duckdb.DuckDBPyConnection) -> int | None:
    """The first instant older than ``before`` that is kept at a level, of some kinds."""
    condition, values = _older(before, kinds)
    ((found,),) = connection.execute(f"SELECT min(instant) FROM {TABLE[level]} WHERE {condition}", values).fetchall()  # noqa: S608 - our own words; values are bound
    return None if found is None else int(found)


def dropping(level: Level, before: int, kinds: Collection[Kind]) -> tuple[str, list[Any]]:
    condition, values = _older(before, kinds)
    return f"DELETE FROM {TABLE[level]} WHERE {condition}", values  # noqa: S608 - our own words; values are bound


def day_after(at: int) -> int:
    """The end of the day, UTC, that ``at`` is in."""
    return (at // DAY_US + 1) * DAY_US


def _older(before: int, kinds: Collection[Kind]) -> tuple[str, list[Any]]:
    names = [kind.value for kind in kinds]
    return "instant < ? AND series IN (SELECT id FROM series WHERE kind IN (SELECT unnest(?)))", [before, names]


def _columns(result: duckdb.DuckDBPyConnection) -> Mapping[str, Column]:
    return {name: np.asarray(column) for name, column in result.fetchnumpy().items()}
