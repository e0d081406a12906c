"""``work_orders`` of ``centre.yaml``: the working calendar, duty hours and how long each step may take."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from ingest.alerts import Colour
from ingest.calendar import PLAIN, load_calendar
from ingest.cases.clock import Step
from ingest.cases.hours import DutyHours, Shift
from ingest.cases.terms import LIMITS, MINUTE, Terms
from telemetry.errors import ConfigInvalid, Problem

DAY_MINUTES = 24 * 60

Minutes = Annotated[float, msgspec.Meta(gt=0, le=525_600)]
Shifts = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=4)]


class WorkOrdersSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``calendar`` is a file of holidays and of weekends worked instead; without one, weekdays alone decide. ``limits_min``:
    minutes of working time for a step, by colour; what is left out stays as it is."""

    calendar: str = ""
    duty: Shifts = ("08:00-12:00", "14:00-18:00")
    limits_min: dict[Colour, dict[Step, Minutes]] = {}
    recheck_min: Minutes = 10.0


def work_order_problems(spec: WorkOrdersSpec, path: Callable[[str], Path], file: str) -> Iterator[Problem]:
    shifts = [shift_of(text) for text in spec.duty]
    for number, shift in enumerate(shifts):
        before = shifts[number - 1] if number else None
        if shift is None:
            yield Problem(file, f"work_orders.duty[{number}]", f"{spec.duty[number]!r} is no part of a day", "as 08:00-12:00")
        elif before is not None and shift.begins < before.ends:
            yield Problem(file, f"work_orders.duty[{number}]", "begins before the one above ends", "name them in order")
    if spec.calendar:
        try:
            load_calendar(path(spec.calendar))
        except ConfigInvalid as error:
            yield from error.problems


def terms_of(spec: WorkOrdersSpec, path: Callable[[str], Path]) -> Terms:
    """Of a spec without problems."""
    calendar = load_calendar(path(spec.calendar)) if spec.calendar else PLAIN
    shifts = [shift for text in spec.duty if (shift := shift_of(text)) is not None]
    limits: Mapping[Colour, Mapping[Step, int]] = {
        colour: {**steps, **{step: round(minutes * MINUTE) for step, minutes in spec.limits_min.get(colour, {}).items()}}
        for colour, steps in LIMITS.items()
    }
    return Terms(DutyHours(calendar, shifts), limits, round(spec.recheck_min * MINUTE))


def shift_of(text: str) -> Shift | None:
    """``08:00-12:00`` as a shift; ``None`` when it is none."""
    first, dash, last = text.partition("-")
    begins, ends = _minute(first), _minute(last)
    return Shift(begins, ends) if dash and begins is not None and ends is not None and begins < ends else None


def _minute(text: str) -> int | None:
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and (hours + minutes).isascii() and hours.isdigit() and minutes.isdigit() and len(minutes) == 2):
        return None
    minute = int(hours) * 60 + int(minutes)
    return minute if int(minutes) < 60 and minute <= DAY_MINUTES else None
