"""What every rule machine is: pure, with event time as its only time.

1. ``advance`` and ``fire`` are functions of their arguments alone; states are frozen and serialise to JSON and back.
2. A timer fires at the event time at which it became due, whether a later reading or a tick notices it: the transitions
   of a series are the same either way.
3. A sample not newer than the newest the machine has judged changes nothing: duplicates and late readings are inert.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from ingest.alerts.severity import Colour
from telemetry.metric import Value


class Sample(NamedTuple):
    """A reading as a machine sees it; ``at`` is event time, UTC microseconds.

    What is not ``fresh`` is of unknown age, as what a broker retained: it may end a condition, never begin one.
    """

    at: int
    device: str
    values: Mapping[str, Value]
    fresh: bool = True


class Change(StrEnum):
    """``GRADE``: raised before and still, of another colour from now on."""

    RAISE = "raise"
    GRADE = "grade"
    CLEAR = "clear"


class Transition(NamedTuple):
    """``at`` is event time. ``value`` and ``limit`` are what the alert shows; ``device`` is who caused it, when not the last
    sample's; ``clause`` is what the limit stands in, and ``colour`` how severe it is, when not the rule's own."""

    change: Change
    at: int
    value: Value | None = None
    limit: Value | None = None
    device: str = ""
    clause: str = ""
    colour: Colour | None = None


Transitions = tuple[Transition, ...]
S = TypeVar("S")


class Machine(Protocol[S]):
    """One rule's way of judging; ``S`` is the state it keeps for each subject."""

    @property
    def initial(self) -> S: ...

    @property
    def metrics(self) -> frozenset[str]:
        """A reading with none of these is none of its business."""
        ...

    def advance(self, state: S, sample: Sample) -> tuple[S, Transitions]: ...

    def fire(self, state: S, until: int) -> tuple[S, Transitions]:
        """Everything whose time has come at or before ``until``."""
        ...

    def due(self, state: S) -> int | None:
        """When ``fire`` next has something to do, or ``None``."""
        ...

    def idle(self, state: S) -> bool:
        """Whether forgetting the state would forget nothing but how old the newest sample is."""
        ...
