"""InfluxQL that reads readings and summaries back, and its answers: pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ingest.store.facts import facts, typed
from ingest.store.line_protocol import EVENT_ID, FAULTS, QUALITY, STATISTICS
from ingest.store.protocol import Query, Row
from ingest.store.summary import Summary, is_measured
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality

Point = dict[str, Any]

_OWN = frozenset({"time", "community", "gateway", "device", QUALITY, FAULTS, EVENT_ID})


class _Series(msgspec.Struct, frozen=True):
    name: str
    columns: list[str]
    values: list[list[Any]]


class _Result(msgspec.Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


_answers = msgspec.json.Decoder(_Answer)


def select(scope: Scope, query: Query, measurements: Sequence[str], limit: int, also: str = "") -> str:
    """The statement for at most ``limit`` points of each measurement; every name in it is quoted."""
    conditions = [f'"community" =~ /^({"|".join(scope.prefixes)})/']
    for tag, value in (("gateway", query.gateway), ("device", query.device)):
        if value is not None:
            conditions.append(f'"{tag}" = {quoted(value)}')
    if query.start is not None:
        conditions.append(f"time >= {query.start * 1000}")
    if query.end is not None:
        conditions.append(f"time < {query.end * 1000}")
    if also:
        conditions.append(also)
    names = ", ".join(f'"{name}"' for name in measurements)
    order = "DESC" if query.newest_first else "ASC"
    return f"SELECT * FROM {names} WHERE {' AND '.join(conditions)} ORDER BY time {order} LIMIT {limit}"  # noqa: S608 - escaped


def points(body: bytes) -> dict[str, list[Point]]:
    """The points of an answer (``epoch=ns``) by measurement, in its order. Raises ``StoreUnavailable`` when the server says an
    error instead."""
    try:
        answer = _answers.decode(body)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"an answer that is not InfluxDB's: {error}") from error
    errors = [answer.error, *(result.error for result in answer.results)]
    if any(errors):
        raise StoreUnavailable(f"the query was refused: {next(filter(None, errors))}")
    return {
        series.name: [dict(zip(series.columns, point, strict=True)) for point in series.values]
        for result in answer.results
        for series in result.series
    }


def at_of(point: Point) -> int:
    """Its instant in microseconds."""
    return int(point["time"]) // 1000


def rows_of(point: Point, kind: Kind) -> Iterator[Row]:
    """The rows of a reading."""
    values: dict[str, Value] = {
        name: typed(kind, name, value)
        for name, value in point.items()
        if value is not None and name not in _OWN and name in METRICS[kind]
    }
    faults = msgspec.json.decode(point.get(FAULTS) or "{}", type=dict[str, str])
    quality = Quality(point.get(QUALITY) or Quality.GOOD)
    for fact in facts(values, quality, faults):
        yield Row(
            point["community"], point["gateway"], point["device"], kind, fact.metric, at_of(point),
            fact.value, fact.quality, fact.reason, point.get(EVENT_ID),
        )  # fmt: skip


def summaries_of(point: Point, kind: Kind) -> Iterator[Summary]:
    """The summaries of one device in one window."""
    for metric in METRICS[kind]:
        if is_measured(kind, metric) and point.get(f"{metric}_{STATISTICS[0]}") is not None:
            samples, *others = (point[f"{metric}_{statistic}"] for statistic in STATISTICS)
            place = (point["community"], point["gateway"], point["device"], kind, metric, at_of(point))
            yield Summary(*place, int(samples), *map(float, others))


def speaks_of(kind: Kind, metric: str) -> str:
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


def quoted(text: str) -> str:
    """A string of InfluxQL that means ``text``."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def is_summarised(kind: Kind, metric: str) -> str:
    """The condition that a window holds a summary of the metric."""
    return f'"{metric}_{STATISTICS[0]}" > 0' if is_measured(kind, metric) else "time < 0"
