"""Correlation: several things within a few seconds of each other, or one thing at several devices of a zone.

Each part is remembered for each device: an event for ``within_us`` after it was said; what holds for as long as it does and
``within_us`` after. At most ``MAX_PARTS`` are kept; those that were last true longest ago go first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Gathered, Part
from ingest.alerts.sense import Shown

MAX_PARTS = 256


@dataclass(frozen=True)
class Together:
    """Every one of ``parts`` must be there, and all of them at ``devices`` different devices at least."""

    parts: tuple[Condition, ...]
    devices: int
    within_us: int

    initial = Gathered()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset().union(*(part.metrics for part in self.parts))

    def hear(self, memory: Gathered, sample: Sample, raised: bool) -> Gathered:
        parts = dict(memory.parts)
        for number, condition in enumerate(self.parts):
            key = f"{number}/{sample.device}"
            found = _part(condition, parts.get(key), sample)
            if found is not None:
                parts[key] = found
        return memory if parts == memory.parts else Gathered(_newest(parts))

    def holds(self, memory: Gathered, at: int, raised: bool) -> bool | None:
        there = list(self._there(memory, at))
        numbers = {number for number, _ in there}
        return len(numbers) == len(self.parts) and len({device for _, device in there}) >= self.devices

    def turns(self, memory: Gathered, after: int, raised: bool) -> int | None:
        ends = (part.last + self.within_us for part in memory.parts.values() if not part.held)
        return min((at for at in ends if at > after), default=None)

    def shown(self, memory: Gathered, at: int) -> Shown:
        return Shown(len({device for _, device in self._there(memory, at)}), self.devices)

    def _there(self, memory: Gathered, at: int) -> Iterator[tuple[str, str]]:
        for key, part in memory.parts.items():
            if part.held or (part.last and at - part.last < self.within_us):
                number, _, device = key.partition("/")
                yield number, device


def _part(condition: Condition, old: Part | None, sample: Sample) -> Part | None:
    """The part as the sample leaves it; ``None`` when it says nothing, or nothing new."""
    said = condition.holds(sample.values)
    if said is None or (old is not None and sample.at <= old.at):
        return None
    if condition.is_event:
        return Part(sample.at, False, sample.at) if said else None
    if said:
        return Part(sample.at, True, sample.at)
    return Part(sample.at, False, sample.at if old and old.held else old.last if old else 0)


def _newest(parts: dict[str, Part]) -> dict[str, Part]:
    if len(parts) <= MAX_PARTS:
        return parts
    kept = sorted(parts, key=lambda key: (parts[key].held, parts[key].last, key))[-MAX_PARTS:]
    return {key: parts[key] for key in kept}
