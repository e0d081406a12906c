"""Readings as InfluxDB line protocol: pure, about 3 us a line.

1. Nothing that a device says can end a line, a field or a tag: names come from the vocabulary, text is quoted and escaped.
2. Tags are community, gateway and device, nothing else; what a device says is a field.
3. One reading is one line, its time 19 digits of nanoseconds: equal readings are equal lines, so writing twice is writing once.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

import msgspec

from ingest.store.facts import MAX_REASON
from ingest.store.summary import Level, Summary
from telemetry.identity import GatewayRef
from telemetry.metric import METRICS, Kind, Value, ValueType
from telemetry.quality import Quality
from telemetry.reading import Reading

QUALITY, FAULTS, EVENT_ID = "quality", "faults", "event_id"
QUALITIES = tuple(Quality)
STATISTICS = ("samples", "min", "max", "mean", "last")
"""What a summary says of each metric, in the order of ``Summary``; fields are named ``temperature_mean``."""

_encoder = msgspec.json.Encoder()


def line(ref: GatewayRef, reading: Reading) -> str:
    """The line of a sound reading, without its newline."""
    metrics = METRICS[reading.kind]
    fields = [f"{name}={_field(metrics[name].type, value)}" for name, value in reading.values.items()]
    fields.append(f"{QUALITY}={_text(reading.quality)}")
    if reading.faults:
        faults = {name: fault[:MAX_REASON] for name, fault in reading.faults.items()}
        fields.append(f"{FAULTS}={_text(_encoder.encode(faults).decode())}")
    if reading.event_id is not None:
        fields.append(f"{EVENT_ID}={_text(reading.event_id)}")
    return f"{_series(ref, reading.device, reading.kind)} {','.join(fields)} {reading.at}000"


def numeric_line(ref: GatewayRef, reading: Reading) -> str:
    """The same for a store that keeps numbers only: no text, and the quality as its rank, 0 for good."""
    metrics = METRICS[reading.kind]
    kept = ((metrics[name].type, name, value) for name, value in reading.values.items())
    fields = [f"{name}={_field(type_, value)}" for type_, name, value in kept if type_ is not ValueType.TEXT]
    fields.append(f"{QUALITY}={QUALITIES.index(reading.quality)}")
    return f"{_series(ref, reading.device, reading.kind)} {','.join(fields)} {reading.at}000"


def measurement(kind: Kind, level: Level) -> str:
    """Where readings or summaries of a kind are kept: ``environment``, ``environment_5m``."""
    return str(kind) if level is Level.RAW else f"{kind}_{level}"


def summary_lines(summaries: Iterable[Summary], level: Level) -> Iterator[str]:
    """The lines of summaries: one for each device, kind and window."""
    for (community, gateway, device, kind, at), group in groupby(sorted(summaries, key=_window), _window):
        fields = [
            f"{summary.metric}_{statistic}={value!r}"
            for summary in group
            for statistic, value in zip(STATISTICS, map(float, summary[6:]), strict=True)
        ]
        series = _series(GatewayRef(community, gateway), device, measurement(kind, level))
        yield f"{series} {','.join(fields)} {at}000"


def _window(summary: Summary) -> tuple[str, str, str, Kind, int]:
    return summary.community, summary.gateway, summary.device, summary.kind, summary.at


@lru_cache(65_536)
def _series(ref: GatewayRef, device: str, kind: str) -> str:
    return f"{kind},community={ref.community},device={device},gateway={ref.gateway}"


def _field(type_: ValueType, value: Value) -> str:
    match type_:
        case ValueType.FLOAT:
            return repr(float(value))
        case ValueType.INT:
            return f"{value}i"
        case ValueType.BOOL:
            return "true" if value else "false"
        case ValueType.TEXT:
            return _text(str(value))


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
