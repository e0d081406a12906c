"""How a number changes within a window: rises, falls, stands still, or fails to rise or fall.

A value counts until the next one is said, for a gateway says what changed. The window holds at most ``MAX_SPANS`` spans: past
that the older ones are joined two by two, lowest and highest kept, so that a change is never missed and may stand up to a
sixteenth of the window too long. A silence longer than ``gap_us`` starts the window anew: what happened in it is not known.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ingest.alerts.machine import Sample
from ingest.alerts.memory import Span, Trace
from ingest.alerts.sense import Shown

MAX_SPANS = 64

Course = Literal["rise", "fall", "still", "no_rise", "no_fall"]


@dataclass(frozen=True)
class Change:
    """``rise``, ``fall``: by ``raise_at`` or more. The others need the whole window: by less than ``raise_at``, either way for
    ``still``. ``clear_at`` takes the place of ``raise_at`` while the alert stands."""

    metric: str
    course: Course
    within_us: int
    raise_at: float
    clear_at: float
    gap_us: int

    initial = Trace()
    many = False

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Trace, sample: Sample, raised: bool) -> Trace:
        value = sample.values.get(self.metric)
        if value is None or isinstance(value, str):
            return memory
        value = float(value)
        if not memory.spans or sample.at - memory.newest > self.gap_us:
            return Trace((Span(sample.at, value, value),), sample.at, value)
        spans = memory.spans
        if spans[-1].low != value or spans[-1].high != value:
            spans = joined((*spans, Span(sample.at, value, value)))
        return Trace(self._current(spans, sample.at), sample.at, value)

    def holds(self, memory: Trace, at: int, raised: bool) -> bool | None:
        if not memory.spans or at - memory.newest > self.gap_us:
            return None if not memory.spans else False
        covered = memory.spans[0].at <= at - self.within_us
        if not covered and self.course not in ("rise", "fall"):
            return False
        bound = self.clear_at if raised else self.raise_at
        changed = self._changed(memory, at)
        return changed >= bound if self.course in ("rise", "fall") else changed < bound

    def turns(self, memory: Trace, after: int, raised: bool) -> int | None:
        """When a span leaves the window or the window is whole; and when the silence has become too long."""
        if not memory.spans or (self.course in ("rise", "fall") and not self.holds(memory, after, raised)):
            return None
        silent = memory.newest + self.gap_us + 1
        for span in memory.spans:
            if span.at + self.within_us > after:
                return min(span.at + self.within_us, silent) if silent > after else None
        return silent if silent > after else None

    def shown(self, memory: Trace, at: int) -> Shown:
        return Shown(round(self._changed(memory, at), 9), self.raise_at)

    def _changed(self, memory: Trace, at: int) -> float:
        spans = self._current(memory.spans, at)
        low, high = min(span.low for span in spans), max(span.high for span in spans)
        match self.course:
            case "rise" | "no_rise":
                return memory.value - low
            case "fall" | "no_fall":
                return high - memory.value
            case _:
                return high - low

    def _current(self, spans: tuple[Span, ...], at: int) -> tuple[Span, ...]:
        """Those that reach into the window: a span ends where the next begins."""
        gone = sum(later.at <= at - self.within_us for _, later in pairwise(spans))
        return spans[gone:] if gone else spans


def joined(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """As many as a window holds."""
    if len(spans) <= MAX_SPANS:
        return spans
    older, newer = spans[: MAX_SPANS // 2], spans[MAX_SPANS // 2 :]
    pairs = zip(older[::2], older[1::2], strict=True)
    return (*(Span(one.at, min(one.low, two.low), max(one.high, two.high)) for one, two in pairs), *newer)
