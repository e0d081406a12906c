"""Everything wrong with a profile document, found in one pass, each with its place and a cure.

What a type cannot say is checked here: metrics and units exist and fit, registers do not overlap, helpers are there,
topics, paths and zones can be used, and the examples speak of points that exist.
"""

import math
from collections.abc import Callable
from itertools import combinations

from device_profiles import topics
from device_profiles.clock import zone_named
from device_profiles.conversion import key_of
from device_profiles.format import (
    Binding,
    DeviceTime,
    EventFrom,
    MessageDocument,
    Personal,
    PointDocument,
    ProfileDocument,
    RawType,
    Table,
    UnitScale,
)
from device_profiles.payload import path, take
from device_profiles.planner import aligned
from device_profiles.registers import BIT_TABLES, width
from device_profiles.resolve import metric_of, needed, sentinels
from telemetry.document import nearest
from telemetry.errors import Problem
from telemetry.metric import MAX_TEXT, METRICS, Metric, ValueType
from telemetry.unit import UNITS, convertible

_UNSIGNED = frozenset({RawType.UINT16, RawType.UINT32, RawType.UINT64})
_NUMERIC = frozenset({ValueType.FLOAT, ValueType.INT})


class _Faults:
    """Collects problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, where: str, reason: str, cure: str = "") -> None:
        self.problems.append(Problem(self.file, where, reason, cure))

    def attempt(self, where: str, make: Callable[[], object]) -> bool:
        """Whether ``make`` works; says where and why when it does not."""
        try:
            make()
        except ValueError as error:
            self.add(where, str(error))
            return False
        return True


def problems(document: ProfileDocument, file: str) -> list[Problem]:
    """Everything wrong with a document; empty when a profile can be made of it."""
    faults = _Faults(file)
    if document.modbus is None and document.mqtt is None:
        faults.add("", "it speaks neither Modbus nor MQTT", "add modbus or mqtt")
    for name, point in document.points.items():
        _check_point(document, name, point, faults)
    _check_metrics_once(document, faults)
    _check_overlaps(document, faults)
    if document.modbus is not None and document.modbus.max_registers % document.modbus.align:
        faults.add("modbus.max_registers", f"is not a multiple of align {document.modbus.align}", "lower it to one")
    if document.mqtt is not None:
        for number, message in enumerate(document.mqtt.messages):
            _check_message(document, message, f"mqtt.messages[{number}]", faults)
        for name in sorted(document.mqtt.defaults.keys() - _parameters(document)):
            faults.add(f"mqtt.defaults.{name}", "no topic has this parameter", nearest(name, _parameters(document)))
    _check_used(document, faults)
    _check_examples(document, faults)
    return faults.problems


def _check_point(document: ProfileDocument, name: str, point: PointDocument, faults: _Faults) -> None:
    here = f"points.{name}"
    metric = metric_of(document.kind, name, point)
    if not point.helper and metric is None:
        word = point.metric or name
        faults.add(f"{here}.metric", f"{document.kind} has no metric {word!r}", nearest(word, METRICS[document.kind]))
    if point.helper and point.modbus is None:
        faults.add(here, "a helper is read from registers", "give it a modbus binding")
    for what, number in (("scale", point.scale), ("offset", point.offset)):
        if not math.isfinite(number) or (what == "scale" and number == 0):
            faults.add(f"{here}.{what}", f"{number} cannot be used")
    if point.range is not None and not point.range[0] < point.range[1]:
        faults.add(f"{here}.range", f"{list(point.range)} is no range", "write [lowest, highest]")
    if metric is not None:
        _check_type(point, metric, here, faults)
        _check_unit(point, metric, here, faults)
    if point.modbus is not None:
        _check_binding(document, point, point.modbus, here, faults)
    _check_dependence(document, name, point, here, faults)
    _check_personal(document, name, point, here, faults)


def _check_type(point: PointDocument, metric: Metric, here: str, faults: _Faults) -> None:
    for key, value in point.map.items():
        if not _is_of(metric.type, value):
            faults.add(f"{here}.map.{key_of(key)}", f"{value!r} is no {metric.type}, as the metric is")
    if metric.type not in _NUMERIC:
        for what, given in (("range", point.range), ("deadband", point.deadband), ("scale_from", point.scale_from)):
            if given:
                faults.add(f"{here}.{what}", f"the metric is a {metric.type}, not a number", "leave it out")
    if point.invert and metric.type is not ValueType.BOOL:
        faults.add(f"{here}.invert", f"the metric is a {metric.type}", "only a bool can be inverted")
    if metric.type is ValueType.INT and not (float(point.scale).is_integer() and float(point.offset).is_integer()):
        faults.add(f"{here}.scale", "the metric is an integer", "give a whole scale and offset")
    if point.modbus is not None and not point.map and (wrong := _mismatch(point.modbus, metric.type)):
        faults.add(f"{here}.modbus.type", f"{wrong}, but the metric is a {metric.type}", _type_cure(metric.type))


def _mismatch(binding: Binding, wanted: ValueType) -> str:
    single = binding.table in BIT_TABLES or binding.type is RawType.BIT or (binding.bit is not None and binding.bits is None)
    if single:
        return "" if wanted is ValueType.BOOL else "one bit"
    if binding.type is RawType.ASCII:
        return "" if wanted is ValueType.TEXT else "text"
    return "" if wanted in _NUMERIC else "a number"


def _type_cure(wanted: ValueType) -> str:
    if wanted is ValueType.BOOL:
        return "name the bit, or map numbers to true and false"
    return "map numbers to words" if wanted is ValueType.TEXT else ""


def _is_of(wanted: ValueType, value: object) -> bool:
    match wanted:
        case ValueType.BOOL:
            return isinstance(value, bool)
        case ValueType.TEXT:
            return isinstance(value, str) and len(value) <= MAX_TEXT
        case ValueType.INT:
            return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_unit(point: PointDocument, metric: Metric, here: str, faults: _Faults) -> None:
    unit = point.unit
    if unit is None:
        if metric.unit and not point.map and point.unit_from is None:
            faults.add(f"{here}.unit", "is missing", f"the metric is in {metric.unit}; name what the device speaks")
        return
    if unit not in UNITS:
        faults.add(f"{here}.unit", f"no unit {unit!r}", nearest(unit, UNITS))
    elif not convertible(unit, metric.unit):
        faults.add(f"{here}.unit", f"{unit!r} does not convert to the metric's {metric.unit or 'plain number'!r}")
    if point.unit_from is not None:
        faults.add(f"{here}.unit_from", "unit is given too", "give one of them")


def _check_binding(document: ProfileDocument, point: PointDocument, binding: Binding, here: str, faults: _Faults) -> None:
    where = f"{here}.modbus"
    if document.modbus is None:
        faults.add(where, "the profile has no modbus section", "add one; it may be empty: modbus: {}")
    if binding.address + width(binding) > 65_536:
        faults.add(f"{where}.address", f"{binding.address} and {width(binding)} registers end past 65535")
    if document.modbus is not None and binding.table not in BIT_TABLES:
        first, end = aligned(binding.address, binding.address + width(binding), document.modbus.align)
        if end - first > document.modbus.max_registers:
            faults.add(where, f"takes {end - first} registers, but one request reads {document.modbus.max_registers}")
    if (binding.type in (RawType.BCD, RawType.ASCII)) is not (binding.registers is not None):
        faults.add(f"{where}.registers", "goes with bcd and ascii, and only with them")
    _check_bits(point, binding, where, faults)
    try:
        sentinels(point, binding)
    except ValueError as error:
        faults.add(f"{here}.invalid", str(error))


def _check_bits(point: PointDocument, binding: Binding, where: str, faults: _Faults) -> None:
    if binding.table in BIT_TABLES:
        if binding.type not in (RawType.BIT, RawType.UINT16) or binding.bit is not None or binding.bits is not None:
            faults.add(where, f"a {binding.table} is one bit", "write type: bit, without bit and bits")
        return
    if binding.type is RawType.BIT and binding.bit is None:
        faults.add(f"{where}.bit", "is missing", "which bit of the register, 0 is the lowest")
    if binding.bit is None and binding.bits is None:
        return
    if binding.bit is not None and binding.bits is not None:
        faults.add(where, "has both bit and bits", "give one of them")
    if binding.type is not RawType.BIT and binding.type not in _UNSIGNED:
        faults.add(f"{where}.type", f"bits of {binding.type}", "cut bits out of uint16, uint32 or uint64")
    low, high = binding.bits or (binding.bit or 0, binding.bit or 0)
    if low > high or high >= 16 * width(binding):
        faults.add(f"{where}.bits", f"[{low}, {high}] is not inside {16 * width(binding)} bits", "write [lowest, highest]")


def _check_dependence(document: ProfileDocument, name: str, point: PointDocument, here: str, faults: _Faults) -> None:
    if point.unit_from is not None:
        metric = metric_of(document.kind, name, point)
        for code, target in point.unit_from.units.items():
            unit = target.unit if isinstance(target, UnitScale) else target
            if unit not in UNITS or (metric is not None and not convertible(unit, metric.unit)):
                wanted = metric.unit if metric else ""
                faults.add(f"{here}.unit_from.units.{code}", f"{unit!r} does not convert to {wanted!r}", nearest(unit, UNITS))
    for helper in sorted(needed(point)):
        other = document.points.get(helper)
        if other is None:
            faults.add(here, f"depends on {helper!r}, which is no point", nearest(helper, document.points))
        elif other.modbus is None or point.modbus is None:
            faults.add(here, f"depends on {helper!r}, and both must be registers")
        elif needed(other):
            faults.add(here, f"depends on {helper!r}, which depends on others", "depend on plain registers")


def _check_personal(document: ProfileDocument, name: str, point: PointDocument, here: str, faults: _Faults) -> None:
    if point.personal is None:
        return
    word = point.metric or name
    wanted = word if point.personal is Personal.PERSON else f"{word}_ref"
    if not wanted.endswith("_ref") or wanted not in METRICS[document.kind]:
        faults.add(f"{here}.personal", f"{document.kind} has no metric {wanted!r} for the hash", "a person's metric ends in _ref")
    if point.modbus is not None:
        faults.add(f"{here}.personal", "identifiers are taken from messages, not from registers")


def _check_metrics_once(document: ProfileDocument, faults: _Faults) -> None:
    seen: dict[str, str] = {}
    for name, point in document.points.items():
        if point.helper:
            continue
        first = seen.setdefault(point.metric or name, name)
        if first != name:
            faults.add(f"points.{name}.metric", f"{point.metric or name!r} is already point {first!r}", "each metric stands once")


def _check_overlaps(document: ProfileDocument, faults: _Faults) -> None:
    bound = [(name, point.modbus) for name, point in document.points.items() if point.modbus is not None]
    for table in Table:
        spans = sorted((at.address, at.address + width(at), name) for name, at in bound if at.table is table)
        for (first, end, name), (other_first, other_end, other) in combinations(spans, 2):
            if other_first < end and not _shares_bits(document, name, other, (first, end) == (other_first, other_end)):
                faults.add(f"points.{other}.modbus", f"overlaps {name!r} at {table} {other_first}", "check address and type")


def _shares_bits(document: ProfileDocument, name: str, other: str, same_span: bool) -> bool:
    """Whether two points read different bits of the same registers, or one of them the whole and the other a part."""
    a, b = document.points[name].modbus, document.points[other].modbus
    if a is None or b is None or not same_span or a.table in BIT_TABLES:
        return False
    if (a.bit, a.bits) == (None, None) or (b.bit, b.bits) == (None, None):
        return (a.bit, a.bits) != (b.bit, b.bits)
    mine, yours = a.bits or (a.bit or 0, a.bit or 0), b.bits or (b.bit or 0, b.bit or 0)
    return mine[1] < yours[0] or yours[1] < mine[0]


def _check_message(document: ProfileDocument, message: MessageDocument, here: str, faults: _Faults) -> None:
    for fault in topics.faults(message.topic):
        faults.add(f"{here}.topic", fault)
    for where in message.when:
        faults.attempt(f"{here}.when.{where}", lambda where=where: path(where))  # type: ignore[misc]  # bound at once
    for pair in message.any_changed.items():
        for where in pair:
            faults.attempt(f"{here}.any_changed", lambda where=where: path(where))  # type: ignore[misc]  # bound at once
    if message.each:
        faults.attempt(f"{here}.each", lambda: path(message.each))
    for name, source in message.values.items():
        if name not in document.points:
            faults.add(f"{here}.values.{name}", f"no point {name!r}", nearest(name, document.points))
        faults.attempt(f"{here}.values.{name}", lambda source=source: take(source))  # type: ignore[misc]  # bound at once
    for name in message.require:
        if name not in message.values:
            faults.add(f"{here}.require", f"{name!r} is not among the values", nearest(name, message.values))
    if not message.values and message.event is None:
        faults.add(here, "it says nothing", "give values or an event")
    _check_event(message, here, faults)
    if message.time is not None:
        _check_time(message.time, f"{here}.time", faults)


def _check_event(message: MessageDocument, here: str, faults: _Faults) -> None:
    for where in message.event_id:
        faults.attempt(f"{here}.event_id", lambda where=where: path(where))  # type: ignore[misc]  # bound at once
    if message.event is None and message.event_id:
        faults.add(f"{here}.event_id", "there is no event")
    if isinstance(message.event, EventFrom):
        where = message.event.path
        faults.attempt(f"{here}.event.path", lambda: path(where))
    if message.event is not None and message.retained not in (None, "ignore"):
        faults.add(f"{here}.retained", "a retained copy is never an event", "leave it out")


def _check_time(time: DeviceTime, here: str, faults: _Faults) -> None:
    faults.attempt(f"{here}.path", lambda: path(time.path))
    faults.attempt(f"{here}.zone", lambda: zone_named(time.zone))


def _check_used(document: ProfileDocument, faults: _Faults) -> None:
    """A point that nothing fills is a mistake."""
    spoken = {name for message in (document.mqtt.messages if document.mqtt else ()) for name in message.values}
    for name, point in document.points.items():
        if point.modbus is None and name not in spoken:
            faults.add(f"points.{name}", "nothing fills it", "bind it to registers or name it in a message")


def _parameters(document: ProfileDocument) -> set[str]:
    return {name for message in (document.mqtt.messages if document.mqtt else ()) for name in topics.names(message.topic)}


def _check_examples(document: ProfileDocument, faults: _Faults) -> None:
    examples = document.examples
    if not (examples.frames or examples.vectors or examples.messages):
        faults.add("examples", "there is none", "give at least one, with real bytes and what they mean")
    for number, frame in enumerate(examples.frames):
        for name in {**frame.gives, **frame.given}:
            if name not in document.points:
                faults.add(f"examples.frames[{number}].gives.{name}", f"no point {name!r}", nearest(name, document.points))
    for number, vector in enumerate(examples.vectors):
        point = document.points.get(vector.point)
        if point is None or point.modbus is None:
            where = f"examples.vectors[{number}].point"
            faults.add(where, f"no point {vector.point!r} in registers", nearest(vector.point, document.points))
        elif len(vector.words) != width(point.modbus):
            faults.add(f"examples.vectors[{number}].words", f"{vector.point} has {width(point.modbus)} words")
    known = _parameters(document)
    wanted = known - (document.mqtt.defaults.keys() if document.mqtt else set())
    for number, message in enumerate(examples.messages):
        if not wanted <= message.parameters.keys() <= known:
            faults.add(f"examples.messages[{number}].parameters", "do not fill the topics", f"give {', '.join(sorted(wanted))}")
