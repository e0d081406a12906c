"""Readings accepted while nobody vouched for the clock: kept apart until their instants can be known. Pure.

1. They are as durable as all others, beside the stamp that their instants were read under.
2. Once the true time is known within the same boot, they are dated anew by the monotonic clock and join their lane. That
   happens once, before they are sealed; a sealed instant never changes.
3. What can no longer be dated anew joins it as it is, with quality uncertain.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from edge.clock import Stamp, correction_of
from edge.outbox.chunk import Chunk, chunk_of, readings_of
from telemetry.batch import Lane
from telemetry.quality import Quality, worst
from telemetry.reading import EARLIEST, LATEST, Micros, Reading


class Undated(NamedTuple):
    """The readings of one commit. ``boot`` and ``base`` are of their stamp, the rest is their chunk."""

    n: int
    lane: Lane
    boot: str
    base: int
    readings: int
    first_at: int
    size: int
    checksum: int
    body: bytes

    @property
    def content(self) -> list[Reading] | None:
        """``None`` when it is damaged."""
        return readings_of(Chunk(*self[4:]))


def undated(n: int, lane: Lane, readings: Sequence[Reading], stamp: Stamp) -> Undated:
    return Undated(n, lane, stamp.boot, stamp.base, *chunk_of(readings))


def dated(held: Undated, now: Stamp, *, give_up: bool = False) -> list[Reading] | None:
    """The readings as they are to be sealed; ``None`` while their true instants may still be learned, unless to ``give_up``.

    None are left of a damaged body.
    """
    us = correction_of(Stamp(held.boot, held.base, known=False), now)
    if us is None and held.boot == now.boot and not give_up:
        return None
    readings = held.content or []
    return [_unsure(reading) if us is None else _moved(reading, us) for reading in readings]


def _moved(reading: Reading, us: int) -> Reading:
    if not us:
        return reading
    return msgspec.structs.replace(reading, at=Micros(min(max(reading.at + us, EARLIEST), LATEST)))


def _unsure(reading: Reading) -> Reading:
    return msgspec.structs.replace(reading, quality=worst(reading.quality, Quality.UNCERTAIN))
