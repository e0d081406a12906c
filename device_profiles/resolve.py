"""A checked profile document to a profile: canonical units, exact scales, decoders, paths and conditions made once."""

from collections.abc import Mapping
from fractions import Fraction

from device_profiles import topics
from device_profiles.conversion import ONE, ZERO, Conversion, exact, key_of, unit_line
from device_profiles.format import (
    Binding,
    DeviceTime,
    EventFrom,
    MessageDocument,
    MqttDocument,
    PointDocument,
    ProfileDocument,
    UnitFrom,
    UnitScale,
)
from device_profiles.payload import Path, condition, path, take
from device_profiles.profile import Clock, Dependence, MessageRule, MqttMap, Pick, Point, Profile, Register
from device_profiles.registers import BIT_TABLES, WordsOnWire, codec, width, wire_words
from telemetry.metric import METRICS, Kind, Metric, Value


def resolve(document: ProfileDocument) -> Profile:
    """The profile of a document that ``device_profiles.checks`` found nothing wrong with."""
    points = {name: _point(document, name, point) for name, point in document.points.items()}
    return Profile(
        id=document.id,
        version=document.version,
        kind=document.kind,
        vendor=document.vendor,
        model=document.model,
        name=document.name,
        points=points,
        modbus=document.modbus,
        mqtt=None if document.mqtt is None else _mqtt(document.mqtt, points),
        confidence=document.confidence,
        notes=document.notes,
        sources=document.sources,
        examples=document.examples,
    )


def metric_of(kind: Kind, name: str, point: PointDocument) -> Metric | None:
    """The metric a point fills; ``None`` for a helper or an unknown one."""
    return None if point.helper else METRICS[kind].get(point.metric or name)


def needed(point: PointDocument) -> set[str]:
    """The points it depends on."""
    links = (point.scale_from.point if point.scale_from else None, point.unit_from.point if point.unit_from else None)
    return {name for name in (*links, *point.valid_when) if name is not None}


def sentinels(point: PointDocument, binding: Binding) -> frozenset[WordsOnWire]:
    """The words that mean no measurement. Raises ``ValueError`` for a raw value that is no number or wider than the registers."""
    registers = width(binding)
    found: set[WordsOnWire] = set()
    for raw in point.invalid:
        if isinstance(raw, str) or not -(1 << 16 * registers - 1) <= raw < 1 << 16 * registers:
            raise ValueError(f"{raw!r} is not a raw value of {registers} registers")
        found.add((raw,) if binding.table in BIT_TABLES else wire_words(raw, registers, binding.order))
    return frozenset(found)


def _line(point: PointDocument, metric: Metric | None) -> tuple[Fraction, Fraction]:
    """From raw to the metric's unit: ``(factor, offset)``."""
    factor, offset = exact(point.scale), exact(point.offset)
    if metric is None or point.unit is None:
        return factor, offset
    a, b = unit_line(point.unit, metric.unit)
    return factor * a, offset * a + b


def _range(point: PointDocument, metric: Metric | None) -> tuple[float, float] | None:
    if point.range is None or metric is None or point.unit is None:
        return point.range
    a, b = unit_line(point.unit, metric.unit)
    return float(exact(point.range[0]) * a + b), float(exact(point.range[1]) * a + b)


def _mapping(point: PointDocument, metric: Metric | None) -> Mapping[str, Value] | None:
    return {key_of(key): value for key, value in point.map.items()} or None


def _point(document: ProfileDocument, name: str, point: PointDocument) -> Point:
    metric = metric_of(document.kind, name, point)
    factor, offset = _line(point, metric)
    unit_factor = 1.0 if metric is None or point.unit is None else float(unit_line(point.unit, metric.unit)[0])
    span = _range(point, metric)
    absent = frozenset() if point.modbus is not None else frozenset(key_of(raw) for raw in point.invalid)
    spoken = document.mqtt.interval_s if document.mqtt else None
    default = document.modbus.interval_s if document.modbus and point.modbus else spoken or 0.0
    return Point(
        name=name,
        metric=None if point.helper else point.metric or name,
        unit=metric.unit if metric else point.unit or "",
        interval_s=default if point.interval_s is None else point.interval_s,
        deadband=point.deadband * unit_factor,
        heartbeat_s=point.heartbeat_s,
        urgent=document.kind in (Kind.ACCESS, Kind.SAFETY) if point.urgent is None else point.urgent,
        range=span,
        type=metric.type if metric else None,
        conversion=Conversion(
            metric.type if metric else None, factor, offset, _mapping(point, metric), absent, point.invert, span
        ),
        register=None if point.modbus is None else _register(point, point.modbus),
        dependence=_dependence(point, metric),
        personal=point.personal,
    )


def _register(point: PointDocument, binding: Binding) -> Register:
    return Register(binding.table, binding.address, width(binding), codec(binding), sentinels(point, binding))


def _dependence(point: PointDocument, metric: Metric | None) -> Dependence | None:
    if not needed(point):
        return None
    valid = {name: frozenset(key_of(value) for value in allowed) for name, allowed in point.valid_when.items()}
    units = {} if point.unit_from is None else _unit_lines(point.unit_from, metric)
    return Dependence(point.scale_from, point.unit_from.point if point.unit_from else None, units, valid)


def _unit_lines(source: UnitFrom, metric: Metric | None) -> dict[int, tuple[Fraction, Fraction]]:
    lines: dict[int, tuple[Fraction, Fraction]] = {}
    for code, target in source.units.items():
        unit, scale = (target.unit, exact(target.scale)) if isinstance(target, UnitScale) else (target, ONE)
        a, b = (ONE, ZERO) if metric is None else unit_line(unit, metric.unit)
        lines[code] = (scale * a, b)
    return lines


def _mqtt(document: MqttDocument, points: Mapping[str, Point]) -> MqttMap:
    rules = tuple(_rule(message, points) for message in document.messages)
    patterns = [message.topic for message in document.messages]
    return MqttMap(
        rules=rules,
        parameters=frozenset().union(*map(topics.names, patterns)) - document.defaults.keys(),
        defaults=document.defaults,
        deep=frozenset().union(*map(topics.deep_names, patterns)),
        interval_s=document.interval_s or 0.0,
    )


def _rule(message: MessageDocument, points: Mapping[str, Point]) -> MessageRule:
    return MessageRule(
        topic=message.topic,
        json=message.payload == "json",
        conditions=tuple(condition(where, wanted) for where, wanted in message.when.items()),
        any_changed=tuple((path(before), path(after)) for before, after in message.any_changed.items()),
        each=path(message.each) if message.each else None,
        event=_event(message),
        event_id=tuple(path(where) for where in message.event_id),
        clock=None if message.time is None else _clock(message.time),
        retained=message.retained or ("stale" if message.event is None else "ignore"),
        require=tuple(points[name].metric or name for name in message.require),
        picks=tuple(Pick(points[name], take(source)) for name, source in message.values.items()),
    )


def _event(message: MessageDocument) -> str | tuple[Path, Mapping[str, str]] | None:
    if isinstance(message.event, EventFrom):
        return path(message.event.path), {key_of(key): word for key, word in message.event.map.items()}
    return message.event


def _clock(time: DeviceTime) -> Clock:
    return Clock(path(time.path), time.format, time.zone, int(time.past_s * 1e6), int(time.future_s * 1e6))
