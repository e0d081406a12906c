"""What is wrong with the words of a rule: metrics that no reading carries, units that differ, values that nothing can take.

Each fault is its path inside the rule, the reason, and a cure.
"""

from collections.abc import Iterator

from ingest.alerts.ranges import range_of
from ingest.alerts.when import Scalar, Test, Where
from telemetry.document import nearest
from telemetry.metric import METRICS, Kind, Metric, ValueType

Fault = tuple[str, str, str]
Kinds = tuple[Kind, ...]
NUMBERS = (ValueType.FLOAT, ValueType.INT)


def fitting(where: Where, kinds: Kinds) -> Kinds:
    """The kinds of reading that carry all of a condition, else the first, to tell what is wrong."""
    return tuple(kind for kind in kinds if all(name in METRICS[kind] for name in where)) or kinds[:1]


def carrying(name: str, kinds: Kinds) -> Kinds:
    """The kinds of reading that carry a metric, else the first, to tell what is wrong."""
    return tuple(kind for kind in kinds if name in METRICS[kind]) or kinds[:1]


def metric_faults(name: str, kinds: Kinds, path: str, types: tuple[ValueType, ...]) -> Iterator[Fault]:
    """Of a metric that every one of ``kinds`` must carry, as one of ``types``."""
    for kind in kinds:
        metric = METRICS[kind].get(name)
        if metric is None:
            yield path, f"{kind} has no metric {name!r}", nearest(name, METRICS[kind])
        elif metric.type not in types:
            yield path, f"{kind}.{name} is {metric.type}", f"it must be {' or '.join(types)}"


def number_faults(name: str, unit: str, kinds: Kinds, path: str) -> Iterator[Fault]:
    """Of a number with the unit that its limits are in."""
    yield from metric_faults(name, kinds, f"{path}.metric", NUMBERS)
    for kind in kinds:
        metric = METRICS[kind].get(name)
        if metric and metric.unit != unit:
            reason = f"{kind}.{name} is in {metric.unit!r}, not {unit!r}"
            yield f"{path}.unit", reason, f"convert the limits to {metric.unit!r}"


def range_faults(name: str, value: float, kinds: Kinds, path: str) -> Iterator[Fault]:
    """Of a limit that no sensor reaches."""
    for kind in kinds:
        metric = METRICS[kind].get(name)
        bounds = range_of(name, metric.unit) if metric else None
        if metric and bounds and not bounds[0] <= value <= bounds[1]:
            reason = f"{value:g} is outside of what {kind}.{name} can be, {bounds[0]:g} to {bounds[1]:g} {metric.unit}"
            yield path, reason.rstrip(), "it could never be reached, or always is"


def show_faults(show: str | None, kinds: Kinds, path: str) -> Iterator[Fault]:
    """Of the metric that an alert shows, if any."""
    if show is not None:
        yield from metric_faults(show, kinds, f"{path}.show", tuple(ValueType))


def where_faults(where: Where, kinds: Kinds, path: str, *, empty: bool) -> Iterator[Fault]:
    """Of a condition; ``empty``: whether it may test nothing."""
    if not where and not empty:
        yield path, "is empty", "name a metric and what it must be"
    for name, wanted in where.items():
        here = f"{path}.{name}"
        yield from metric_faults(name, kinds, here, tuple(ValueType))
        for kind in kinds:
            if metric := METRICS[kind].get(name):
                yield from _test_faults(name, metric, wanted, here)


def event_faults(where: Where, kinds: Kinds, path: str) -> Iterator[Fault]:
    """Of what is counted one by one: state that is told again would count again."""
    for kind in fitting(where, kinds):
        yield from where_faults(where, (kind,), path, empty=False)
    if "event" not in where:
        yield path, "names no event", "what is counted must be an event, for state is told again and again"


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
