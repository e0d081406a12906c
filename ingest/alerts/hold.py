"""Threshold and duration: a condition that must hold for a while, and be gone for a while.

clear -> pending (holds, not yet long enough) -> firing -> easing (gone, not yet long enough) -> clear
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Change, Sample, Transition, Transitions
from ingest.alerts.rule import Threshold
from telemetry.metric import Value


class Phase(StrEnum):
    CLEAR = "clear"
    PENDING = "pending"
    FIRING = "firing"
    EASING = "easing"


class Held(msgspec.Struct, frozen=True, omit_defaults=True, tag="held"):
    """``since`` is when the phase began and ``seen`` the newest sample judged, event time; ``value`` is what it said."""

    phase: Phase = Phase.CLEAR
    since: int = 0
    seen: int = 0
    value: Value | None = None


class Judge(Protocol):
    """Whether the condition holds; ``raised`` lets a band of hysteresis answer by what it was. ``None`` is not said."""

    @property
    def metrics(self) -> frozenset[str]: ...

    @property
    def limit(self) -> Value | None: ...

    def holds(self, values: Mapping[str, Value], raised: bool) -> bool | None: ...

    def value(self, values: Mapping[str, Value]) -> Value | None: ...


class Level(NamedTuple):
    """A number against a limit to raise at and one to clear past."""

    spec: Threshold

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.spec.metric,))

    @property
    def limit(self) -> Value | None:
        return self.spec.raise_at

    def holds(self, values: Mapping[str, Value], raised: bool) -> bool | None:
        value = self.value(values)
        if value is None or isinstance(value, str):
            return None
        limit = self.spec.clear_at if raised and self.spec.clear_at is not None else self.spec.raise_at
        return value >= limit if self.spec.direction == "above" else value <= limit

    def value(self, values: Mapping[str, Value]) -> Value | None:
        return values.get(self.spec.metric)


class Met(NamedTuple):
    """A condition that is met or not; ``limit`` is the time it may last, ``show`` the metric to show, if any."""

    condition: Condition
    limit: Value | None = None
    show: str | None = None

    @property
    def metrics(self) -> frozenset[str]:
        return self.condition.metrics

    def holds(self, values: Mapping[str, Value], raised: bool) -> bool | None:
        return self.condition.holds(values)

    def value(self, values: Mapping[str, Value]) -> Value | None:
        return values.get(self.show) if self.show else None


@dataclass(frozen=True)
class Hold:
    """``for_us`` and ``clear_for_us`` in microseconds of event time."""

    judge: Judge
    for_us: int
    clear_for_us: int

    initial = Held()

    @property
    def metrics(self) -> frozenset[str]:
        return self.judge.metrics

    def advance(self, state: Held, sample: Sample) -> tuple[Held, Transitions]:
        if sample.at <= state.seen:
            return state, ()
        state, before = self.fire(state, sample.at)
        holds = self.judge.holds(sample.values, state.phase in (Phase.FIRING, Phase.EASING))
        if holds is None or (holds and not sample.fresh):
            return state, before
        moved = msgspec.structs.replace(_moved(state, holds, sample.at), seen=sample.at, value=self.judge.value(sample.values))
        state, after = self.fire(moved, max(sample.at, moved.since))
        return state, before + after

    def fire(self, state: Held, until: int) -> tuple[Held, Transitions]:
        at = self.due(state)
        if at is None or at > until:
            return state, ()
        if state.phase is Phase.PENDING:
            transition = Transition(Change.RAISE, at, state.value, self.judge.limit)
            return msgspec.structs.replace(state, phase=Phase.FIRING, since=at), (transition,)
        transition = Transition(Change.CLEAR, at, state.value, self.judge.limit)
        return msgspec.structs.replace(state, phase=Phase.CLEAR, since=at), (transition,)

    def due(self, state: Held) -> int | None:
        match state.phase:
            case Phase.PENDING:
                return state.since + self.for_us
            case Phase.EASING:
                return state.since + self.clear_for_us
            case _:
                return None

    def idle(self, state: Held) -> bool:
        return state.phase is Phase.CLEAR


def _moved(state: Held, holds: bool, at: int) -> Held:
    """The phase after a sample. Easing never begins before the alert was raised, even if a tick raised it too soon."""
    match state.phase:
        case Phase.CLEAR if holds:
            return msgspec.structs.replace(state, phase=Phase.PENDING, since=at)
        case Phase.PENDING if not holds:
            return msgspec.structs.replace(state, phase=Phase.CLEAR, since=at)
        case Phase.FIRING if not holds:
            return msgspec.structs.replace(state, phase=Phase.EASING, since=max(at, state.since))
        case Phase.EASING if holds:
            return msgspec.structs.replace(state, phase=Phase.FIRING, since=at)
        case _:
            return state
