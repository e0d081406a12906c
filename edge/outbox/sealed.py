"""A batch as it is sent: put together from its chunks, the same each time."""

from typing import NamedTuple

import msgspec

from edge.outbox.chunk import text_of
from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.loss import Place, certificate, damaged
from telemetry.batch import Batch, Lane, encode_readings, join, unpack
from telemetry.reading import Micros


class Sealed(NamedTuple):
    """``n`` is the number of its epoch: (n, lane, seq) is its place among all."""

    n: int
    readings: int
    head: Batch
    parts: list[bytes]

    @property
    def epoch(self) -> str:
        return self.head.epoch

    @property
    def lane(self) -> Lane:
        return self.head.lane

    @property
    def seq(self) -> int:
        return self.head.seq

    def message(self, sent_at: Micros, resent: bool, replay: str = "") -> bytes:
        """``replay``: the command that asked for it again."""
        return join(msgspec.structs.replace(self.head, sent_at=sent_at, resent=resent, replay=replay), self.parts)


def sealed(file: OutboxFile, row: BatchRow, gateway: str, epoch: str) -> Sealed:
    head = Batch(
        gateway=gateway,
        epoch=epoch,
        lane=row.lane,
        seq=row.seq,
        sealed_at=row.sealed_at,
        sent_at=row.sealed_at,
        readings=[],
    )
    if row.certificates is None:
        return Sealed(row.epoch, row.readings, head, _parts(file, row, gateway))
    return Sealed(row.epoch, row.readings, head, [unpack(row.certificates)] if row.certificates else [])


def _parts(file: OutboxFile, row: BatchRow, gateway: str) -> list[bytes]:
    """The readings as JSON, chunk by chunk, and a certificate of those whose chunk is damaged or gone."""
    chunks = dict(file.chunks(row.lane, row.first, row.last))
    texts = {n: text for n, chunk in chunks.items() if (text := text_of(chunk)) is not None}
    parts = list(texts.values())
    if len(parts) <= row.last - row.first:
        lost = damaged(row.first_at, row.sealed_at, max(1, row.readings - sum(chunks[n].readings for n in texts)))
        parts.append(encode_readings([certificate(lost, Place(gateway, row.seq, row.sealed_at), 0)]))
    return parts
