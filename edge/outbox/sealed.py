"""A batch as it is sent: put together from its chunks, the same each time."""

from typing import NamedTuple

import msgspec

from edge.outbox.chunk import text_of
from edge.outbox.file import BatchRow, OutboxFile
from edge.outbox.schema import Damaged
from telemetry.batch import Batch, Lane, join, unpack
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
    """Raises ``Damaged`` when a chunk of it is gone or wrong: what stands for it then is the salvage's to say, once."""
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
        return Sealed(row.epoch, row.readings, head, _parts(file, row))
    return Sealed(row.epoch, row.readings, head, [unpack(row.certificates)] if row.certificates else [])


def _parts(file: OutboxFile, row: BatchRow) -> list[bytes]:
    """The readings as JSON, chunk by chunk."""
    texts = [text_of(chunk) for _, chunk in file.chunks(row.lane, row.first, row.last)]
    whole = [text for text in texts if text is not None]
    if len(whole) != len(texts) or len(whole) != row.last - row.first + 1:
        raise Damaged(f"chunks of {row.lane} {row.first} to {row.last} are damaged")
    return whole
