"""Sequence: something that comes about without what should have come with it, as a door that opens without a grant.

The excuse may arrive late: an occurrence waits ``settle`` for it before it raises. It raises with the time at which it
came about, and it is over when it no longer holds at any device that raised (or, for events, after a time of quiet).
"""

from dataclasses import dataclass

import msgspec

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Change, Sample, Transition, Transitions
from ingest.alerts.memory import Coming, Side, Watched
from ingest.alerts.schedule import Schedule

MAX_KEPT = 32
"""Excuses and waiting occurrences remembered for one subject; the oldest go first."""


@dataclass(frozen=True)
class Succession:
    happens: Condition
    without: tuple[Condition, ...]
    before_us: int
    settle_us: int
    quiet_us: int = 0
    schedule: Schedule | None = None

    initial = Watched()

    @property
    def metrics(self) -> frozenset[str]:
        return self.happens.metrics.union(*(excuse.metrics for excuse in self.without))

    def advance(self, state: Watched, sample: Sample) -> tuple[Watched, Transitions]:
        state, before = self.fire(state, sample.at)
        if sample.fresh and any(excuse.holds(sample.values) is True for excuse in self.without):
            state = self._excused(state, sample.at)
        state, ended = self._noticed(state, sample)
        state, after = self.fire(state, sample.at)
        return state, before + ended + after

    def fire(self, state: Watched, until: int) -> tuple[Watched, Transitions]:
        found: list[Transition] = []
        while (at := self.due(state)) is not None and at <= until:
            state, transitions = self._raise_first(state) if self._settled(state) == at else self._quietened(state, at)
            found += transitions
        return state, tuple(found)

    def due(self, state: Watched) -> int | None:
        times = [time for time in (self._settled(state), self._quiet(state)) if time is not None]
        return min(times, default=None)

    def idle(self, state: Watched) -> bool:
        return not state.coming and not state.raised and not any(side.held for side in state.sides.values())

    def _settled(self, state: Watched) -> int | None:
        return state.coming[0].at + self.settle_us if state.coming else None

    def _quiet(self, state: Watched) -> int | None:
        return max(state.raised.values()) + self.quiet_us if self.happens.is_event and state.raised else None

    def _excused(self, state: Watched, at: int) -> Watched:
        coming = tuple(one for one in state.coming if not self._excuses(at, one.at))
        return msgspec.structs.replace(state, coming=coming, excuses=tuple(sorted({*state.excuses, at}))[-MAX_KEPT:])

    def _excuses(self, excuse: int, occurrence: int) -> bool:
        return occurrence - self.before_us <= excuse <= occurrence + self.settle_us

    def _noticed(self, state: Watched, sample: Sample) -> tuple[Watched, Transitions]:
        """The state after what the sample says of the occurrence itself."""
        holds = self.happens.holds(sample.values)
        old = state.sides.get(sample.device)
        if holds is None or (old is not None and sample.at <= old.at):
            return state, ()
        state = msgspec.structs.replace(state, sides={**state.sides, sample.device: Side(sample.at, holds)})
        if not holds:
            return self._ended(state, sample.device, sample.at)
        came_about = sample.fresh and (self.happens.is_event or (old is not None and not old.held))
        came_about = came_about and (self.schedule is None or self.schedule.active(sample.at))
        if came_about and not any(self._excuses(excuse, sample.at) for excuse in state.excuses):
            coming = tuple(sorted((*state.coming, Coming(sample.at, sample.device))))[-MAX_KEPT:]
            state = msgspec.structs.replace(state, coming=coming)
        return state, ()

    def _raise_first(self, state: Watched) -> tuple[Watched, Transitions]:
        first, *rest = state.coming
        raised = {**state.raised, first.device: first.at}
        state = msgspec.structs.replace(state, coming=tuple(rest), raised=raised)
        transition = Transition(Change.RAISE, first.at, device=first.device)
        side = state.sides[first.device]
        state, ended = (state, ()) if side.held else self._ended(state, first.device, side.at)
        return state, (transition, *ended)

    def _ended(self, state: Watched, device: str, at: int) -> tuple[Watched, Transitions]:
        if self.happens.is_event or device not in state.raised:
            return state, ()
        raised = {other: since for other, since in state.raised.items() if other != device}
        state = msgspec.structs.replace(state, raised=raised)
        return state, () if raised else (Transition(Change.CLEAR, at, device=device),)

    def _quietened(self, state: Watched, at: int) -> tuple[Watched, Transitions]:
        return msgspec.structs.replace(state, raised={}), (Transition(Change.CLEAR, at),)
