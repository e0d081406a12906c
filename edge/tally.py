"""What pollers and device brokers count. One event loop, so plain numbers; they grow from the start of the program."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

LATENESSES_KEPT = 4096
REQUESTS_JUDGED = 100
NOTABLY_POINTS = 5.0


@dataclass
class UnitTally:
    """What one unit was asked and how it failed. A damaged answer is no time-out."""

    requests: int = 0
    timeouts: int = 0
    damaged: int = 0
    refused: int = 0


@dataclass
class Tally:
    """``polls_missed`` were left out; ``timeouts`` has damaged answers among them.

    ``thinned``: what devices said over MQTT and was left out of a storm, because they said it anew.
    """

    polls: int = 0
    polls_missed: int = 0
    timeouts: int = 0
    damaged: int = 0
    refused: int = 0
    undecodable: int = 0
    thinned: int = 0
    units: dict[str, UnitTally] = field(default_factory=dict)
    latenesses: deque[float] = field(default_factory=lambda: deque(maxlen=LATENESSES_KEPT))

    def unit(self, device: str) -> UnitTally:
        return self.units.setdefault(device, UnitTally())

    def late(self, lateness_s: float) -> None:
        self.latenesses.append(lateness_s)


class Lateness(NamedTuple):
    """Of the polls since it was asked for last, seconds."""

    largest: float
    p99: float


def taken_lateness(tally: Tally) -> Lateness:
    """Takes the latenesses out of the tally."""
    ordered = sorted(tally.latenesses)
    tally.latenesses.clear()
    if not ordered:
        return Lateness(0.0, 0.0)
    return Lateness(ordered[-1], ordered[(len(ordered) * 99 - 1) // 100])


class Rates(NamedTuple):
    """Per cent of a unit's requests."""

    timeouts: float = 0.0
    damaged: float = 0.0

    def moved(self, other: "Rates") -> bool:
        return any(abs(now - then) >= NOTABLY_POINTS for now, then in zip(self, other, strict=True))


class UnitRates:
    """Which units fail notably more or less often than was said of them last; of a unit that never failed nothing is said.

    A rate is of ``REQUESTS_JUDGED`` requests or more, so that a single failure is no news.
    """

    def __init__(self) -> None:
        self._judged: dict[str, UnitTally] = {}
        self._said: dict[str, Rates] = {}

    def news(self, units: Mapping[str, UnitTally]) -> dict[str, Rates]:
        """By device; what it returns counts as said."""
        self._judged = {device: tally for device, tally in self._judged.items() if device in units}
        self._said = {device: rates for device, rates in self._said.items() if device in units}
        rates = {device: rates for device, tally in units.items() if (rates := self._rates(device, tally)) is not None}
        fresh = {device: now for device, now in rates.items() if now.moved(self._said.get(device, Rates()))}
        self._said |= fresh
        return fresh

    def _rates(self, device: str, tally: UnitTally) -> Rates | None:
        before = self._judged.setdefault(device, UnitTally())
        if tally.requests < before.requests:  # a unit that was replaced begins anew
            before = UnitTally()
        requests = tally.requests - before.requests
        if requests < REQUESTS_JUDGED:
            return None
        self._judged[device] = replace(tally)
        failed = tally.timeouts - before.timeouts, tally.damaged - before.damaged
        return Rates(*(round(100 * count / requests, 1) for count in failed))
