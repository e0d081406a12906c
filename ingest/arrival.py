"""A batch inside the centre: decoded, in order, with its key and what was known when it came."""

from collections.abc import Sequence
from typing import NamedTuple

from telemetry.batch import Poison
from telemetry.identity import Stream
from telemetry.reading import Micros, Reading


class Arrival(NamedTuple):
    """``(stream, seq)`` is its key. ``received_at`` is the centre's clock, UTC microseconds.

    ``poison`` is what had to be left out of ``readings``: it becomes durable before the batch is acknowledged. ``size`` is
    what its JSON takes, in bytes. ``checked``: no store need look again whether its readings are sound. ``span``: from which
    instant to which they are, where somebody has looked; ask ``reach``.
    """

    stream: Stream
    seq: int
    readings: Sequence[Reading]
    received_at: Micros
    poison: tuple[Poison, ...] = ()
    size: int = 0
    checked: bool = False
    span: tuple[int, int] | None = None

    @property
    def reach(self) -> tuple[int, int] | None:
        """The first and the last instant of its readings; ``None`` where there are none."""
        return self.span or span_of(self.readings)


def span_of(readings: Sequence[Reading]) -> tuple[int, int] | None:
    instants = [reading.at for reading in readings]
    return (min(instants), max(instants)) if instants else None
