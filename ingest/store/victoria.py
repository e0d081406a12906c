"""VictoriaMetrics' export of readings, and its lines as rows: pure. It keeps milliseconds and numbers, see ``Limits``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from math import isclose
from typing import NamedTuple

import msgspec

from ingest.store.facts import facts, typed
from ingest.store.line_protocol import QUALITIES, QUALITY, STATISTICS, measurement
from ingest.store.protocol import Query, Row
from ingest.store.summary import Level, Summary
from telemetry.identity import Scope
from telemetry.metric import METRICS, Kind, Value
from telemetry.quality import Quality

RESOLUTION_US = 1_000

_SUMMARIES = f"[a-z]+_({'|'.join(level for level in Level if level is not Level.RAW)})_.*"


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


class _Sample(NamedTuple):
    at: int
    value: float


_series = msgspec.json.Decoder(_Series)


def selector(scope: Scope, query: Query, db: str, level: Level = Level.RAW) -> dict[str, str]:
    """The parameters of ``/api/v1/export`` for a query; its instants are rounded down to milliseconds."""
    labels = [f"db={_quoted(db)}", f"community=~{_quoted('|'.join(f'{prefix}.*' for prefix in scope.prefixes))}"]
    labels += [f"{tag}={_quoted(value)}" for tag, value in (("gateway", query.gateway), ("device", query.device)) if value]
    kinds = [query.kind] if query.kind else list(Kind)
    labels.append(f"__name__=~{_quoted('|'.join(f'{measurement(kind, level)}_{_fields(query, level)}' for kind in kinds))}")
    if level is Level.RAW:
        labels.append(f"__name__!~{_quoted(_SUMMARIES)}")
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


def summaries(lines: Iterable[str], query: Query, level: Level) -> list[Summary]:
    """The summaries of exported series. The same instant cannot be overwritten, so a window that was computed again stands a
    millisecond later each time, and the latest holds."""
    return [
        Summary(*place[:4], metric, place.at, int(said[0]), *said[1:])
        for (place, metric), held in _held(lines, level).items()
        if _within(place.at, query) and len(said := [held[name].value for name in STATISTICS if name in held]) == len(STATISTICS)
    ]


def overwriting(lines: Iterable[str], computed: Iterable[Summary], level: Level) -> list[Summary]:
    """Of what was ``computed`` that which is not in the exported ``lines``, its instants after those that are."""
    stands: dict[_Place, int] = {}
    said: dict[tuple[_Place, str], list[float]] = {}
    for (place, metric), held in _held(lines, level).items():
        stands[place] = max(stands.get(place, 0), *(sample.at for sample in held.values()))
        said[place, metric] = [held[name].value for name in STATISTICS if name in held]
    wanted = [(_Place(*summary[:4], summary.at), summary) for summary in computed]
    changed = {place for place, summary in wanted if not _says(said.get((place, summary.metric)), summary)}
    return [
        summary._replace(at=stands[place] + RESOLUTION_US if place in stands else place.at)
        for place, summary in wanted
        if place in changed
    ]


def _held(lines: Iterable[str], level: Level) -> dict[tuple[_Place, str], dict[str, _Sample]]:
    """By window and metric the latest sample of each statistic."""
    found: dict[tuple[_Place, str], dict[str, _Sample]] = defaultdict(dict)
    for text in lines:
        series = _series.decode(text)
        labels = series.metric
        kind, _, field = labels["__name__"].partition(f"_{level}_")
        metric, _, statistic = field.rpartition("_")
        for milliseconds, value in zip(series.timestamps, series.values, strict=True):
            at = milliseconds * 1000
            place = _Place(labels["community"], labels["gateway"], labels["device"], Kind(kind), level.start(at))
            held = found[place, metric]
            if value is not None and (statistic not in held or at >= held[statistic].at):
                held[statistic] = _Sample(at, value)
    return found


def _says(held: list[float] | None, summary: Summary) -> bool:
    """Whether what is held is the summary, as far as the digits of a store of numbers go."""
    return held is not None and all(map(partial(isclose, rel_tol=1e-12), held, map(float, summary[6:])))


def _fields(query: Query, level: Level) -> str:
    if query.metric is None:
        return ".*"
    name = re.escape(query.metric)
    return f"({name}|{QUALITY})" if level is Level.RAW else f"{name}_({'|'.join(STATISTICS)})"


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
