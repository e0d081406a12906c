"""Measurements that wait out a storm: of each device the latest of each value. Pure.

1. An observation takes the place of an earlier one of its device when it tells every metric that the earlier one told: the
   latest value of each point stays, with the instant it is of. Earlier is what happened earlier, not what came earlier.
2. Nothing is mixed: what is taken out is whole observations, of each device in the order they came.
3. Bounded: ``is_full`` from ``PARKED`` observations on, or from ``KINDS`` of one device on, and then it is to be emptied.
"""

from collections.abc import Collection
from typing import NamedTuple

from device_profiles import Observation

PARKED = 5_000
KINDS = 16


class Parked(NamedTuple):
    """``arrived_at`` and ``happened_at`` in UTC microseconds; ``metrics`` are those it told or could not tell."""

    device: str
    observation: Observation
    arrived_at: int
    happened_at: int
    order: int
    metrics: frozenset[str]

    def supersedes(self, other: "Parked") -> bool:
        """Whether it tells all the other told, of the same instant or a later one. At a tie what came last counts."""
        return self.metrics >= other.metrics and (self.happened_at, self.order) > (other.happened_at, other.order)


class Freshest:
    """See the module. It is for measurements alone: events are never merged."""

    def __init__(self) -> None:
        self.is_full = False
        self._parked: dict[str, list[Parked]] = {}
        self._count = 0
        self._order = 0

    def put(self, device: str, observation: Observation, arrived_at: int) -> int:
        """How many had to go: earlier ones, or this one when a later one is here."""
        self._order += 1
        new = _parked(device, observation, arrived_at, self._order)
        those = self._parked.get(device, [])
        kept = [one for one in those if not new.supersedes(one)]
        if not any(one.supersedes(new) for one in kept):
            kept.append(new)
        self._parked[device] = kept
        self._count += len(kept) - len(those)
        self.is_full = self.is_full or self._count >= PARKED or len(kept) >= KINDS
        return len(those) + 1 - len(kept)

    def take(self) -> list[Parked]:
        """Everything, and it is empty."""
        taken = [one for those in self._parked.values() for one in those]
        self._parked.clear()
        self._count, self.is_full = 0, False
        return taken

    def take_of(self, device: str) -> list[Parked]:
        taken = self._parked.pop(device, [])
        self._count -= len(taken)
        return taken

    def keep_only(self, devices: Collection[str]) -> None:
        """Forgets what the others said."""
        for device in self._parked.keys() - devices:
            self.take_of(device)


def _parked(device: str, observation: Observation, arrived_at: int, order: int) -> Parked:
    happened_at = arrived_at if observation.at is None else observation.at
    told = frozenset((*observation.values, *(observation.faults or ())))
    return Parked(device, observation, arrived_at, happened_at, order, told)
