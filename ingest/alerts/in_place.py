"""What takes readings in place: a state that is kept as what changes, and worked out when somebody asks for it."""

from functools import lru_cache
from typing import Any

from ingest.alerts.memory import Held
from telemetry.metric import Value

Values = dict[str, Value]


@lru_cache(1_024)
def same(metrics: frozenset[str]) -> frozenset[str]:
    """The same object for equal ones: a city has hundreds of thousands of folds."""
    return metrics


class Fold:
    """``at`` is event time, UTC microseconds; samples of unknown age are not to be offered, nor one with none of ``metrics``.

    ``take`` comes right after ``fits`` said yes to the same sample, and may go by what was found then.
    """

    __slots__ = ("metrics",)

    def __init__(self, metrics: frozenset[str]) -> None:
        self.metrics = same(metrics)

    def fits(self, at: int, device: str, values: Values) -> bool:
        raise NotImplementedError

    def take(self, at: int, device: str, values: Values) -> None:
        raise NotImplementedError

    def state(self) -> Any:
        raise NotImplementedError


class HoldFold(Fold):
    """A phase without an end. A sense's fold says what fits, takes it, and gives its memory."""

    __slots__ = ("_after", "_phase", "_seen", "_since", "_turned")

    def __init__(self, metrics: frozenset[str], state: Held) -> None:
        super().__init__(metrics)
        self._phase, self._since, self._seen, self._turned = state.phase, state.since, state.seen, state.turned
        self._after = max(state.since, state.seen, state.turned)

    def memory(self) -> Any:
        raise NotImplementedError

    def state(self) -> Held:
        return Held(self._phase, self._since, self._seen, self._turned, self.memory())
