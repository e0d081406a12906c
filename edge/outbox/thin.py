"""What a nearly full outbox keeps of the bulk readings that come: one a minute of each device and set of metrics. Pure.

1. Only what comes is thinned, before it is sealed: a batch is never changed.
2. What is left out is counted by device, and each count ends in a loss certificate; while there is little room, in one that
   stands for more readings than it takes the room of.
3. Events are never thinned.
"""

from collections.abc import Sequence
from typing import NamedTuple

from telemetry.reading import Reading

MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000
WORTH = 16
"""So many readings left out are worth a certificate."""

Shape = tuple[str, frozenset[str]]


class Tally(NamedTuple):
    """Readings of a device left out, between two instants; ``since`` is when the counting began, UTC microseconds."""

    first: int
    last: int
    readings: int
    since: int

    def with_reading(self, at: int) -> "Tally":
        return Tally(min(self.first, at), max(self.last, at), self.readings + 1, self.since)

    def is_ripe(self, now: int, *, crowded: bool) -> bool:
        """Whether it is to be certified: after a minute; when ``crowded``, not for a few readings before an hour is over."""
        patience_us = HOUR_US if crowded and self.readings < WORTH else MINUTE_US
        return not 0 <= now - self.since < patience_us


class Thinned(NamedTuple):
    """What is kept; the tallies that changed; and the minute in which each device's metrics were kept last."""

    kept: list[Reading]
    tallies: dict[str, Tally]
    minutes: dict[Shape, int]


def thin(
    readings: Sequence[Reading], tallies: dict[str, Tally], minutes: dict[Shape, int], now: int, *, keep_some: bool
) -> Thinned:
    """Without ``keep_some`` nothing but events is kept."""
    kept: list[Reading] = []
    counted: dict[str, Tally] = {}
    latest = dict(minutes)
    for reading in readings:
        shape, minute = (reading.device, frozenset(reading.values)), reading.at // MINUTE_US
        if reading.event_id is not None:
            kept.append(reading)
        elif keep_some and latest.get(shape) != minute:
            latest[shape] = minute
            kept.append(reading)
        else:
            before = counted.get(reading.device) or tallies.get(reading.device) or Tally(reading.at, reading.at, 0, now)
            counted[reading.device] = before.with_reading(reading.at)
    return Thinned(kept, counted, latest)
