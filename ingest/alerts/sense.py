"""What a condition is to the machine that times it: something that hears samples and, at any instant, holds or does not.

1. ``holds`` and ``turns`` are functions of the memory and of event time alone.
2. A sample that says nothing new to it leaves the memory the very same object: then nothing is written down.
3. Between two samples ``holds`` changes at instants told by ``turns`` and at no other.
4. What ``hear`` keeps is bounded however much it hears.
"""

from typing import NamedTuple, Protocol, TypeVar

from ingest.alerts.machine import Sample
from telemetry.metric import Value

M = TypeVar("M")


class Shown(NamedTuple):
    """What an alert shows of a condition, as in ``Transition``."""

    value: Value | None = None
    limit: Value | None = None
    clause: str = ""
    device: str = ""


class Sense(Protocol[M]):
    """``raised`` is whether the alert stands: a band of hysteresis answers by it, and a baseline learns nothing from it."""

    @property
    def initial(self) -> M: ...

    @property
    def metrics(self) -> frozenset[str]: ...

    @property
    def many(self) -> bool:
        """Whether it hears several devices, and so samples out of the order of their instants."""
        ...

    def hear(self, memory: M, sample: Sample, raised: bool) -> M: ...

    def holds(self, memory: M, at: int, raised: bool) -> bool | None:
        """``None``: nothing is known, so nothing changes."""
        ...

    def turns(self, memory: M, after: int, raised: bool) -> int | None:
        """The first instant after ``after`` at which ``holds`` may answer otherwise by the passing of time alone."""
        ...

    def shown(self, memory: M, at: int) -> Shown: ...
