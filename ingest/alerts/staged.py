"""How severe an alert is while it stands: its colour rises after a time, past another limit, or at certain hours.

1. The colour is the most severe of the rule's own and those of the stages that hold; without ``falls`` it only rises.
2. ``RAISE`` carries the colour of its instant, ``GRADE`` each change after it, at the event time at which it came about.
3. Stages hear every sample from the first on: one that holds already when the alert is raised counts at once.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec.structs import replace

from ingest.alerts.hold import Hold, is_raised
from ingest.alerts.machine import Change, Machine, Sample, Transition, Transitions
from ingest.alerts.memory import Graded
from ingest.alerts.schedule import Schedule
from ingest.alerts.severity import RANKS, Colour, rank

MAX_STEPS = 1_000


class Stage(NamedTuple):
    """Holds when all of what it names does: so long after the alert was raised, the hours, the condition."""

    colour: Colour
    after_us: int = 0
    schedule: Schedule | None = None
    condition: Hold | None = None


@dataclass(frozen=True)
class Staged:
    machine: Machine[Any]
    colour: Colour
    stages: tuple[Stage, ...]
    falls: bool = False

    @property
    def initial(self) -> Graded:
        return Graded(self.machine.initial, stages=tuple(hold.initial for hold in self._conditions))

    @property
    def metrics(self) -> frozenset[str]:
        return self.machine.metrics.union(*(hold.metrics for hold in self._conditions))

    def advance(self, state: Graded, sample: Sample) -> tuple[Graded, Transitions]:
        state, before = self.fire(state, sample.at)
        inner, said = self.machine.advance(state.inner, sample)
        conditions = tuple(hold.advance(old, sample)[0] for hold, old in zip(self._conditions, state.stages, strict=True))
        if inner == state.inner and conditions == state.stages:
            return state, before
        at = max(sample.at, state.judged)
        state = replace(state, inner=inner, stages=conditions, judged=at)
        state, after = self._graded(state, said, at)
        return state, before + after

    def fire(self, state: Graded, until: int) -> tuple[Graded, Transitions]:
        found: Transitions = ()
        for _ in range(MAX_STEPS):
            at = self.due(state)
            if at is None or at > until:
                break
            inner, said = self.machine.fire(state.inner, at)
            conditions = tuple(hold.fire(old, at)[0] for hold, old in zip(self._conditions, state.stages, strict=True))
            state = replace(state, inner=inner, stages=conditions, judged=at)
            state, transitions = self._graded(state, said, at)
            found += transitions
        return state, found

    def due(self, state: Graded) -> int | None:
        times = [self.machine.due(state.inner)]
        times += [hold.due(old) for hold, old in zip(self._conditions, state.stages, strict=True)]
        if state.raised_at:
            after = max(state.judged, state.raised_at)
            times += [state.raised_at + stage.after_us for stage in self.stages if state.raised_at + stage.after_us > after]
            times += [stage.schedule.turns(after) for stage in self.stages if stage.schedule]
        return min((at for at in times if at is not None), default=None)

    def idle(self, state: Graded) -> bool:
        return self.machine.idle(state.inner) and not any(is_raised(old) for old in state.stages)

    @property
    def _conditions(self) -> tuple[Hold, ...]:
        return tuple(stage.condition for stage in self.stages if stage.condition is not None)

    def _graded(self, state: Graded, said: Transitions, at: int) -> tuple[Graded, Transitions]:
        """The machine's transitions with their colours, and the change of colour that ``at`` brings, if any."""
        found: list[Transition] = []
        for transition in said:
            if transition.change is Change.CLEAR:
                state = replace(state, raised_at=0)
                found.append(transition)
                continue
            if not state.raised_at:
                state = replace(state, raised_at=transition.at, rank=0)
            now = self._rank(state, max(transition.at, state.raised_at))
            state = replace(state, rank=now if self.falls else max(now, state.rank))
            found.append(transition._replace(colour=RANKS[state.rank]))
        if state.raised_at:
            now = self._rank(state, at)
            now = now if self.falls else max(now, state.rank)
            if now != state.rank:
                state = replace(state, rank=now)
                found.append(Transition(Change.GRADE, at, colour=RANKS[now]))
        return state, tuple(found)

    def _rank(self, state: Graded, at: int) -> int:
        waiting = list(state.stages)
        found = rank(self.colour)
        for stage in self.stages:
            condition = waiting.pop(0) if stage.condition is not None else None
            holds = (
                at >= state.raised_at + stage.after_us
                and (stage.schedule is None or stage.schedule.active(at))
                and (condition is None or is_raised(condition))
            )
            found = max(found, rank(stage.colour)) if holds else found
        return found
