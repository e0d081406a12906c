"""Loss certificates: what stands in the place of readings that are gone, so that no loss is silent. Pure.

A certificate travels as a reading of the gateway. Its instant follows from the batch alone, so that it is the same each
time it is sent, and differs from those of the batches sealed at the same instant.
"""

from collections.abc import Iterable
from typing import NamedTuple

from edge.outbox.chunk import Chunk, readings_of
from telemetry.batch import Lane
from telemetry.metric import Kind, Value
from telemetry.reading import Reading

EVERY_DEVICE = "*"
DAMAGED = "damaged on disk"
FULL = "outbox full"
OLD = "older than the outbox keeps"
THINNED = "thinned: outbox nearly full"
UNWRITTEN = "the disk took nothing"
MOST_CERTIFICATES = 400
LATE_US = 60_000_000
"""So much earlier than what stood beside it, a reading that nobody can read may be: it was accepted late, or out of order."""


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


def lane_offset(lane: Lane) -> int:
    """Batches of both lanes may have the same seq and instant of sealing; their certificates may not have the same number."""
    return 500 if lane is Lane.URGENT else 0


def damaged(first_at: int, sealed_at: int, readings: int) -> Lost:
    """Readings of a batch that cannot be read: nobody knows of which devices they were."""
    return Lost(EVERY_DEVICE, first_at, max(first_at, sealed_at), readings, DAMAGED)


def given_up(chunks: Iterable[Chunk], batch: int, first_at: int, sealed_at: int, reason: str) -> tuple[list[Lost], list[Lost]]:
    """Of a batch of ``batch`` readings: what its certificates tell of, and what is lost with it.

    The latter device by device, and then what of it cannot be read.
    """
    instants: dict[str, list[int]] = {}
    carried: list[Lost] = []
    for chunk in chunks:
        for reading in readings_of(chunk) or ():
            told = lost_of(reading)
            if told is not None:
                carried.append(told)
            else:
                instants.setdefault(reading.device, []).append(reading.at)
    lost = [Lost(device, min(ats), max(ats), len(ats), reason) for device, ats in sorted(instants.items())]
    missing = batch - len(carried) - sum(one.readings for one in lost)
    return carried, lost + ([damaged(first_at, sealed_at, missing)] if missing > 0 else [])


def merged(losses: Iterable[Lost], most: int = MOST_CERTIFICATES) -> list[Lost]:
    """One certificate of each device and reason; of no device in particular, when those would be more than ``most``."""
    together: dict[tuple[str, str], Lost] = {}
    for one in losses:
        key = (one.device, one.reason)
        before = together.get(key, one._replace(readings=0))
        together[key] = Lost(
            one.device, min(before.first, one.first), max(before.last, one.last), before.readings + one.readings, one.reason
        )
    if len(together) > most:
        return merged((one._replace(device=EVERY_DEVICE) for one in together.values()), len(together))
    return [together[key] for key in sorted(together)]


def lost_of(reading: Reading) -> Lost | None:
    """What a certificate says; ``None`` of any other reading. The inverse of ``certificate``."""
    values = reading.values
    if reading.kind is not Kind.GATEWAY or values.get("event") != "loss":
        return None
    device, first, last, readings, reason = (values.get(f"loss_{what}") for what in ("device", "from", "to", "count", "reason"))
    if not (isinstance(device, str) and isinstance(reason, str)):
        return None
    if not (isinstance(first, int) and isinstance(last, int) and isinstance(readings, int)):
        return None
    return Lost(device, first, last, readings, reason)


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
