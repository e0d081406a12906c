"""What was heard since states were last written: so that a state that every reading changes is written once in a while.

1. Each commit that changes states without a word to anybody adds one row of what changed them, in the order in which it did.
   States as written and the trail after them are the states of the last commit, whatever was killed when.
2. What a state has seen already changes it no more, so that the trail may begin before it was written.
3. Bounded in time and bytes (``KEEP_US``, ``KEEP_BYTES``): what is older is written, then goes.
"""

import zlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts.episode import Key
from ingest.database import metadata
from telemetry.identity import Stream
from telemetry.reading import Reading

KEEP_US = 120_000_000
KEEP_BYTES = 32 << 20

_trail = sa.Table(
    "alert_trail",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("known_at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class Source(NamedTuple):
    """Where a reading came from, and when."""

    stream: Stream
    received_at: int


class Heard(msgspec.Struct, frozen=True, array_like=True, tag="heard"):
    """A reading, of one of the row's sources by its place."""

    source: int
    reading: Reading


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten"):
    """A state of ``at`` or before is as it began."""

    key: Key
    at: int


Step = Heard | Forgotten


class Row(msgspec.Struct, frozen=True, array_like=True):
    sources: list[Source]
    steps: list[Step]


class _Kept(NamedTuple):
    seq: int
    known_at: int
    size: int


_decoder = msgspec.msgpack.Decoder(Row)
_encoder = msgspec.msgpack.Encoder()


class Trail:
    """``seq`` is the number of the row that is being written, ``steps`` what is in it so far."""

    def __init__(self) -> None:
        self.seq = 1
        self._sources: dict[Source, int] = {}
        self.steps: list[Step] = []
        self._rows: deque[_Kept] = deque()
        self._bytes = 0

    def hear(self, place: int, source: Source, reading: Reading) -> None:
        """Puts a reading before what it led to: the steps from ``place`` on."""
        self.steps.insert(place, Heard(self._sources.setdefault(source, len(self._sources)), reading))

    def save(self, connection: sa.Connection, known_at: int) -> None:
        """Writes what is new."""
        if self.steps:
            body = zlib.compress(_encoder.encode(Row(list(self._sources), self.steps)), 1)
            connection.execute(_trail.insert().values(seq=self.seq, known_at=known_at, body=body))
            self._keep(_Kept(self.seq, known_at, len(body)))

    def expired(self, now: int) -> int:
        """The last row that is too old or too much to be kept, and forgets it; 0 when there is none."""
        last = 0
        while self._rows and (self._rows[0].known_at <= now - KEEP_US or self._bytes > KEEP_BYTES):
            row = self._rows.popleft()
            self._bytes -= row.size
            last = row.seq
        return last

    def begin(self) -> None:
        """The next row."""
        if self.steps:
            self.seq, self.steps, self._sources = self.seq + 1, [], {}

    def pass_over(self) -> None:
        """Forgets what is in the row so far: it was written before."""
        self.steps, self._sources = [], {}

    def load(self, connection: sa.Connection) -> Iterator[Row]:
        """The rows that are kept, oldest first; ``seq`` is of the row that is given out."""
        for row in connection.execute(sa.select(_trail).order_by(_trail.c.seq)).all():
            self.seq = row.seq
            self._keep(_Kept(row.seq, row.known_at, len(row.body)))
            yield _decoder.decode(zlib.decompress(row.body))
            self.seq = row.seq + 1

    def _keep(self, row: _Kept) -> None:
        self._rows.append(row)
        self._bytes += row.size


def drop(connection: sa.Connection, last: int) -> None:
    """Takes away the rows up to ``last``."""
    connection.execute(_trail.delete().where(_trail.c.seq <= last))
