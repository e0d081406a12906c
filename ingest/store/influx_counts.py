"""How many readings an InfluxDB holds, by gateway and hour: the InfluxQL and its answer. Pure.

One reading is one line, and each line has a quality: counted, that is the number of distinct series and instants.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ingest.store.line_protocol import QUALITY
from ingest.store.protocol import HOUR_US, Hour
from telemetry.errors import StoreUnavailable
from telemetry.identity import Scope
from telemetry.metric import Kind


class _Tags(msgspec.Struct, frozen=True):
    community: str = ""
    gateway: str = ""


class _Counted(NamedTuple):
    at_ns: int
    readings: int


class _Series(msgspec.Struct, frozen=True):
    tags: _Tags = _Tags()
    values: list[_Counted] = []


class _Result(msgspec.Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


_answers = msgspec.json.Decoder(_Answer)


def count(scope: Scope, gateway: str | None, start: int, end: int) -> str:
    """The statement for [start, end), of every kind at once."""
    conditions = [f'"community" =~ /^({"|".join(scope.prefixes)})/', f"time >= {start}u", f"time < {end}u"]
    if gateway is not None:
        escaped = gateway.replace("\\", "\\\\").replace("'", "\\'")
        conditions.append(f"\"gateway\" = '{escaped}'")
    kinds = ", ".join(f'"{kind}"' for kind in Kind)
    return (
        f'SELECT count("{QUALITY}") FROM {kinds} WHERE {" AND ".join(conditions)}'  # noqa: S608 - digits and escaped names
        ' GROUP BY time(1h), "community", "gateway" fill(none)'
    )


def counted(body: bytes) -> Mapping[Hour, int]:
    """The readings of an answer (``epoch=ns``), all kinds together. Raises ``StoreUnavailable`` when it says an error instead."""
    try:
        answer = _answers.decode(body)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"an answer that is not InfluxDB's: {error}") from error
    if said := next(filter(None, (answer.error, *(result.error for result in answer.results))), ""):
        raise StoreUnavailable(f"the query was refused: {said}")
    found: Counter[Hour] = Counter()
    for result in answer.results:
        for series in result.series:
            for at_ns, readings in series.values:
                hour = at_ns // 1000 // HOUR_US * HOUR_US
                found[Hour(series.tags.community, series.tags.gateway, hour)] += readings
    return found
