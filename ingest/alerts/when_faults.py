"""What is wrong with when a rule speaks: conditions that can never hold, or always do. The paths are those inside the rule."""

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from ingest.alerts.vocabulary import (
    NUMBERS,
    Fault,
    Kinds,
    carrying,
    event_faults,
    fitting,
    metric_faults,
    number_faults,
    range_faults,
    show_faults,
    where_faults,
)
from ingest.alerts.when import (
    Absence,
    AllOf,
    Anomaly,
    AnyOf,
    Balance,
    Correlation,
    Count,
    Dated,
    Duration,
    Flatline,
    Forecast,
    Match,
    Mean,
    Rate,
    Repeat,
    Samples,
    Sequence,
    Simple,
    Surplus,
    Threshold,
    When,
)
from telemetry.document import nearest
from telemetry.metric import ValueType


class Known(NamedTuple):
    """Names that stand in any file."""

    lists: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()
    calendars: frozenset[str] = frozenset()


def when_faults(when: When, kinds: Kinds, path: str, known: Known) -> Iterator[Fault]:
    """Of a condition at ``path``, for readings of ``kinds``."""
    match when:
        case AllOf() | AnyOf():
            for number, one in enumerate(when.of):
                yield from _part_faults(one, kinds, f"{path}.of[{number}]", known)
            for kind in fitting(when.unless, kinds):
                yield from where_faults(when.unless, (kind,), f"{path}.unless", empty=True)
        case Sequence():
            yield from where_faults(when.happens, kinds, f"{path}.happens", empty=False)
            if not when.without:
                yield f"{path}.without", "is empty", "name at least one thing that should have come with it, or use match"
            for number, where in enumerate(when.without):
                yield from where_faults(where, kinds, f"{path}.without[{number}]", empty=False)
        case Match():
            yield from where_faults(when.where, kinds, f"{path}.where", empty=when.list is not None)
            yield from where_faults(when.unless, kinds, f"{path}.unless", empty=True)
            yield from _match_faults(when, kinds, known)
            yield from show_faults(when.show, kinds, path)
        case Absence():
            return
        case _:
            yield from _simple_faults(when, kinds, path, known)


def _part_faults(when: Simple, kinds: Kinds, path: str, known: Known) -> Iterator[Fault]:
    """A part of a combination need fit one kind of reading alone: another part may be of another."""
    found = [list(_simple_faults(when, (kind,), path, known)) for kind in kinds]
    yield from min(found, key=len)


def _simple_faults(when: Simple, kinds: Kinds, path: str, known: Known) -> Iterator[Fault]:
    match when:
        case Threshold():
            yield from _threshold_faults(when, kinds, path)
        case Duration():
            yield from where_faults(when.where, kinds, f"{path}.where", empty=False)
            yield from _samples_faults(when.samples, path)
            yield from show_faults(when.show, kinds, path)
        case Rate():
            yield from number_faults(when.metric, when.unit, kinds, path)
            rises = when.course in ("rise", "fall")
            yield from _band_faults(when.raise_at, when.clear_at, rises, path)
            if when.gap_s > 0 and not rises and when.gap_s < 60:
                yield f"{path}.gap_s", f"{when.gap_s:g} s is shorter than devices are silent", "give 600 or more"
        case Mean():
            yield from _mean_faults(when, kinds, path)
        case Count():
            yield from where_faults(when.where, kinds, f"{path}.where", empty=False)
            if when.distinct not in (None, "device"):
                yield from metric_faults(str(when.distinct), kinds, f"{path}.distinct", tuple(ValueType))
            if when.for_s >= when.within_s:
                yield f"{path}.for_s", f"{when.for_s:g} s is not below within_s: it can never fire", "give less, or leave it out"
        case Repeat():
            yield from _repeat_faults(when, kinds, path)
        case Surplus():
            yield from _surplus_faults(when, kinds, path)
        case Balance():
            yield from _balance_faults(when, kinds, path)
        case Correlation():
            for number, where in enumerate(when.of):
                for kind in fitting(where, kinds):
                    yield from where_faults(where, (kind,), f"{path}.of[{number}]", empty=False)
            if len(when.of) == 1 and when.devices == 1:
                yield f"{path}.of", "one thing at one device is no correlation", "name another, or devices: 2"
        case Forecast():
            yield from _forecast_faults(when, kinds, path)
        case Flatline():
            yield from number_faults(when.metric, when.unit, kinds, path)
            yield from range_faults(when.metric, when.moved_by, kinds, f"{path}.moved_by")
        case Anomaly():
            yield from number_faults(when.metric, when.unit, kinds, path)
            if when.calendar is not None and when.calendar not in known.calendars:
                yield f"{path}.calendar", f"no calendar {when.calendar!r}", nearest(when.calendar, known.calendars)


def _threshold_faults(when: Threshold, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _samples_faults(when.samples, path)
    yield from _limits_faults(when, kinds, path)


def _mean_faults(when: Mean, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _limits_faults(when, kinds, path)
    yield from where_faults(when.unless, kinds, f"{path}.unless", empty=True)
    if when.average == "energy" and when.unit != "dB":
        yield f"{path}.average", f"{when.unit!r} is no sound level", "energy is for dB: leave it out"


def _limits_faults(when: Threshold | Mean, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from number_faults(when.metric, when.unit, kinds, path)
    yield from _limit_faults(when, when.raise_at, when.clear_at, kinds, path)
    for number, dated in enumerate(when.dated):
        yield from _limit_faults(when, dated.raise_at, dated.clear_at, kinds, f"{path}.dated[{number}]")
        yield from _dated_faults(dated, f"{path}.dated[{number}]")


def _limit_faults(when: Threshold | Mean, raise_at: float, clear_at: float | None, kinds: Kinds, path: str) -> Iterator[Fault]:
    for name, value in (("raise_at", raise_at), ("clear_at", clear_at)):
        if value is not None and not math.isfinite(value):
            yield f"{path}.{name}", "is not a finite number", "give a number"
            return
    yield from _band_faults(raise_at, clear_at, when.direction == "above", path)
    yield from range_faults(when.metric, raise_at, kinds, f"{path}.raise_at")


def _band_faults(raise_at: float, clear_at: float | None, above: bool, path: str) -> Iterator[Fault]:
    if clear_at is not None and (clear_at > raise_at if above else clear_at < raise_at):
        where, side = ("above", "at or below") if above else ("below", "at or above")
        yield f"{path}.clear_at", f"{clear_at:g} is {where} raise_at {raise_at:g}", f"give a value {side} it"


def _dated_faults(dated: Dated, path: str) -> Iterator[Fault]:
    found: dict[str, date] = {}
    for name in ("valid_from", "valid_to"):
        text = getattr(dated, name)
        try:
            if text is not None:
                found[name] = date.fromisoformat(text)
        except ValueError:
            yield f"{path}.{name}", f"{text} does not exist", "as 2026-03-01"
    if len(found) == 2 and found["valid_to"] < found["valid_from"]:
        yield f"{path}.valid_to", "is before valid_from: the limit is never in force", "give a day after it"
    if not dated.clause.strip():
        yield f"{path}.clause", "is missing", "say in which standard and clause it stands"


def _samples_faults(samples: Samples | None, path: str) -> Iterator[Fault]:
    if samples is not None and samples.need > samples.of:
        yield f"{path}.samples.need", f"{samples.need} of {samples.of} can never agree", "give at most as many as `of`"


def _forecast_faults(when: Forecast, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from number_faults(when.metric, when.unit, kinds, path)
    yield from range_faults(when.metric, when.limit, kinds, f"{path}.limit")
    if when.gate_at >= when.limit if when.direction == "above" else when.gate_at <= when.limit:
        yield f"{path}.gate_at", f"{when.gate_at:g} is past the limit {when.limit:g}", "give a value that is met on the way to it"


def _repeat_faults(when: Repeat, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from event_faults(when.again, kinds, f"{path}.again")
    yield from event_faults(when.ends, kinds, f"{path}.ends")
    yield from show_faults(when.show, kinds, path)
    if when.again == when.ends:
        yield f"{path}.ends", "is the same as again: it can never fire", "name what comes between, as direction: out"
    if max(when.apart_s, when.for_s) >= when.within_s:
        yield f"{path}.within_s", f"{when.within_s:g} s is not above apart_s and for_s: it can never fire", "give more"


def _surplus_faults(when: Surplus, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from event_faults(when.than, kinds, f"{path}.than")
    if (when.more is None) == (when.counter is None):
        yield f"{path}.more", "more and counter are two ways to tell the same", "give one of them"
    if when.more is not None:
        yield from event_faults(when.more, kinds, f"{path}.more")
    if when.more == when.than:
        yield f"{path}.than", "is the same as more: it can never fire", "name what it should not be more than"
    if when.counter is not None:
        yield from metric_faults(when.counter, carrying(when.counter, kinds), f"{path}.counter", NUMBERS)
    if when.for_s >= when.within_s:
        yield f"{path}.for_s", f"{when.for_s:g} s is not below within_s: it can never fire", "give less, or leave it out"


def _balance_faults(when: Balance, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from event_faults(when.plus, kinds, f"{path}.plus")
    yield from event_faults(when.minus, kinds, f"{path}.minus")
    yield from metric_faults(when.census, carrying(when.census, kinds), f"{path}.census", NUMBERS)
    if when.plus == when.minus:
        yield f"{path}.minus", "is the same as plus: nothing would ever be there", "as direction: in and direction: out"


def _match_faults(when: Match, kinds: Kinds, known: Known) -> Iterator[Fault]:
    if when.list is not None and when.list not in known.lists:
        yield "when.list", f"no list {when.list!r}", nearest(when.list, known.lists)
    if (when.list is None) != (when.metric is None):
        yield "when.metric", "metric and list go together", "give both or neither"
    if when.list is None and when.spelling != "exact":
        yield "when.spelling", "is of a list, and none is named", "give metric and list, or leave it out"
    if when.where and when.where == when.unless:
        yield "when.unless", "is the same as where: it can never fire", "leave it out"
    if when.metric is not None:
        yield from metric_faults(when.metric, kinds, "when.metric", (ValueType.TEXT,))
