"""Division codes with their names and the time that they are valid: who lies under whom. Pure but for ``load_regions``.

1. A code is text, never a number, of 2 digits (province), 4 (city), 6 (county), 9 (street), 12 (community) or 15 (grid).
2. Codes change: what a code was called, and whether it was, is asked for an instant.
3. What has no entry of its own rolls up to the nearest ancestor that has: a community may be there before its street.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from device_profiles import read_text
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import PREFIX_LENGTHS
from telemetry.presence import Words

BEIJING = timezone(timedelta(hours=8))


class Level(StrEnum):
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"

    @property
    def digits(self) -> int:
        return PREFIX_LENGTHS[list(Level).index(self)]


def level_of(code: str) -> Level:
    return list(Level)[PREFIX_LENGTHS.index(len(code))]


class Region(NamedTuple):
    """``since`` <= instant < ``until``, UTC microseconds; ``None`` is open."""

    code: str
    name: Words
    since: int | None = None
    until: int | None = None

    def valid(self, at: int) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class Regions:
    def __init__(self, regions: Iterable[Region] = ()) -> None:
        self._by_code: dict[str, list[Region]] = {}
        for region in regions:
            self._by_code.setdefault(region.code, []).append(region)

    def find(self, code: str, at: int) -> Region | None:
        return next((region for region in self._by_code.get(code, ()) if region.valid(at)), None)

    def parent(self, code: str, at: int) -> Region | None:
        """The nearest ancestor that is there at ``at``."""
        return next((found for upper in _uppers(code) if (found := self.find(upper, at))), None)

    def nearest(self, code: str, at: int) -> str:
        """The code itself or its nearest ancestor that is there at ``at``; where none is known, the code itself."""
        found = self.find(code, at) or self.parent(code, at)
        return found.code if found else code

    def under(self, prefixes: tuple[str, ...], at: int) -> list[Region]:
        """What is there at ``at`` under one of the prefixes, by code."""
        valid = (self.find(code, at) for code in sorted(self._by_code) if code.startswith(prefixes))
        return [region for region in valid if region]


def _uppers(code: str) -> Iterator[str]:
    """The codes above, the nearest first."""
    return (code[:length] for length in reversed(PREFIX_LENGTHS) if length < len(code))


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    zh: str
    en: str = ""
    since: date | None = msgspec.field(default=None, name="from")
    until: date | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    regions: tuple[_Entry, ...]


def load_regions(files: Sequence[Path]) -> Regions:
    """The regions of YAML files, and of CSV files with the columns ``code`` and ``name``, and ``from``, ``until`` if they
    have them. Raises ``ConfigInvalid`` with every problem."""
    regions: list[Region] = []
    problems: list[Problem] = []
    for file in files:
        try:
            entries = _from_csv(file) if file.suffix == ".csv" else read(read_text(file), str(file), _File).regions
        except ConfigInvalid as error:
            problems += error.problems
            continue
        problems += _problems(entries, str(file))
        regions += [Region(entry.code, Words(entry.zh, entry.en), _start(entry.since), _start(entry.until)) for entry in entries]
    if problems:
        raise ConfigInvalid(problems)
    return Regions(regions)


def _from_csv(file: Path) -> tuple[_Entry, ...]:
    rows = csv.DictReader(io.StringIO(read_text(file)))
    if not {"code", "name"} <= set(rows.fieldnames or ()):
        raise ConfigInvalid([Problem(str(file), "", "has no columns 'code' and 'name'", "write them in the first line")])
    try:
        return tuple(
            _Entry(row["code"], row["name"], "", _day(row.get("from")), _day(row.get("until"))) for row in rows if row["code"]
        )
    except ValueError as error:
        raise ConfigInvalid([Problem(str(file), f"line {rows.line_num}", str(error), "write a day as 2016-01-01")]) from error


def _day(written: str | None) -> date | None:
    return date.fromisoformat(written) if written else None


def _start(day: date | None) -> int | None:
    """The instant at which a day of Beijing begins."""
    return None if day is None else int(datetime.combine(day, time(), BEIJING).timestamp()) * 1_000_000


def _problems(entries: Iterable[_Entry], file: str) -> Iterator[Problem]:
    for number, entry in enumerate(entries):
        if not (entry.code.isascii() and entry.code.isdigit() and len(entry.code) in PREFIX_LENGTHS):
            yield Problem(
                file, f"regions[{number}].code", f"{entry.code!r} is not 2, 4, 6, 9, 12 or 15 digits", "quote it as text"
            )
        if entry.since and entry.until and entry.since >= entry.until:
            yield Problem(file, f"regions[{number}]", "ends before it begins", "'until' is the first day after")
