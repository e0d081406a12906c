"""Combinations and guards: all or any of several conditions, and a condition that counts at certain times alone."""

from dataclasses import dataclass, field
from typing import Any

from ingest.alerts.condition import Condition
from ingest.alerts.hold import Hold, is_raised
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Joined
from ingest.alerts.schedule import Schedule
from ingest.alerts.sense import Sense, Shown

NOTHING = Condition({})


@dataclass(frozen=True)
class Join:
    """Each sub-condition has its own clock and remembers what it last said: what one reading leaves out, another told. What
    ``unless`` says last is remembered too."""

    of: tuple[Hold, ...]
    every: bool
    unless: Condition = NOTHING
    _far: list[tuple[Joined, int, Joined]] = field(default_factory=list, init=False, compare=False, repr=False)
    """What was asked last, until when, and what it came to: a clock that goes on over a long silence asks for each of its turns,
    and each would run through all those before it."""

    many = True

    @property
    def initial(self) -> Joined:
        return Joined(tuple(hold.initial for hold in self.of))

    @property
    def metrics(self) -> frozenset[str]:
        return self.unless.metrics.union(*(hold.metrics for hold in self.of))

    def hear(self, memory: Joined, sample: Sample, raised: bool) -> Joined:
        said = self.unless.holds(sample.values) if self.unless.where else None
        excused = memory.excused if said is None else said
        pairs = zip(self.of, memory.of, strict=True)
        found = tuple(
            state if hold.metrics.isdisjoint(sample.values) else hold.advance(state, sample)[0] for hold, state in pairs
        )
        return memory if found == memory.of and excused == memory.excused else Joined(found, excused)

    def holds(self, memory: Joined, at: int, raised: bool) -> bool | None:
        if memory.excused or self.is_decided(memory):
            return False
        said = (is_raised(state) for state in self._at(memory, at).of)
        return all(said) if self.every else any(said)

    def turns(self, memory: Joined, after: int, raised: bool) -> int | None:
        """Of the sub-conditions as they will be after ``after``; none matters while one says no that time will not change."""
        if self.is_decided(memory):
            return None
        memory = self._at(memory, after)
        times = (hold.due(state) for hold, state in zip(self.of, memory.of, strict=True))
        return min((at for at in times if at is not None), default=None)

    def is_decided(self, memory: Joined) -> bool:
        """Whether all of them are wanted, and one does not hold and will not by time alone."""
        pairs = zip(self.of, memory.of, strict=True)
        return self.every and any(not is_raised(state) and hold.due(state) is None for hold, state in pairs)

    def shown(self, memory: Joined, at: int) -> Shown:
        """Of the first that has a value, those that hold before the others."""
        pairs = sorted(zip(self.of, self._at(memory, at).of, strict=True), key=lambda pair: not is_raised(pair[1]))
        found = [hold.sense.shown(hold.memory_of(state), at) for hold, state in pairs]
        return next((shown for shown in found if shown.value is not None), found[0])

    def _at(self, memory: Joined, at: int) -> Joined:
        begin = memory
        for known, until, then in self._far:
            begin = then if known is memory and until <= at else memory
        moved = Joined(tuple(hold.fire(state, at)[0] for hold, state in zip(self.of, begin.of, strict=True)), memory.excused)
        self._far[:] = [(memory, at, moved)]
        return moved


@dataclass(frozen=True)
class Guarded:
    """The condition, while the schedule is active."""

    sense: Sense[Any]
    schedule: Schedule

    @property
    def initial(self) -> Any:
        return self.sense.initial

    @property
    def metrics(self) -> frozenset[str]:
        return self.sense.metrics

    @property
    def many(self) -> bool:
        return self.sense.many

    def hear(self, memory: Any, sample: Sample, raised: bool) -> Any:
        return self.sense.hear(memory, sample, raised)

    def holds(self, memory: Any, at: int, raised: bool) -> bool | None:
        holds = self.sense.holds(memory, at, raised)
        return self.schedule.active(at) if holds else holds

    def turns(self, memory: Any, after: int, raised: bool) -> int | None:
        """Edges of the schedule matter only while the condition holds."""
        times = [self.sense.turns(memory, after, raised)]
        if self.sense.holds(memory, after, raised):
            times.append(self.schedule.turns(after))
        return min((at for at in times if at is not None), default=None)

    def shown(self, memory: Any, at: int) -> Shown:
        return self.sense.shown(memory, at)
