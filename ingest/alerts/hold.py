"""A condition that must hold for a while, and be gone for a while: the machine of every rule but sequence, match and absence.

clear -> pending (holds, not yet long enough) -> firing -> easing (gone, not yet long enough) -> clear

What holds is a ``Sense``'s to say. Timers of the phases and the instants at which a sense turns by itself are taken in their
order, a phase's before a sense's: whether a tick or a later sample comes upon them makes no difference.
"""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ingest.alerts.machine import Change, Sample, Transition, Transitions
from ingest.alerts.memory import Held, Learnt, Phase
from ingest.alerts.sense import Sense

MAX_TURNS = 1_000
"""Turns taken at once; what is due after them is taken the next time. A guard, not a limit that is met."""


@dataclass(frozen=True)
class Hold:
    """``for_us`` and ``clear_for_us`` in microseconds of event time."""

    sense: Sense[Any]
    for_us: int
    clear_for_us: int

    initial = Held()

    @property
    def metrics(self) -> frozenset[str]:
        return self.sense.metrics

    def advance(self, state: Held, sample: Sample) -> tuple[Held, Transitions]:
        if sample.at <= state.seen and not self.sense.many:
            return state, ()
        at = max(sample.at, state.seen)
        state, before = self.fire(state, at)
        raised = is_raised(state)
        known = self.memory_of(state)
        memory = self.sense.hear(known, sample, raised)
        if memory is known:
            return state, before
        holds = self.sense.holds(memory, at, raised)
        if holds and not sample.fresh:
            return state, before
        state = replace(state, memory=memory, seen=at)
        if holds is None:
            return state, before
        moved = _moved(state, holds, at)
        state, after = self._fire_phase(moved, max(at, moved.since))
        return state, before + after

    def fire(self, state: Held, until: int) -> tuple[Held, Transitions]:
        found: Transitions = ()
        for _ in range(MAX_TURNS):
            phase, turn = self._phase_due(state), self._turn(state)
            if phase is not None and phase <= until and (turn is None or phase <= turn):
                state, transitions = self._fire_phase(state, phase)
                found += transitions
            elif turn is not None and turn <= until:
                state = self._turned(state, turn)
            else:
                break
        return state, found

    def due(self, state: Held) -> int | None:
        return min((at for at in (self._phase_due(state), self._turn(state)) if at is not None), default=None)

    def idle(self, state: Held) -> bool:
        return state.phase is Phase.CLEAR and not isinstance(state.memory, Learnt)

    def memory_of(self, state: Held) -> Any:
        """What the sense remembers."""
        return self.sense.initial if state.memory is None else state.memory

    def _turn(self, state: Held) -> int | None:
        if state.memory is None:
            return None
        return self.sense.turns(state.memory, max(state.seen, state.turned), is_raised(state))

    def _turned(self, state: Held, at: int) -> Held:
        state = replace(state, turned=at)
        holds = self.sense.holds(state.memory, at, is_raised(state))
        return state if holds is None else _moved(state, holds, at)

    def _phase_due(self, state: Held) -> int | None:
        match state.phase:
            case Phase.PENDING:
                return state.since + self.for_us
            case Phase.EASING:
                return state.since + self.clear_for_us
            case _:
                return None

    def _fire_phase(self, state: Held, until: int) -> tuple[Held, Transitions]:
        at = self._phase_due(state)
        if at is None or at > until:
            return state, ()
        shown = self.sense.shown(self.memory_of(state), at)
        if state.phase is Phase.PENDING:
            return replace(state, phase=Phase.FIRING, since=at), (Transition(Change.RAISE, at, *_told(shown)),)
        return replace(state, phase=Phase.CLEAR, since=at), (Transition(Change.CLEAR, at, *_told(shown)),)


def is_raised(state: Held) -> bool:
    return state.phase is Phase.FIRING or state.phase is Phase.EASING


def _told(shown: Any) -> tuple[Any, Any, str, str]:
    return shown.value, shown.limit, shown.device, shown.clause


def _moved(state: Held, holds: bool, at: int) -> Held:
    """The phase after a verdict. Easing never begins before the alert was raised, even if a tick raised it too soon."""
    match state.phase:
        case Phase.CLEAR if holds:
            return replace(state, phase=Phase.PENDING, since=at)
        case Phase.PENDING if not holds:
            return replace(state, phase=Phase.CLEAR, since=at)
        case Phase.FIRING if not holds:
            return replace(state, phase=Phase.EASING, since=max(at, state.since))
        case Phase.EASING if holds:
            return replace(state, phase=Phase.FIRING, since=at)
        case _:
            return state
