"""InfluxQL that reads readings back, and its answers as rows: pure."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ingest.store.facts import facts, typed
from ingest.store.line_protocol import EVENT_ID, FAULTS, QUALITY
from ingest.store.protocol import WHOLE, Query, Row
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality

_OWN = frozenset({"time", "community", "gateway", "device", QUALITY, FAULTS, EVENT_ID})


class _Series(msgspec.Struct, frozen=True):
    columns: list[str]
    values: list[list[Any]]


class _Result(msgspec.Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


_answers = msgspec.json.Decoder(_Answer)


class Page(NamedTuple):
    """Readings of one kind in the order of time: their number, the instants in microseconds, and their rows."""

    instants: list[int]
    rows: list[Row]


def select(scope: Scope, query: Query, kind: Kind, limit: int) -> str:
    """The statement for the readings of one kind; every name in it is quoted."""
    conditions = [f'"community" =~ /^({"|".join(scope.prefixes)})/']
    for tag, value in (("gateway", query.gateway), ("device", query.device)):
        if value is not None:
            conditions.append(f'"{tag}" = {_quoted(value)}')
    if query.start is not None:
        conditions.append(f"time >= {query.start * 1000}")
    if query.end is not None:
        conditions.append(f"time < {query.end * 1000}")
    if query.metric is not None and query.metric != WHOLE:
        conditions.append(_speaks_of(kind, query.metric))
    order = "DESC" if query.newest_first else "ASC"
    return f'SELECT * FROM "{kind}" WHERE {" AND ".join(conditions)} ORDER BY time {order} LIMIT {limit}'  # noqa: S608 - escaped


def page(body: bytes, kind: Kind, query: Query) -> Page:
    """The readings of an answer (``epoch=ns``). Raises ``StoreUnavailable`` when the server says an error instead."""
    try:
        answer = _answers.decode(body)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"an answer that is not InfluxDB's: {error}") from error
    errors = [answer.error, *(result.error for result in answer.results)]
    if any(errors):
        raise StoreUnavailable(f"the query was refused: {next(filter(None, errors))}")
    points = [
        dict(zip(series.columns, point, strict=True))
        for result in answer.results
        for series in result.series
        for point in series.values
    ]
    wanted = query.metric
    rows = [row for point in points for row in _rows(point, kind) if wanted is None or row.metric == wanted]
    return Page([point["time"] // 1000 for point in points], rows)


def _rows(point: dict[str, Any], kind: Kind) -> Iterator[Row]:
    values: dict[str, Value] = {
        name: typed(kind, name, value)
        for name, value in point.items()
        if value is not None and name not in _OWN and name in METRICS[kind]
    }
    faults = msgspec.json.decode(point.get(FAULTS) or "{}", type=dict[str, str])
    quality = Quality(point.get(QUALITY) or Quality.GOOD)
    for fact in facts(values, quality, faults):
        yield Row(
            point["community"], point["gateway"], point["device"], kind, fact.metric, point["time"] // 1000,
            fact.value, fact.quality, fact.reason, point.get(EVENT_ID),
        )  # fmt: skip


def _speaks_of(kind: Kind, metric: str) -> str:
    """The condition that a reading holds a value of the metric, or a fault. It may let others through."""
    field = f'"{metric}"' if metric in METRICS[kind] else ""
    faulty = f'"{FAULTS}" =~ /{re.escape(metric).replace("/", chr(92) + "/")}/'
    match field and METRICS[kind][metric].type:
        case ValueType.FLOAT | ValueType.INT:
            return f"({field} >= 0 OR {field} < 0 OR {faulty})"
        case ValueType.BOOL:
            return f"({field} = true OR {field} = false OR {faulty})"
        case ValueType.TEXT:
            return f"({field} =~ /.*/ OR {faulty})"
        case _:
            return faulty


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
