"""Everything wrong with one point of a profile document: its metric, unit, type, registers, formula and dependences."""

import math

from device_profiles.conversion import key_of
from device_profiles.faults import Faults
from device_profiles.format import Binding, Personal, PointDocument, ProfileDocument, RawType, Table, UnitScale
from device_profiles.formula import formula
from device_profiles.planner import aligned
from device_profiles.registers import BIT_TABLES, width
from device_profiles.resolve import interval, metric_of, needed, others, sentinels
from telemetry.document import nearest
from telemetry.metric import MAX_TEXT, METRICS, Metric, ValueType
from telemetry.unit import UNITS, convertible

NUMERIC = frozenset({ValueType.FLOAT, ValueType.INT})
PLC_DIGITS = {Table.COIL: 0, Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}
_UNSIGNED = frozenset({RawType.UINT16, RawType.UINT32, RawType.UINT64})


def check_point(document: ProfileDocument, name: str, point: PointDocument, faults: Faults) -> None:
    here = f"points.{name}"
    metric = metric_of(document.kind, name, point)
    if not point.helper and metric is None:
        word = point.metric or name
        faults.add(f"{here}.metric", f"{document.kind} has no metric {word!r}", nearest(word, METRICS[document.kind]))
    if point.helper and point.modbus is None:
        faults.add(here, "a helper is read from registers", "give it a modbus binding")
    if point.formula and point.modbus is not None:
        faults.add(f"{here}.formula", "it stands in registers too", "give one of them")
    if point.wrap is not None:
        _check_wrap(point, metric, f"{here}.wrap", faults)
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
    _check_site(document, point, here, faults)
    if point.formula:
        _check_formula(document, name, point, here, faults)
    _check_personal(document, name, point, here, faults)


def _check_type(point: PointDocument, metric: Metric, here: str, faults: Faults) -> None:
    for key, value in point.map.items():
        if not _is_of(metric.type, value):
            faults.add(f"{here}.map.{key_of(key)}", f"{value!r} is no {metric.type}, as the metric is")
    if metric.type not in NUMERIC:
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
    return "" if wanted in NUMERIC else "a number"


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


def _check_unit(point: PointDocument, metric: Metric, here: str, faults: Faults) -> None:
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


def _check_wrap(point: PointDocument, metric: Metric | None, where: str, faults: Faults) -> None:
    if metric is not None and metric.type not in NUMERIC:
        faults.add(where, f"the metric is a {metric.type}", "only a counter wraps")
    if point.modbus is None and not point.formula:
        faults.add(where, "it is not read from registers", "only a counter that is polled is followed")
    if point.scale_from is not None or point.unit_from is not None:
        faults.add(where, "its unit hangs on another register", "give scale and unit")
    if point.offset or point.scale < 0:
        faults.add(where, "the counter does not start again at zero", "leave 'offset' out and count upwards")


def _check_binding(document: ProfileDocument, point: PointDocument, binding: Binding, here: str, faults: Faults) -> None:
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
    _check_plc(binding, where, faults)
    if point.wrap is not None and point.wrap > 1 << 16 * width(binding):
        faults.add(f"{here}.wrap", f"{point.wrap} is more than {width(binding)} registers count", "65536 or 4294967296?")
    for number, other in enumerate(others(binding)):
        if (other.table in BIT_TABLES) is not (binding.table in BIT_TABLES):
            faults.add(f"{where}.also[{number}]", f"a {other.table} does not hold what a {binding.table} does")
        elif other.address + width(other) > 65_536:
            faults.add(f"{where}.also[{number}].address", f"{other.address} and {width(other)} registers end past 65535")
    try:
        sentinels(point, binding)
    except ValueError as error:
        faults.add(f"{here}.invalid", str(error))


def _check_plc(binding: Binding, where: str, faults: Faults) -> None:
    """The number of a manual is 1-based and begins with a digit for the table, which coils leave out."""
    if binding.plc is None:
        return
    digit = PLC_DIGITS[binding.table]
    meant = {digit * 10_000 + binding.address + 1, digit * 100_000 + binding.address + 1}
    if binding.plc not in meant:
        faults.add(f"{where}.plc", f"{binding.plc} is not {binding.table} {binding.address}", f"that is {min(meant)}")


def _check_bits(point: PointDocument, binding: Binding, where: str, faults: Faults) -> None:
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


def _check_dependence(document: ProfileDocument, name: str, point: PointDocument, here: str, faults: Faults) -> None:
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


def _check_personal(document: ProfileDocument, name: str, point: PointDocument, here: str, faults: Faults) -> None:
    if point.personal is None:
        return
    word = point.metric or name
    wanted = word if point.personal is Personal.PERSON else f"{word}_ref"
    if not wanted.endswith("_ref") or wanted not in METRICS[document.kind]:
        faults.add(f"{here}.personal", f"{document.kind} has no metric {wanted!r} for the hash", "a person's metric ends in _ref")
    if point.modbus is not None:
        faults.add(f"{here}.personal", "identifiers are taken from messages, not from registers")


def _check_site(document: ProfileDocument, point: PointDocument, here: str, faults: Faults) -> None:
    for name in point.times:
        if name not in document.parameters:
            faults.add(f"{here}.times", f"no parameter {name!r}", nearest(name, document.parameters))
    if point.times and point.map:
        faults.add(f"{here}.times", "what is mapped is no number", "leave it out")


def _check_formula(document: ProfileDocument, name: str, point: PointDocument, here: str, faults: Faults) -> None:
    try:
        made = formula(point.formula)
    except ValueError as error:
        faults.add(f"{here}.formula", str(error))
        return
    inputs = made.names & document.points.keys()
    for unknown in sorted(made.names - document.points.keys() - document.parameters.keys()):
        cure = nearest(unknown, [*document.points, *document.parameters])
        faults.add(f"{here}.formula", f"{unknown!r} is neither a point nor a parameter", cure)
    if not inputs:
        faults.add(f"{here}.formula", "names no point", "a value that never changes is no measurement")
    for other in sorted(inputs):
        if document.points[other].formula:
            faults.add(f"{here}.formula", f"{other!r} is worked out itself", "name plain points")
    if len({(document.points[other].modbus is None, interval(document, document.points[other])) for other in inputs}) > 1:
        faults.add(f"{here}.formula", "its points are read at different times", "give them one interval_s")
