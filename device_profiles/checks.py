"""Everything wrong with a profile document, found in one pass, each with its place and a cure.

What a type cannot say is checked here and in the rooms beside it: metrics and units exist and fit, registers do not
overlap, helpers are there, topics, paths and zones can be used, and the examples speak of points that exist.
"""

import re
from itertools import combinations

from device_profiles.example_checks import check_examples
from device_profiles.faults import Faults
from device_profiles.format import ProfileDocument, Table
from device_profiles.message_checks import check_messages
from device_profiles.point_checks import check_point
from device_profiles.registers import BIT_TABLES, width
from device_profiles.resolve import messages
from telemetry.errors import Problem


def problems(document: ProfileDocument, file: str) -> list[Problem]:
    """Everything wrong with a document; empty when a profile can be made of it."""
    faults = Faults(file)
    if document.modbus is None and document.mqtt is None:
        faults.add("", "it speaks neither Modbus nor MQTT", "add modbus or mqtt")
    _check_blanks(document, faults)
    for name, point in document.points.items():
        check_point(document, name, point, faults)
    _check_metrics_once(document, faults)
    _check_overlaps(document, faults)
    if document.modbus is not None and document.modbus.max_registers % document.modbus.align:
        faults.add("modbus.max_registers", f"is not a multiple of align {document.modbus.align}", "lower it to one")
    check_messages(document, faults)
    _check_used(document, faults)
    _check_parameters(document, faults)
    check_examples(document, faults)
    return faults.problems


def _check_blanks(document: ProfileDocument, faults: Faults) -> None:
    """What ``linli profile new`` left to be filled."""
    texts = {"vendor": document.vendor, "model": document.model, "name.zh": document.name.zh, "name.en": document.name.en}
    texts |= {f"sources[{number}]": source for number, source in enumerate(document.sources)}
    for where, text in texts.items():
        if text.startswith("<") and text.endswith(">"):
            faults.add(where, f"is still blank: {text}", "fill it")


def _check_metrics_once(document: ProfileDocument, faults: Faults) -> None:
    seen: dict[str, str] = {}
    for name, point in document.points.items():
        if point.helper:
            continue
        first = seen.setdefault(point.metric or name, name)
        if first != name:
            faults.add(f"points.{name}.metric", f"{point.metric or name!r} is already point {first!r}", "each metric stands once")


def _check_overlaps(document: ProfileDocument, faults: Faults) -> None:
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


def _check_used(document: ProfileDocument, faults: Faults) -> None:
    """A point that nothing fills is a mistake."""
    spoken = {name for message in messages(document) for name in message.values}
    for name, point in document.points.items():
        if point.modbus is None and name not in spoken and not point.formula:
            faults.add(f"points.{name}", "nothing fills it", "bind it to registers, name it in a message, or give a formula")


def _check_parameters(document: ProfileDocument, faults: Faults) -> None:
    used = {name for point in document.points.values() for name in point.times}
    used |= {word for point in document.points.values() for word in re.findall(r"[a-z][a-z0-9_]*", point.formula)}
    for name, parameter in document.parameters.items():
        here = f"parameters.{name}"
        low, high = parameter.range
        if name in document.points:
            faults.add(here, "a point has this name", "choose another")
        if name not in used:
            faults.add(here, "nothing uses it", "name it in times or in a formula")
        if not low < high or (parameter.default is not None and not low <= parameter.default <= high):
            faults.add(f"{here}.range", f"[{low:g}, {high:g}] does not hold the default", "write [lowest, highest]")
