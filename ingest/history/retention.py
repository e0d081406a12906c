"""How long history is kept, and the guards against deleting it by a slip. Pure.

1. Nothing is kept for no time: 0 is refused, and ``forever`` is a word.
2. Readings go before the summaries made from them.
3. Keeping by more than half shorter comes into force ``DELAY_US`` after it was first asked for, if it still is; ``forever`` is
   longer than twice anything. What was kept before counts as kept forever.
4. A clock more than a day ahead of the readings themselves deletes as if it were a day ahead.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec

from ingest.store import Level
from telemetry.errors import Problem
from telemetry.metric import Kind

Days = int | Literal["forever"]

FOREVER: Literal["forever"] = "forever"
MAX_DAYS = 36_500
DAY_US = 86_400_000_000
DELAY_US = 3 * DAY_US
AHEAD_US = DAY_US
PERSONAL = frozenset({Kind.ACCESS, Kind.CAMERA, Kind.PARKING})
"""Kinds whose readings say who was where; their summaries do not."""


class Part(StrEnum):
    """What is kept for a time of its own; the value is its key in ``centre.yaml``."""

    RAW = "raw_days"
    PERSONAL = "personal_days"
    FIVE_MINUTES = "five_minute_days"
    HOURS = "hour_days"

    @property
    def level(self) -> Level:
        return {Part.FIVE_MINUTES: Level.FIVE_MINUTES, Part.HOURS: Level.HOUR}.get(self, Level.RAW)

    @property
    def kinds(self) -> frozenset[Kind]:
        match self:
            case Part.PERSONAL:
                return PERSONAL
            case Part.RAW:
                return frozenset(Kind) - PERSONAL
            case _:
                return frozenset(Kind)


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days that each part of history is kept: ``retention`` in ``centre.yaml``."""

    raw_days: Days = 90
    personal_days: Days = 90
    five_minute_days: Days = 400
    hour_days: Days = FOREVER

    def days(self, part: Part) -> Days:
        days: Days = getattr(self, part.value)
        return days


class Applied(NamedTuple):
    """What is in force for a part, and what was asked for ``since`` when. Everything before ``cut`` is gone."""

    days: Days
    wanted: Days
    since: int
    cut: int


def retention_problems(retention: Retention, file: str) -> Iterator[Problem]:
    """What is wrong with the section, if anything."""
    for part in Part:
        days = retention.days(part)
        if days != FOREVER and not 1 <= days <= MAX_DAYS:
            reason = "0 would delete everything" if days == 0 else f"{days} is not 1 to {MAX_DAYS} days"
            yield Problem(file, f"retention.{part}", reason, f"write a number of days, or {FOREVER} to keep all")
    for coarser, finer in ((Part.FIVE_MINUTES, Part.RAW), (Part.FIVE_MINUTES, Part.PERSONAL), (Part.HOURS, Part.FIVE_MINUTES)):
        if _length(retention.days(coarser)) < _length(retention.days(finer)):
            cure = f"write at least {retention.days(finer)}"
            yield Problem(file, f"retention.{coarser}", f"is shorter than {finer}, of which it is the summary", cure)


def admitted(wanted: Days, applied: Applied | None, now: int) -> Applied:
    """What is in force once ``wanted`` is asked for at ``now``."""
    before = applied or Applied(FOREVER, FOREVER, now, 0)
    if wanted == before.wanted == before.days:
        return before
    if _length(wanted) * 2 >= _length(before.days):
        return Applied(wanted, wanted, now, before.cut)
    if before.wanted != wanted:
        return Applied(before.days, wanted, now, before.cut)
    return before._replace(days=wanted) if now >= before.since + DELAY_US else before


def sound_now(clock: int, present: int | None) -> int | None:
    """The instant to delete by; ``None``, delete nothing, while the readings do not say what time it is."""
    return None if present is None else min(clock, present + AHEAD_US)


def cut_of(applied: Applied, now: int, oldest_stale: int | None) -> int:
    """Before which instant a part's history goes: a whole hour, nothing that still waits to be thinned, never back."""
    if applied.days == FOREVER:
        return applied.cut
    bounds = [now - applied.days * DAY_US, *([] if oldest_stale is None else [oldest_stale])]
    return max(applied.cut, Level.HOUR.start(min(bounds)))


def _length(days: Days) -> float:
    return float("inf") if days == FOREVER else days
