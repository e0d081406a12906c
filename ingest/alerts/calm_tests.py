"""The cheapest tests of a reading's values, and many of them made into one: nearly every reading passes through it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from telemetry.metric import Value

Values = dict[str, Value]
Calm = Callable[[Values], bool]


def always(values: Values) -> bool:
    return True


def never(values: Values) -> bool:
    return False


@dataclass(frozen=True)
class Between:
    """A number above one bound and below the other; text is no number, and passes."""

    metric: str
    above: float = -math.inf
    below: float = math.inf

    def __call__(self, values: Values) -> bool:
        value = values[self.metric]
        return isinstance(value, str) or self.above < value < self.below


@dataclass(frozen=True)
class Under:
    """A number below a bound; text is none."""

    metric: str
    bound: float

    def __call__(self, values: Values) -> bool:
        value = values[self.metric]
        return not isinstance(value, str) and value < self.bound


@dataclass(frozen=True)
class Isnt:
    """Anything but this."""

    metric: str
    wanted: bool

    def __call__(self, values: Values) -> bool:
        return values[self.metric] is not self.wanted


class Every:
    """All of them: of each metric one ``Between`` at most, and nothing twice."""

    def __init__(self, between: Iterable[Between], isnt: Iterable[Isnt], others: Iterable[Calm]) -> None:
        self.tests: tuple[Calm, ...] = (*between, *isnt, *others)
        self._between = tuple((one.metric, one.above, one.below) for one in between)
        self._isnt = tuple((one.metric, one.wanted) for one in isnt)
        self._others = tuple(others)

    def __call__(self, values: Values) -> bool:
        for metric, wanted in self._isnt:
            if values[metric] is wanted:
                return False
        for metric, above, below in self._between:
            value = values[metric]
            if not isinstance(value, str) and not above < value < below:
                return False
        for test in self._others:  # noqa: SIM110 - a generator would cost more than the tests
            if not test(values):
                return False
        return True


def every(tests: Iterable[Calm]) -> Calm:
    """Whether all of them say so."""
    bounds: dict[str, Between] = {}
    isnt: dict[Isnt, None] = {}
    others: list[Calm] = []
    for test in _flat(tests):
        match test:
            case Between(metric=metric, above=above, below=below):
                old = bounds.get(metric, test)
                bounds[metric] = Between(metric, max(old.above, above), min(old.below, below))
            case Isnt():
                isnt[test] = None
            case _:
                others.append(test)
    if never in others:
        return never
    all_of = Every(bounds.values(), isnt, others)
    if len(all_of.tests) > 1:
        return all_of
    return all_of.tests[0] if all_of.tests else always


def _flat(tests: Iterable[Calm]) -> Iterable[Calm]:
    for test in tests:
        if isinstance(test, Every):
            yield from test.tests
        elif test is not always:
            yield test
