"""Loss certificates: what stands in the place of readings that are gone, so that no loss is silent. Pure.

A certificate travels as a reading of the gateway. Its instant follows from the batch alone, so that it is the same each
time it is sent, and differs from those of the batches sealed at the same instant.
"""

from collections.abc import Iterable
from typing import NamedTuple

from edge.outbox.chunk import Chunk, readings_of
from telemetry.metric import Kind, Value
from telemetry.reading import Reading

EVERY_DEVICE = "*"
DAMAGED = "damaged on disk"
FULL = "outbox full"


class Place(NamedTuple):
    """The batch that lost something; ``sealed_at`` in UTC microseconds."""

    gateway: str
    seq: int
    sealed_at: int


class Lost(NamedTuple):
    """``readings`` of a device between two instants, UTC microseconds."""

    device: str
    first: int
    last: int
    readings: int
    reason: str


def damaged(chunk: Chunk, sealed_at: int) -> Lost:
    """A chunk that cannot be read: nobody knows of which devices it was."""
    return Lost(EVERY_DEVICE, chunk.first_at, max(chunk.first_at, sealed_at), chunk.readings, DAMAGED)


def given_up(chunks: Iterable[Chunk], sealed_at: int) -> list[Lost]:
    """What is lost with these chunks, device by device, and then the damaged among them."""
    instants: dict[str, list[int]] = {}
    unreadable: list[Lost] = []
    for chunk in chunks:
        readings = readings_of(chunk)
        if readings is None:
            unreadable.append(damaged(chunk, sealed_at))
        for reading in readings or ():
            instants.setdefault(reading.device, []).append(reading.at)
    readable = [Lost(device, min(ats), max(ats), len(ats), FULL) for device, ats in sorted(instants.items())]
    return readable + unreadable


def certificate(lost: Lost, place: Place, number: int) -> Reading:
    """``number`` tells the certificates of one batch apart: below 1000, as a batch has fewer readings."""
    at = place.sealed_at + place.seq % 1_000 * 1_000 + number
    values: dict[str, Value] = {
        "event": "loss",
        "loss_device": lost.device,
        "loss_from": lost.first,
        "loss_to": lost.last,
        "loss_count": lost.readings,
        "loss_reason": lost.reason,
    }
    return Reading(device=place.gateway, kind=Kind.GATEWAY, at=at, values=values, event_id=f"loss-{at}")
