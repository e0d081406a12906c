"""One machine's state for one subject, as it stands: whoever asks for it has it as it is, however it is kept meanwhile."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ingest.alerts.absence import Absent
from ingest.alerts.episode import Key
from ingest.alerts.fold import Fold, fold_of
from ingest.alerts.machine import Machine
from ingest.alerts.memory import Judged
from telemetry.metric import Value

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

    ``is_noted``: it has changed since it was written, and ``States`` knows.
    """

    __slots__ = ("_asked", "_fold", "_state", "due", "is_noted", "key", "origin")

    def __init__(self, key: Key, state: State, origin: Origin, due: int | None) -> None:
        self.key = key
        self.origin = origin
        self.due = due
        self.is_noted = False
        self._state: State | None = state
        self._fold: Fold | None = None
        self._asked = 0

    @property
    def state(self) -> State:
        if self._state is None:
            assert self._fold is not None
            return cast(State, self._fold.state())
        return self._state

    def follow(self, state: State, origin: Origin, due: int | None) -> None:
        """It was judged."""
        self._state, self._fold, self.origin, self.due = state, None, origin, due

    def takes(self, machine: Machine[Any], at: int, device: str, values: Mapping[str, Value]) -> bool:
        """Takes a sample that changes nothing but a window; ``origin`` is then to be set."""
        fold = self._fold
        if fold is None:
            fold = self._folded(machine)
            if fold is None:
                return False
        if not fold.fits(at, device, values):
            return False
        self._state, self._asked = None, 0
        fold.take(at, device, values)
        return True

    def _folded(self, machine: Machine[Any]) -> Fold | None:
        """Looked for at once, but not each time where none is found, or none that fits."""
        if self._asked % FOLD_EVERY == 0:
            self._fold = fold_of(machine, self._state)
        self._asked += 1
        return self._fold
