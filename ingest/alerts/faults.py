"""What is wrong with a rule beyond its shape: words that nobody knows, units that differ, limits that no sensor can reach,
conditions that can never hold. Each fault is its path inside the rule, the reason, and a cure."""

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from ingest.alerts.ranges import range_of
from ingest.alerts.rule import Override, Rule
from ingest.alerts.text import NAMES, faults
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
    Scalar,
    Sequence,
    Simple,
    Surplus,
    Test,
    Threshold,
    When,
    Where,
)
from telemetry.document import nearest
from telemetry.metric import METRICS, Kind, Metric, ValueType

Fault = tuple[str, str, str]
Kinds = tuple[Kind, ...]
_NUMBERS = (ValueType.FLOAT, ValueType.INT)


class Known(NamedTuple):
    """Names that stand in any file."""

    lists: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()
    calendars: frozenset[str] = frozenset()


def rule_faults(rule: Rule, known: Known) -> Iterator[Fault]:
    """Everything wrong with one rule."""
    yield from _text_faults(rule)
    yield from _clearing_faults(rule)
    yield from _time_faults(rule, known)
    kinds = rule.applies_to.kinds
    if isinstance(rule.when, Absence):
        if rule.subject != "device" or rule.discriminator or rule.during or rule.stages:
            yield "subject", "an absence is of a device, at all times", "leave out subject, discriminator, during and stages"
        return
    if not kinds:
        yield "applies_to.kinds", "is missing", f"name the kinds of reading it watches: {', '.join(Kind)}"
        return
    if rule.discriminator:
        yield from _metric_faults(rule.discriminator, kinds, "discriminator", (ValueType.TEXT, ValueType.INT))
    yield from _when_faults(rule.when, kinds, "when", known)
    yield from _subject_faults(rule)
    for number, stage in enumerate(rule.stages):
        if stage.when is not None:
            yield from _when_faults(stage.when, kinds, f"stages[{number}].when", known)


def override_faults(rule: Rule, override: Override) -> Iterator[Fault]:
    """What is wrong with an override by itself."""
    if not (override.communities or override.zones or override.devices):
        yield "rule", "it names no community, zone or device", "change the rule itself"
    if override.devices and rule.subject != "device":
        yield "devices", f"{rule.id} judges a {rule.subject}", "name zones or communities"
    if override.zones and rule.subject == "community":
        yield "zones", f"{rule.id} judges a community", "name communities"
    if not override.set:
        yield "set", "is empty", "name a key of the rule's `when` and its value"
    fields = rule.when.__struct_fields__
    for name in override.set:
        if name not in fields:
            yield f"set.{name}", f"{rule.id} has no {name!r} in its `when`", nearest(name, fields)


def _text_faults(rule: Rule) -> Iterator[Fault]:
    for name, words in (("title", rule.title), ("text", rule.text)):
        for language in ("zh", "en"):
            template: str = getattr(words, language)
            if not template.strip():
                yield f"{name}.{language}", "is missing", "say it in both languages"
            for fault in faults(template):
                yield f"{name}.{language}", fault, f"known: {', '.join(sorted(NAMES))}"


def _clearing_faults(rule: Rule) -> Iterator[Fault]:
    when = rule.when
    is_event = isinstance(when, Match) or (isinstance(when, Sequence) and "event" in when.happens)
    if rule.clear_after_quiet_s is not None and not is_event:
        yield "clear_after_quiet_s", "is for events; this condition says itself when it is over", "leave it out"
    if rule.clear_after_quiet_s is None and is_event and not rule.latch:
        yield "latch", "an event is over at once and the alert with it", "give latch: true or clear_after_quiet_s"


def _time_faults(rule: Rule, known: Known) -> Iterator[Fault]:
    named = [("during", rule.during)] + [(f"stages[{n}].during", stage.during) for n, stage in enumerate(rule.stages)]
    for path, name in named:
        if name is not None and name not in known.schedules:
            yield path, f"no schedule {name!r}", nearest(name, known.schedules)
    for number, stage in enumerate(rule.stages):
        if not stage.after_s and stage.during is None and stage.when is None:
            yield f"stages[{number}]", "holds always", "give after_s, during or when, or the rule another colour"
        if stage.colour == rule.colour:
            yield (
                f"stages[{number}].colour",
                f"is {stage.colour} as the rule's own",
                "give another colour, or leave the stage out",
            )


def _subject_faults(rule: Rule) -> Iterator[Fault]:
    when = rule.when
    several = (isinstance(when, Correlation) and when.devices > 1) or (
        isinstance(when, Count) and when.distinct == "device" and when.count > 1
    )
    if rule.subject == "device" and several:
        yield "subject", "one device can never be several", "give subject: zone or community"
    among_siblings = isinstance(when, Flatline) or (isinstance(when, Anomaly) and when.method == "peers")
    if rule.subject != "zone" and among_siblings:
        yield "subject", "siblings are the devices of a zone", "give subject: zone"


def _when_faults(when: When, kinds: Kinds, path: str, known: Known) -> Iterator[Fault]:
    match when:
        case AllOf() | AnyOf():
            for number, one in enumerate(when.of):
                yield from _part_faults(one, kinds, f"{path}.of[{number}]", known)
            for kind in _fitting(when.unless, kinds):
                yield from _where_faults(when.unless, (kind,), f"{path}.unless", empty=True)
        case Sequence():
            yield from _where_faults(when.happens, kinds, f"{path}.happens", empty=False)
            if not when.without:
                yield f"{path}.without", "is empty", "name at least one thing that should have come with it, or use match"
            for number, where in enumerate(when.without):
                yield from _where_faults(where, kinds, f"{path}.without[{number}]", empty=False)
        case Match():
            yield from _where_faults(when.where, kinds, f"{path}.where", empty=when.list is not None)
            yield from _where_faults(when.unless, kinds, f"{path}.unless", empty=True)
            yield from _match_faults(when, kinds, known)
            yield from _show_faults(when.show, kinds, path)
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
            yield from _where_faults(when.where, kinds, f"{path}.where", empty=False)
            yield from _samples_faults(when.samples, path)
            yield from _show_faults(when.show, kinds, path)
        case Rate():
            yield from _number_faults(when.metric, when.unit, kinds, path)
            rises = when.course in ("rise", "fall")
            yield from _band_faults(when.raise_at, when.clear_at, rises, path)
            if when.gap_s > 0 and not rises and when.gap_s < 60:
                yield f"{path}.gap_s", f"{when.gap_s:g} s is shorter than devices are silent", "give 600 or more"
        case Mean():
            yield from _mean_faults(when, kinds, path)
        case Count():
            yield from _where_faults(when.where, kinds, f"{path}.where", empty=False)
            if when.distinct not in (None, "device"):
                yield from _metric_faults(str(when.distinct), kinds, f"{path}.distinct", tuple(ValueType))
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
                for kind in _fitting(where, kinds):
                    yield from _where_faults(where, (kind,), f"{path}.of[{number}]", empty=False)
            if len(when.of) == 1 and when.devices == 1:
                yield f"{path}.of", "one thing at one device is no correlation", "name another, or devices: 2"
        case Forecast():
            yield from _forecast_faults(when, kinds, path)
        case Flatline():
            yield from _number_faults(when.metric, when.unit, kinds, path)
            yield from _range_faults(when.metric, when.moved_by, kinds, f"{path}.moved_by")
        case Anomaly():
            yield from _number_faults(when.metric, when.unit, kinds, path)
            if when.calendar is not None and when.calendar not in known.calendars:
                yield f"{path}.calendar", f"no calendar {when.calendar!r}", nearest(when.calendar, known.calendars)


def _fitting(where: Where, kinds: Kinds) -> Kinds:
    """The kinds of reading that carry all of a condition, else the first, to tell what is wrong."""
    return tuple(kind for kind in kinds if all(name in METRICS[kind] for name in where)) or kinds[:1]


def _threshold_faults(when: Threshold, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _samples_faults(when.samples, path)
    yield from _limits_faults(when, kinds, path)


def _mean_faults(when: Mean, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _limits_faults(when, kinds, path)
    yield from _where_faults(when.unless, kinds, f"{path}.unless", empty=True)
    if when.average == "energy" and when.unit != "dB":
        yield f"{path}.average", f"{when.unit!r} is no sound level", "energy is for dB: leave it out"


def _limits_faults(when: Threshold | Mean, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _number_faults(when.metric, when.unit, kinds, path)
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
    yield from _range_faults(when.metric, raise_at, kinds, f"{path}.raise_at")


def _band_faults(raise_at: float, clear_at: float | None, above: bool, path: str) -> Iterator[Fault]:
    if clear_at is not None and (clear_at > raise_at if above else clear_at < raise_at):
        where, side = ("above", "at or below") if above else ("below", "at or above")
        yield f"{path}.clear_at", f"{clear_at:g} is {where} raise_at {raise_at:g}", f"give a value {side} it"


def _range_faults(name: str, value: float, kinds: Kinds, path: str) -> Iterator[Fault]:
    for kind in kinds:
        metric = METRICS[kind].get(name)
        bounds = range_of(name, metric.unit) if metric else None
        if metric and bounds and not bounds[0] <= value <= bounds[1]:
            reason = f"{value:g} is outside of what {kind}.{name} can be, {bounds[0]:g} to {bounds[1]:g} {metric.unit}"
            yield path, reason.rstrip(), "it could never be reached, or always is"


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
    yield from _number_faults(when.metric, when.unit, kinds, path)
    yield from _range_faults(when.metric, when.limit, kinds, f"{path}.limit")
    if when.gate_at >= when.limit if when.direction == "above" else when.gate_at <= when.limit:
        yield f"{path}.gate_at", f"{when.gate_at:g} is past the limit {when.limit:g}", "give a value that is met on the way to it"


def _repeat_faults(when: Repeat, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _event_faults(when.again, kinds, f"{path}.again")
    yield from _event_faults(when.ends, kinds, f"{path}.ends")
    yield from _show_faults(when.show, kinds, path)
    if when.again == when.ends:
        yield f"{path}.ends", "is the same as again: it can never fire", "name what comes between, as direction: out"
    if max(when.apart_s, when.for_s) >= when.within_s:
        yield f"{path}.within_s", f"{when.within_s:g} s is not above apart_s and for_s: it can never fire", "give more"


def _surplus_faults(when: Surplus, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _event_faults(when.than, kinds, f"{path}.than")
    if (when.more is None) == (when.counter is None):
        yield f"{path}.more", "more and counter are two ways to tell the same", "give one of them"
    if when.more is not None:
        yield from _event_faults(when.more, kinds, f"{path}.more")
    if when.more == when.than:
        yield f"{path}.than", "is the same as more: it can never fire", "name what it should not be more than"
    if when.counter is not None:
        yield from _metric_faults(when.counter, _carrying(when.counter, kinds), f"{path}.counter", _NUMBERS)
    if when.for_s >= when.within_s:
        yield f"{path}.for_s", f"{when.for_s:g} s is not below within_s: it can never fire", "give less, or leave it out"


def _balance_faults(when: Balance, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _event_faults(when.plus, kinds, f"{path}.plus")
    yield from _event_faults(when.minus, kinds, f"{path}.minus")
    yield from _metric_faults(when.census, _carrying(when.census, kinds), f"{path}.census", _NUMBERS)
    if when.plus == when.minus:
        yield f"{path}.minus", "is the same as plus: nothing would ever be there", "as direction: in and direction: out"


def _event_faults(where: Where, kinds: Kinds, path: str) -> Iterator[Fault]:
    """Of what is counted one by one: state that is told again would count again."""
    for kind in _fitting(where, kinds):
        yield from _where_faults(where, (kind,), path, empty=False)
    if "event" not in where:
        yield path, "names no event", "what is counted must be an event, for state is told again and again"


def _carrying(name: str, kinds: Kinds) -> Kinds:
    """The kinds of reading that carry a metric, else the first, to tell what is wrong."""
    return tuple(kind for kind in kinds if name in METRICS[kind]) or kinds[:1]


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
        yield from _metric_faults(when.metric, kinds, "when.metric", (ValueType.TEXT,))


def _show_faults(show: str | None, kinds: Kinds, path: str) -> Iterator[Fault]:
    if show is not None:
        yield from _metric_faults(show, kinds, f"{path}.show", tuple(ValueType))


def _number_faults(name: str, unit: str, kinds: Kinds, path: str) -> Iterator[Fault]:
    yield from _metric_faults(name, kinds, f"{path}.metric", _NUMBERS)
    for kind in kinds:
        metric = METRICS[kind].get(name)
        if metric and metric.unit != unit:
            reason = f"{kind}.{name} is in {metric.unit!r}, not {unit!r}"
            yield f"{path}.unit", reason, f"convert the limits to {metric.unit!r}"


def _metric_faults(name: str, kinds: Kinds, path: str, types: tuple[ValueType, ...]) -> Iterator[Fault]:
    for kind in kinds:
        metric = METRICS[kind].get(name)
        if metric is None:
            yield path, f"{kind} has no metric {name!r}", nearest(name, METRICS[kind])
        elif metric.type not in types:
            yield path, f"{kind}.{name} is {metric.type}", f"it must be {' or '.join(types)}"


def _where_faults(where: Where, kinds: Kinds, path: str, *, empty: bool) -> Iterator[Fault]:
    if not where and not empty:
        yield path, "is empty", "name a metric and what it must be"
    for name, wanted in where.items():
        here = f"{path}.{name}"
        yield from _metric_faults(name, kinds, here, tuple(ValueType))
        for kind in kinds:
            if metric := METRICS[kind].get(name):
                yield from _test_faults(name, metric, wanted, here)


def _test_faults(name: str, metric: Metric, wanted: Scalar | tuple[Scalar, ...] | Test, path: str) -> Iterator[Fault]:
    if isinstance(wanted, Test):
        yield from _bound_faults(name, metric, wanted, path)
        values = wanted.other_than
    else:
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        if not values:
            yield path, "an empty list is never satisfied", "name what it may be"
    for value in values:
        if not _fits(metric, value):
            yield path, f"{value!r} can never be the value of {metric.type}", f"it is {metric.type}: {metric.meaning}"


def _bound_faults(name: str, metric: Metric, test: Test, path: str) -> Iterator[Fault]:
    if test.contains and metric.type is not ValueType.TEXT:
        yield f"{path}.contains", f"it is {metric.type}, not text", "contains is for comma-separated text"
    if (test.at_least is not None or test.at_most is not None) and metric.type in (ValueType.TEXT, ValueType.BOOL):
        yield path, f"it is {metric.type}, not a number", "at_least and at_most are for numbers"
    if test == Test():
        yield path, "tests nothing", "give contains, other_than, at_least or at_most"
    low, high = test.at_least, test.at_most
    if low is not None and high is not None and low > high:
        yield path, f"nothing is at least {low:g} and at most {high:g}", "turn them round"
    bounds = range_of(name, metric.unit)
    if bounds and ((low is not None and low > bounds[1]) or (high is not None and high < bounds[0])):
        yield path, f"it is never outside of {bounds[0]:g} to {bounds[1]:g}", "it can never hold"


def _fits(metric: Metric, value: Scalar) -> bool:
    match metric.type:
        case ValueType.BOOL:
            return isinstance(value, bool)
        case ValueType.TEXT:
            return isinstance(value, str)
        case _:
            return not isinstance(value, bool | str)
