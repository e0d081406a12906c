"""A batch inside the centre: decoded, in order, with its key and what was known when it came."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from telemetry.batch import Poison
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading


class Gist(NamedTuple):
    """What many ask of a batch: its first, its last and its middle instant (``None`` without readings), and how many readings
    of each kind. Whoever decodes a batch looks at once: half a second later its readings have left the processor's cache, and
    to touch each of them again costs more than what is done by it."""

    reach: tuple[int, int] | None
    middle: int | None
    kinds: Mapping[Kind, int]


class Arrival(NamedTuple):
    """``(stream, seq)`` is its key. ``received_at`` is the centre's clock, UTC microseconds.

    ``poison`` is what had to be left out of ``readings``: it becomes durable before the batch is acknowledged. ``size`` is
    what its JSON takes, in bytes. ``checked``: no store need look again whether its readings are sound. ``looked``: its gist,
    where somebody has looked; ask ``gist``.
    """

    stream: Stream
    seq: int
    readings: Sequence[Reading]
    received_at: Micros
    poison: tuple[Poison, ...] = ()
    size: int = 0
    checked: bool = False
    looked: Gist | None = None

    @property
    def gist(self) -> Gist:
        return self.looked or gist_of(self.readings)

    @property
    def reach(self) -> tuple[int, int] | None:
        """The first and the last instant of its readings; ``None`` where there are none."""
        return self.gist.reach


def gist_of(readings: Sequence[Reading]) -> Gist:
    if not readings:
        return Gist(None, None, {})
    instants = sorted([reading.at for reading in readings])
    return Gist((instants[0], instants[-1]), instants[len(instants) // 2], Counter([reading.kind for reading in readings]))
