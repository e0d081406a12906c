"""What the outbox gives up, and in what order: acknowledged batches when their time is over, bulk batches when it is full.

Each function is one transaction and says how many bytes it freed.
"""

from typing import NamedTuple

from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.loss import Place, certificate, given_up
from telemetry.batch import Lane, encode_readings, pack


class Evicted(NamedTuple):
    """How much went, in bytes and in readings."""

    stored: int
    readings: int


def forget(file: OutboxFile, n: int, lane: Lane, mark: int, before: int, next_unsealed: int) -> int:
    """Drops the acknowledged batches of a stream that were sealed before an instant, with the chunks nobody names any more.

    ``mark`` is the highest acknowledged seq, ``next_unsealed`` the first chunk of the lane that no batch names yet.
    """
    oldest = file.batches(n, lane, 0, 1)
    if not oldest or oldest[0].sealed_at >= before:
        return 0
    upto = file.last_sealed_before(n, lane, mark, before)
    if not upto:
        return 0
    with file.transaction():
        stored, last = file.drop_batches(n, lane, upto)
        file.drop_chunks(lane, 0, min(last, (file.first_named(lane) or next_unsealed) - 1))
    return stored


def evict(file: OutboxFile, gateway: str, batch: BatchRow) -> Evicted:
    """Puts a batch's loss certificates in its place, under the same seq."""
    chunks = [chunk for _, chunk in file.chunks(batch.lane, batch.first, batch.last)]
    lost = given_up(chunks, batch.sealed_at)
    place = Place(gateway, batch.seq, batch.sealed_at)
    certificates = [certificate(one, place, number) for number, one in enumerate(lost)]
    with file.transaction():
        file.make_tombstone(batch, pack(encode_readings(certificates)))
        file.drop_chunks(batch.lane, batch.first, batch.last)
    return Evicted(batch.stored, sum(one.readings for one in lost))
