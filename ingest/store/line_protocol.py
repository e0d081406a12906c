"""Readings as InfluxDB line protocol: pure.

1. Nothing that a device says can end a line, a field or a tag: names come from the vocabulary, text is quoted and escaped.
2. Tags are community, gateway and device, nothing else; what a device says is a field.
3. One reading is one line, its time 19 digits of nanoseconds: equal readings are equal lines, so writing twice is writing once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby

import msgspec

from ingest.store.facts import MAX_REASON
from ingest.store.summary import Level, Summary
from telemetry.identity import GatewayRef, is_name
from telemetry.metric import MAX_INT, METRICS, Kind, Value, ValueType
from telemetry.quality import Quality
from telemetry.reading import Reading

QUALITY, FAULTS, EVENT_ID = "quality", "faults", "event_id"
QUALITIES = tuple(Quality)
STATISTICS = ("samples", "min", "max", "mean", "last")
"""What a summary says of each metric, in the order of ``Summary``; fields are named ``temperature_mean``."""

TEXT_TAILS = {quality: f',{QUALITY}="{quality}" ' for quality in QUALITIES}
NUMBER_TAILS = {quality: f",{QUALITY}={rank} " for rank, quality in enumerate(QUALITIES)}
"""The end of the fields of ``plain_line``, where a store keeps text and where it keeps numbers only."""

_EXACT = 10**15
"""Integers up to here are written as a float writes them."""

_NAMES = {
    kind: tuple(
        frozenset(name for name, metric in METRICS[kind].items() if metric.type is type_)
        for type_ in (ValueType.FLOAT, ValueType.INT, ValueType.BOOL)
    )
    for kind in Kind
}

_encoder = msgspec.json.Encoder()
is_name_of_place = lru_cache(65_536)(is_name)


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


def plain_line(ref: GatewayRef, reading: Reading, tails: Mapping[Quality, str]) -> str:
    """The line of a reading that is sound at first sight: nothing but numbers and booleans, each of its declared type.

    ``""`` where it takes a closer look, ``why_unsound`` and then ``line``; most readings of a city do not. ``tails`` are
    ``TEXT_TAILS`` or ``NUMBER_TAILS``.
    """
    if reading.faults or reading.event_id is not None or not reading.values or not is_name_of_place(reading.device):
        return ""
    floats, ints, bools = _NAMES[reading.kind]
    fields = []
    for name, value in reading.values.items():
        if isinstance(value, float) and name in floats and value - value == 0.0:  # neither infinite nor none
            fields.append(f"{name}={value!r}")
        elif isinstance(value, bool) and name in bools:
            fields.append(f"{name}={'true' if value else 'false'}")
        elif isinstance(value, bool | str | float):
            return ""
        elif name in floats and -_EXACT <= value <= _EXACT:
            fields.append(f"{name}={value}.0")
        elif name in ints and -MAX_INT <= value <= MAX_INT:
            fields.append(f"{name}={value}i")
        else:
            return ""
    return f"{_series(ref, reading.device, reading.kind)} {','.join(fields)}{tails[reading.quality]}{reading.at}000"


def lines_of_floats(ref: GatewayRef, readings: Sequence[Reading], tails: Mapping[Quality, str]) -> list[str]:
    """The lines of sound readings that say nothing but floats, a third of the time of one by one; none when any says more.

    A float of JSON is one of line protocol, so all are encoded at once and only their punctuation is exchanged.
    """
    for reading in readings:
        if reading.faults or reading.event_id is not None or not _are_floats(reading.kind, tuple(reading.values)):
            return []
    said = _encoder.encode([reading.values for reading in readings])[2:-2].decode()
    series: dict[tuple[str, Kind], str] = {}
    lines = []
    for reading, fields in zip(readings, said.replace('"', "").replace(":", "=").split("},{"), strict=True):
        place = reading.device, reading.kind
        if (name := series.get(place)) is None:
            name = series[place] = _series(ref, *place)
        lines.append(f"{name} {fields}{tails[reading.quality]}{reading.at}000")
    return lines


@lru_cache(4_096)
def _are_floats(kind: Kind, names: tuple[str, ...]) -> bool:
    return bool(names) and _NAMES[kind][0].issuperset(names)


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
