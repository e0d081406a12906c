"""What can still be looked at of a rules file whose shape is wrong somewhere. Pure.

One misspelt key must hide no other fault of its file, and raise no false one elsewhere: a name that stands in such a file is
known, and its rules, schedules and overrides that are sound by themselves are checked as all others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from ingest.alerts.rule import Override, Rule, RulesFile, ScheduleSpec
from telemetry.document import convert, parse
from telemetry.errors import ConfigInvalid

_T = TypeVar("_T")

SECTIONS = tuple(field.name for field in msgspec.structs.fields(RulesFile))


class Salvaged(NamedTuple):
    """What is sound, by its number in its section; and the ids that each section says."""

    rules: Mapping[int, Rule] = MappingProxyType({})
    schedules: Mapping[int, ScheduleSpec] = MappingProxyType({})
    overrides: Mapping[int, Override] = MappingProxyType({})
    ids: Mapping[str, frozenset[str]] = MappingProxyType({})


def salvaged(text: str, file: str) -> Salvaged:
    try:
        data = parse(text, file)
    except ConfigInvalid:
        return Salvaged()
    if not isinstance(data, dict):
        return Salvaged()
    sections = {name: data[name] if isinstance(data.get(name), list) else [] for name in SECTIONS}
    return Salvaged(
        _sound(sections["rules"], file, Rule),
        _sound(sections["schedules"], file, ScheduleSpec),
        _sound(sections["overrides"], file, Override),
        {name: frozenset(filter(None, map(_id, items))) for name, items in sections.items()},
    )


def _sound(items: list[Any], file: str, type_: type[_T]) -> dict[int, _T]:
    found: dict[int, _T] = {}
    for number, item in enumerate(items):
        try:
            found[number] = convert(item, file, type_)
        except ConfigInvalid:
            continue  # its faults are told with those of the whole file
    return found


def _id(item: Any) -> str:
    said = item.get("id") if isinstance(item, dict) else None
    return said if isinstance(said, str) else ""
