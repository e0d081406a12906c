"""VictoriaMetrics' export of readings, and its lines as rows: pure. It keeps milliseconds and numbers, see ``Limits``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ingest.store.facts import facts, typed
from ingest.store.line_protocol import QUALITIES, QUALITY
from ingest.store.protocol import Query, Row
from telemetry.identity import Scope
from telemetry.metric import METRICS, Kind, Value
from telemetry.quality import Quality


class _Series(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    values: list[float | None]
    timestamps: list[int]


class _Place(NamedTuple):
    community: str
    gateway: str
    device: str
    kind: Kind
    at: int


_series = msgspec.json.Decoder(_Series)


def selector(scope: Scope, query: Query, db: str) -> dict[str, str]:
    """The parameters of ``/api/v1/export`` for a query; its instants are rounded down to milliseconds."""
    labels = [f"db={_quoted(db)}", f"community=~{_quoted('|'.join(f'{prefix}.*' for prefix in scope.prefixes))}"]
    labels += [f"{tag}={_quoted(value)}" for tag, value in (("gateway", query.gateway), ("device", query.device)) if value]
    kinds = [query.kind] if query.kind else list(Kind)
    fields = ".*" if query.metric is None else f"({re.escape(query.metric)}|{QUALITY})"
    labels.append(f"__name__=~{_quoted('|'.join(f'{kind}_{fields}' for kind in kinds))}")
    parameters = {"match[]": f"{{{','.join(labels)}}}", "start": "0"}
    if query.start is not None:
        parameters["start"] = f"{query.start // 1000 / 1000:.3f}"
    if query.end is not None:
        parameters["end"] = f"{query.end // 1000 / 1000:.3f}"
    return parameters


def rows(lines: Iterable[str], query: Query) -> Iterator[Row]:
    """The rows of exported series."""
    readings: dict[_Place, dict[str, float]] = defaultdict(dict)
    for text in lines:
        series = _series.decode(text)
        kind, _, field = series.metric["__name__"].partition("_")
        labels = series.metric
        for milliseconds, value in zip(series.timestamps, series.values, strict=True):
            place = _Place(labels["community"], labels["gateway"], labels["device"], Kind(kind), milliseconds * 1000)
            if value is not None:
                readings[place][field] = value
    for place, fields in readings.items():
        if _within(place.at, query):
            yield from _reading(place, fields, query.metric)


def _reading(place: _Place, fields: dict[str, float], metric: str | None) -> Iterator[Row]:
    quality = QUALITIES[int(fields.pop(QUALITY, 0))]
    values: dict[str, Value] = {
        name: typed(place.kind, name, value) for name, value in fields.items() if name in METRICS[place.kind]
    }
    if not values and quality is Quality.GOOD:
        return
    for fact in facts(values, quality, None):
        if metric is None or fact.metric == metric:
            yield Row(*place[:4], fact.metric, place.at, fact.value, fact.quality)


def _within(at: int, query: Query) -> bool:
    return (query.start is None or at >= query.start) and (query.end is None or at < query.end)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
