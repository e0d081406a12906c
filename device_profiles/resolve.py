"""A checked profile document to a profile: canonical units, exact scales, decoders, paths and conditions made once."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

import msgspec

from device_profiles import carriers, topics
from device_profiles.conversion import ONE, ZERO, Conversion, exact, key_of, unit_line
from device_profiles.format import Binding, PointDocument, ProfileDocument, UnitFrom, UnitScale
from device_profiles.format_mqtt import DeviceTime, EventFrom, MessageDocument, MqttDocument, Source
from device_profiles.formula import formula
from device_profiles.payload import Path, condition, path, take
from device_profiles.profile import Clock, Dependence, Derivation, MessageRule, MqttMap, Pick, Point, Profile, Register
from device_profiles.registers import BIT_TABLES, WordsOnWire, codec, width, wire_words
from telemetry.metric import METRICS, Kind, Metric, Value, ValueType

_ZEROS: Mapping[ValueType, Value] = {ValueType.BOOL: False, ValueType.TEXT: ""}


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
        mqtt=None if document.mqtt is None else _mqtt(document, document.mqtt, points),
        confidence=document.confidence,
        notes=document.notes,
        sources=document.sources,
        examples=document.examples,
        parameters=document.parameters,
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


def _line(point: PointDocument, metric: Metric | None, unit: str | None) -> tuple[Fraction, Fraction]:
    """From raw to the metric's unit: ``(factor, offset)``."""
    factor, offset = exact(point.scale), exact(point.offset)
    if metric is None or unit is None:
        return factor, offset
    a, b = unit_line(unit, metric.unit)
    return factor * a, offset * a + b


def _range(point: PointDocument, metric: Metric | None) -> tuple[float, float] | None:
    if point.range is None or metric is None or point.unit is None:
        return point.range
    a, b = unit_line(point.unit, metric.unit)
    return float(exact(point.range[0]) * a + b), float(exact(point.range[1]) * a + b)


def _mapping(point: PointDocument, metric: Metric | None) -> Mapping[str, Value] | None:
    return {key_of(key): value for key, value in point.map.items()} or None


def _conversion(point: PointDocument, metric: Metric | None, unit: str | None) -> Conversion:
    factor, offset = _line(point, metric, unit)
    absent = frozenset() if point.modbus is not None else frozenset(key_of(raw) for raw in point.invalid)
    span = _range(point, metric)
    return Conversion(metric.type if metric else None, factor, offset, _mapping(point, metric), absent, point.invert, span)


def interval(document: ProfileDocument, point: PointDocument) -> float:
    """Seconds between two reads of a point; 0 for one that is told when the device likes."""
    if point.interval_s is not None:
        return point.interval_s
    inputs = [document.points[name] for name in formula(point.formula).names if name in document.points] if point.formula else []
    if inputs:
        return interval(document, inputs[0])
    if point.modbus is not None and document.modbus is not None:
        return document.modbus.interval_s
    return (document.mqtt.interval_s if document.mqtt else None) or 0.0


def _point(document: ProfileDocument, name: str, point: PointDocument) -> Point:
    metric = metric_of(document.kind, name, point)
    conversion = _conversion(point, metric, point.unit)
    unit_factor = 1.0 if metric is None or point.unit is None else float(unit_line(point.unit, metric.unit)[0])
    return Point(
        name=name,
        metric=None if point.helper else point.metric or name,
        unit=metric.unit if metric else point.unit or "",
        interval_s=interval(document, point),
        deadband=point.deadband * unit_factor,
        heartbeat_s=point.heartbeat_s,
        urgent=document.kind in (Kind.ACCESS, Kind.SAFETY) if point.urgent is None else point.urgent,
        range=conversion.range,
        type=metric.type if metric else None,
        conversion=conversion,
        register=None if point.modbus is None else _register(point, point.modbus),
        dependence=_dependence(point, metric),
        personal=point.personal,
        elsewhere=() if point.modbus is None else tuple(_register(point, other) for other in others(point.modbus)),
        derivation=_derivation(document, point) if point.formula else None,
        wrap=None if point.wrap is None else float(point.wrap * conversion.factor),
        times=point.times,
    )


def others(binding: Binding) -> Iterator[Binding]:
    """The other places of a value, as bindings of their own."""
    for other in binding.also:
        address = binding.address if other.address is None else other.address
        yield msgspec.structs.replace(binding, table=other.table, address=address, also=())


def _register(point: PointDocument, binding: Binding) -> Register:
    return Register(binding.table, binding.address, width(binding), codec(binding), sentinels(point, binding))


def _derivation(document: ProfileDocument, point: PointDocument) -> Derivation:
    made = formula(point.formula)
    return Derivation(made, made.names & document.points.keys())


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


def messages(document: ProfileDocument) -> Iterator[MessageDocument]:
    """Every message with a topic; those that a carrier brings as each carrier brings them."""
    for message in document.mqtt.messages if document.mqtt else ():
        if message.carrier is None:
            yield message
        else:
            yield from carriers.expanded(message, document.points.keys())


def _mqtt(document: ProfileDocument, mqtt: MqttDocument, points: Mapping[str, Point]) -> MqttMap:
    rules = tuple(_rule(document, message, points) for message in messages(document))
    named = frozenset[str]().union(*(topics.names(rule.topic) for rule in rules))
    return MqttMap(
        rules=rules,
        parameters=named - mqtt.defaults.keys(),
        defaults=mqtt.defaults,
        deep=frozenset().union(*(topics.deep_names(rule.topic) for rule in rules)),
        interval_s=mqtt.interval_s or 0.0,
        optional=frozenset(name for rule in rules for pick in rule.picks if (name := pick.take.parameter)) - named,
    )


def _rule(document: ProfileDocument, message: MessageDocument, points: Mapping[str, Point]) -> MessageRule:
    return MessageRule(
        topic=message.topic or "",
        json=message.payload == "json",
        conditions=tuple(condition(where, wanted) for where, wanted in message.when.items()),
        any_changed=tuple((path(before), path(after)) for before, after in message.any_changed.items()),
        each=path(message.each) if message.each else None,
        event=_event(message),
        event_id=tuple(take(source) for source in message.event_id),
        clock=None if message.time is None else _clock(message.time),
        retained=message.retained or ("stale" if message.event is None else "ignore"),
        require=tuple(points[name].metric or name for name in message.require),
        picks=tuple(_pick(document, message, points[name], source) for name, source in message.values.items()),
    )


def _pick(document: ProfileDocument, message: MessageDocument, point: Point, source: str | Source) -> Pick:
    conversion = point.conversion
    if isinstance(source, Source) and source.unit is not None:
        written = document.points[point.name]
        conversion = _conversion(written, metric_of(document.kind, point.name, written), source.unit)
    return Pick(point, take(source, message.absent, _ZEROS.get(point.type or ValueType.INT, 0)), conversion)


def _event(message: MessageDocument) -> str | tuple[Path, Mapping[str, str]] | None:
    if isinstance(message.event, EventFrom):
        return path(message.event.path), {key_of(key): word for key, word in message.event.map.items()}
    return message.event


def _clock(time: DeviceTime) -> Clock:
    return Clock(path(time.path), time.format, time.zone, int(time.past_s * 1e6), int(time.future_s * 1e6))
