"""A reading taken apart into what a store keeps of each metric, and put in order again: pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from ingest.store.protocol import MAX_ROWS, WHOLE, Query, Row
from ingest.store.summary import Summary
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality
from telemetry.reading import Reading, faults_of

MAX_REASON = 256

_Found = TypeVar("_Found", Row, Summary)

_QUALITIES = frozenset(map(str, Quality))
_encoder = msgspec.json.Encoder()


class Fact(NamedTuple):
    """What is known of one metric of one reading."""

    metric: str
    value: Value | None
    quality: Quality
    reason: str


def facts(values: Mapping[str, Value], quality: Quality, faults: Mapping[str, str] | None) -> Iterator[Fact]:
    """Each metric with its own quality: its fault's, else that of the fault of all (``"*"``), else the reading's.

    A reading without any value is one fact of ``"*"``, so that it leaves a trace.
    """
    if not faults:
        for metric, value in values.items():
            yield Fact(metric, value, quality, "")
        if not values:
            yield Fact(WHOLE, None, quality, "")
        return
    for metric in (*values, *(metric for metric in faults if metric not in values and metric != WHOLE)):
        yield Fact(metric, values.get(metric), *judgement(faults.get(metric) or faults.get(WHOLE), quality))
    if not values and WHOLE in faults:
        yield Fact(WHOLE, None, *judgement(faults[WHOLE], quality))


def judgement(fault: str | None, otherwise: Quality) -> tuple[Quality, str]:
    """Quality and reason of a fault such as ``"stale: no answer"``; a fault that names no quality is bad."""
    if not fault:
        return otherwise, ""
    word, _, reason = fault.partition(": ")
    if word in _QUALITIES:
        return Quality(word), reason[:MAX_REASON]
    return Quality.BAD, fault[:MAX_REASON]


def why_unsound(reading: Reading) -> str:
    """Why no store may take this reading; ``""`` when it is sound."""
    found = faults_of(reading)
    try:
        _encoder.encode(reading)
    except UnicodeEncodeError:
        found.append("a text is not Unicode")
    except OverflowError:
        found = found or ["a number is out of range"]
    return "; ".join(found)


def body_of(reading: Reading) -> bytes:
    """The JSON of a reading, for the dead letters; of one that JSON cannot say, its Python."""
    try:
        return _encoder.encode(reading)
    except UnicodeEncodeError:
        return repr(reading).encode(errors="backslashreplace")


def typed(kind: Kind, metric: str, number: Value) -> Value:
    """``number`` as a store gave it back, in the type that the vocabulary fixes for the metric."""
    declared = METRICS[kind].get(metric)
    match declared and declared.type:
        case ValueType.BOOL:
            return bool(number)
        case ValueType.INT if isinstance(number, int | float):
            return int(number)
        case ValueType.FLOAT if isinstance(number, int | float):
            return float(number)
        case _:
            return number


def bounded(query: Query) -> Query:
    """The query with a limit that a store can keep to, 1 to ``MAX_ROWS``."""
    return msgspec.structs.replace(query, limit=max(1, min(query.limit, MAX_ROWS)))


def ordered(rows: Iterable[_Found], query: Query) -> list[_Found]:
    """Rows or summaries as ``query`` wants them: ordered, limited, the last instant whole."""
    found = sorted(rows, key=_place)
    if query.newest_first:
        found.sort(key=_at, reverse=True)
    else:
        found.sort(key=_at)
    end = query.limit
    while end < len(found) and found[end].at == found[end - 1].at:
        end += 1
    return found[:end]


def _place(row: Row | Summary) -> tuple[str, str, str, str]:
    return row.community, row.gateway, row.device, row.metric


def _at(row: Row | Summary) -> int:
    return row.at
