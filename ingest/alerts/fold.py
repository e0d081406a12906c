"""Windows that take readings in place: what nearly every reading does to one that is quiet, at a small part of its cost.

1. What a fold takes leaves its machine in its phase and without a timer, so nobody is to be told; of what it is not sure it says
   that it does not fit, and is as it was.
2. ``state`` is, to the last field, the state that the machine would have come to by judging each sample in its turn.
3. Only what is newer than all that was judged fits: so nothing that a fold takes is late.

A fold is made of a state and takes its place until something comes that does not fit; the folds of single senses are in
``ingest.alerts.window_folds``.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeGuard

from msgspec.structs import replace

from ingest.alerts.anomaly import Peers
from ingest.alerts.change import Change
from ingest.alerts.flatline import Flatline
from ingest.alerts.forecast import TheilSen
from ingest.alerts.hold import Hold, is_raised
from ingest.alerts.in_place import Fold, HoldFold, Values, same
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.level import EACH, Level, Met
from ingest.alerts.machine import Machine, Sample
from ingest.alerts.mean import Mean
from ingest.alerts.memory import Averaged, Fitted, Graded, Held, Joined, Phase, Siblings, Stillness, Trace, Verdict
from ingest.alerts.sense import Sense
from ingest.alerts.staged import Staged
from ingest.alerts.window_folds import ChangeFold, FlatlineFold, LevelFold, LineFold, MeanFold, MetFold, PeersFold


class Fixed(Fold):
    """A part that nothing may come to."""

    def __init__(self, metrics: frozenset[str], state: Any) -> None:
        super().__init__(metrics)
        self._state = state

    def fits(self, at: int, device: str, values: Values) -> bool:
        return False

    def take(self, at: int, device: str, values: Values) -> None:
        raise AssertionError("nothing fits")

    def state(self) -> Any:
        return self._state


class Stepped(Fold):
    """A part whose word makes no difference, as another says no: it judges as ever."""

    def __init__(self, hold: Hold, state: Held) -> None:
        super().__init__(hold.metrics)
        self._hold = hold
        self._state = state

    def fits(self, at: int, device: str, values: Values) -> bool:
        return at > self._state.seen

    def take(self, at: int, device: str, values: Values) -> None:
        self._state, _ = self._hold.advance(self._state, Sample(at, device, values))

    def state(self) -> Held:
        return self._state


class StagedFold(Fold):
    """A machine with its stages, of which each takes what is its own."""

    def __init__(self, state: Graded, inner: Fold, stages: Sequence[Fold]) -> None:
        super().__init__(inner.metrics.union(*(stage.metrics for stage in stages)))
        self._state = state
        self._parts = (inner, *stages)
        self._judged = state.judged

    def fits(self, at: int, device: str, values: Values) -> bool:
        return at > self._judged and _all_fit(self._parts, at, device, values)

    def take(self, at: int, device: str, values: Values) -> None:
        _all_take(self._parts, at, device, values)
        self._judged = at

    def state(self) -> Graded:
        inner, *stages = [part.state() for part in self._parts]
        return replace(self._state, inner=inner, judged=self._judged, stages=tuple(stages))


class JoinFold(HoldFold):
    """A combination that does not hold: none of its parts comes to hold by what they take."""

    __slots__ = ("_excused", "_parts", "_unless")

    def __init__(self, join: Join, state: Held, memory: Joined, parts: tuple[Fold, ...]) -> None:
        super().__init__(join.metrics, state)
        self._excused = memory.excused
        self._unless = same(join.unless.metrics)
        self._parts = parts

    def fits(self, at: int, device: str, values: Values) -> bool:
        return at > self._after and self._unless.isdisjoint(values) and _all_fit(self._parts, at, device, values)

    def take(self, at: int, device: str, values: Values) -> None:
        _all_take(self._parts, at, device, values)
        self._after = self._seen = at

    def memory(self) -> Joined:
        return Joined(tuple(part.state() for part in self._parts), self._excused)


def may_fold(machine: Machine[Any]) -> bool:
    """Whether there are folds of such a machine at all."""
    match machine:
        case Hold(sense=Guarded(sense=sense)) | Hold(sense=sense):
            return isinstance(sense, Peers | Flatline | Change | TheilSen | Join) or (
                isinstance(sense, Mean) and not sense.since_past
            )
        case Staged(machine=Hold(sense=Guarded(sense=inner) | inner), stages=stages):
            held = [stage.condition for stage in stages if stage.condition is not None]
            return isinstance(inner, Level) and any(map(may_fold, held))
        case _:
            return False


def fold_of(machine: Machine[Any], state: object) -> Fold | None:
    """``None`` when a state is not one that takes readings in place: something stands, or will by time alone."""
    match machine, state:
        case Hold(), Held():
            return _of_hold(machine, state)
        case Staged(machine=Hold() as inner, stages=stages), Graded(raised_at=0, inner=Held() as held):
            if machine.due(state) is not None:
                return None
            holds = [stage.condition for stage in stages if stage.condition is not None]
            parts = tuple(_part(hold, one) for hold, one in zip(holds, state.stages, strict=True))
            return StagedFold(state, _part(inner, held), parts)
        case _:
            return None


def _part(hold: Hold, state: Held) -> Fold:
    return _of_hold(hold, state) or Fixed(hold.metrics, state)


def _of_hold(hold: Hold, state: Held) -> HoldFold | None:
    if hold.due(state) is not None:
        return None
    sense = hold.sense.sense if isinstance(hold.sense, Guarded) else hold.sense
    match state:
        case Held(phase=Phase.CLEAR):
            return _of_sense(sense, state)
        case Held(phase=Phase.FIRING, memory=Verdict(holds=True) as verdict) if _goes_on(hold.sense):
            return MetFold(hold.sense, state, verdict)
        case _:
            return None


def _goes_on(sense: Sense[Any]) -> TypeGuard[Met]:
    return isinstance(sense, Met) and sense.samples == EACH


def _of_sense(sense: Sense[Any], state: Held) -> HoldFold | None:
    verdict = state.memory if isinstance(state.memory, Verdict) else None
    match sense, state.memory:
        case Peers(), Siblings() as memory:
            return PeersFold.of(sense, state, memory)
        case Flatline(), Stillness(stuck=stuck) as memory if not stuck:
            return FlatlineFold(sense, state, memory)
        case Mean(), Averaged() as memory:
            return MeanFold.of(sense, state, memory)
        case TheilSen(), Fitted() as memory:
            return LineFold(sense, state, memory)
        case Change(course="rise" | "fall"), Trace() as memory if memory.spans:
            return ChangeFold(sense, state, memory)
        case Level(), Verdict() | None if sense.samples == EACH:
            return LevelFold(sense, state, verdict)
        case Met(), Verdict() | None if _goes_on(sense):
            return MetFold(sense, state, verdict)
        case Join(), Joined() as memory:
            return JoinFold(sense, state, memory, tuple(_parts(sense, memory)))
        case _:
            return None


def _parts(join: Join, memory: Joined) -> Iterator[Fold]:
    says_no = join.is_decided(memory)
    for hold, one in zip(join.of, memory.of, strict=True):
        part = _part(hold, one)
        decides = not is_raised(one) and hold.due(one) is None
        yield Stepped(hold, one) if isinstance(part, Fixed) and says_no and not decides else part


def _all_fit(parts: Iterable[Fold], at: int, device: str, values: Values) -> bool:
    for part in parts:  # noqa: SIM110 - of two or three a generator would cost more than they
        if not part.metrics.isdisjoint(values) and not part.fits(at, device, values):
            return False
    return True


def _all_take(parts: Iterable[Fold], at: int, device: str, values: Values) -> None:
    for part in parts:
        if not part.metrics.isdisjoint(values):
            part.take(at, device, values)
