"""Match: events that raise each time they come, and are over after a time of quiet."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Change, Sample, Transition, Transitions
from ingest.alerts.memory import Occurred
from ingest.alerts.schedule import Schedule
from telemetry.metric import Value


@dataclass(frozen=True)
class Occurrence:
    """``listed`` holds the references that count, when the rule matches a list; ``quiet_us`` 0 is over at once. What ``unless``
    holds for does not count."""

    condition: Condition
    quiet_us: int
    metric: str | None = None
    listed: frozenset[str] = frozenset()
    show: str | None = None
    schedule: Schedule | None = None
    unless: Condition | None = None

    initial = Occurred()

    @property
    def metrics(self) -> frozenset[str]:
        return self.condition.metrics | ({self.metric} if self.metric else set())

    def advance(self, state: Occurred, sample: Sample) -> tuple[Occurred, Transitions]:
        if sample.at <= state.last or not sample.fresh or not self._matches(sample.values):
            return state, ()
        if self.schedule is not None and not self.schedule.active(sample.at):
            return state, ()
        state, before = self.fire(state, sample.at)
        value = sample.values.get(self.show) if self.show else None
        state, after = self.fire(Occurred(sample.at, True), sample.at)
        return state, (*before, Transition(Change.RAISE, sample.at, value), *after)

    def fire(self, state: Occurred, until: int) -> tuple[Occurred, Transitions]:
        at = self.due(state)
        if at is None or at > until:
            return state, ()
        return Occurred(state.last, False), (Transition(Change.CLEAR, at),)

    def due(self, state: Occurred) -> int | None:
        return state.last + self.quiet_us if state.active else None

    def idle(self, state: Occurred) -> bool:
        return not state.active

    def _matches(self, values: Mapping[str, Value]) -> bool:
        if self.metric is not None and values.get(self.metric) not in self.listed:
            return False
        if self.unless is not None and self.unless.holds(values) is True:
            return False
        return self.condition.holds(values) is True
