"""One machine's state for one subject, as it stands: whoever asks for it has it as it is, however it is kept meanwhile."""

from typing import Any, NamedTuple, cast

from ingest.alerts.episode import Key
from ingest.alerts.fold import fold_of
from ingest.alerts.in_place import Fold, Values
from ingest.alerts.machine import Machine
from ingest.alerts.memory import Absent, Judged
from telemetry.identity import Stream

FOLD_EVERY = 4
"""So many samples are judged before a fold is looked for again."""

State = Judged | Absent


class Origin(NamedTuple):
    """The sample that led to a state: ``lag`` is by how much an urgent one came after its ``at``, its way here and how far its
    device's clock is behind."""

    gateway: str
    lane: str
    device: str
    at: int
    lag: int


class Entry:
    """One machine's state for one subject, and when a timer of it is ``due``. It is changed in place, and by a ``fold`` without
    being worked out: whoever asks for the state has it as it is.

    ``is_noted``: it has changed since it was written, and ``States`` knows. ``followed`` is the last row of the trail that it had
    followed when it was read back.
    """

    __slots__ = ("_asked", "_at", "_device", "_fold", "_gateway", "_lag", "_lane", "_state", "due", "followed", "is_noted", "key")

    def __init__(self, key: Key, state: State, origin: Origin, due: int | None) -> None:
        self.key = key
        self.due = due
        self.is_noted = False
        self.followed = 0
        self._gateway, self._lane, self._device, self._at, self._lag = origin
        self._state: State | None = state
        self._fold: Fold | None = None
        self._asked = 0

    @property
    def origin(self) -> Origin:
        return Origin(self._gateway, self._lane, self._device, self._at, self._lag)

    @property
    def state(self) -> State:
        if self._state is None:
            assert self._fold is not None
            return cast(State, self._fold.state())
        return self._state

    def follow(self, state: State, origin: Origin, due: int | None) -> None:
        """It was judged."""
        self._state, self._fold, self.due = state, None, due
        self._gateway, self._lane, self._device, self._at, self._lag = origin

    def takes(self, machine: Machine[Any], stream: Stream, at: int, lag: int, device: str, values: Values) -> bool:
        """Takes a sample that changes nothing but a window."""
        fold = self._fold
        if fold is None:
            fold = self._folded(machine)
            if fold is None:
                return False
        if not fold.fits(at, device, values):
            return False
        fold.take(at, device, values)
        self._state, self._asked = None, 0
        self._gateway, self._lane, self._device, self._at, self._lag = stream.gateway, stream.lane, device, at, lag
        return True

    def _folded(self, machine: Machine[Any]) -> Fold | None:
        """Looked for at once, but not each time where none is found, or none that fits."""
        if self._asked % FOLD_EVERY == 0:
            self._fold = fold_of(machine, self._state)
        self._asked += 1
        return self._fold
