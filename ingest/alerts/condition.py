"""Whether a reading satisfies a ``where``: yes, no, or not said."""

from collections.abc import Mapping
from typing import NamedTuple

from ingest.alerts.when import Scalar, Test, Where
from telemetry.metric import Value


class Condition(NamedTuple):
    """All of its tests must hold. A metric the reading does not carry is unknown, and so is the whole unless another
    test already fails; but an event is told whole, so what it leaves out is not so."""

    where: Where

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(self.where)

    @property
    def is_event(self) -> bool:
        return "event" in self.where

    def holds(self, values: Mapping[str, Value]) -> bool | None:
        known = True
        for metric, wanted in self.where.items():
            value = values.get(metric)
            if value is None:
                if self.is_event and "event" in values:
                    return False
                known = False
            elif value is not wanted and not _satisfies(value, wanted):
                return False
        return True if known else None


def _satisfies(value: Value, wanted: Scalar | tuple[Scalar, ...] | Test) -> bool:
    if isinstance(wanted, Test):
        return _passes(value, wanted)
    if isinstance(wanted, tuple):
        return any(_same(value, one) for one in wanted)
    return _same(value, wanted)


def _passes(value: Value, test: Test) -> bool:
    if test.contains and not set(test.contains) & set(str(value).split(",")):
        return False
    if any(_same(value, one) for one in test.other_than):
        return False
    if isinstance(value, str):
        return True
    return (test.at_least is None or value >= test.at_least) and (test.at_most is None or value <= test.at_most)


def _same(value: Value, wanted: Scalar) -> bool:
    """Equality that does not take true for 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
