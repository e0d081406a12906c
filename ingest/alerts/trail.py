"""What was heard since states were last written: so that a state that every reading changes is written once in a while.

1. Each commit that changes states without a word to anybody adds one row of what changed them, in the order in which it did.
   States as written and the trail after them are the states of the last commit, whatever was killed when.
2. A state knows which row it had followed when it was written, and follows those after it: the trail may begin before.
3. Bounded in time and bytes (``KEEP_US``, ``KEEP_BYTES``): what is older is written, then goes.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts.episode import Key
from ingest.database import metadata
from telemetry.identity import Stream
from telemetry.metric import Kind, Value
from telemetry.quality import Quality
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

_insert = _trail.insert()
_drop = _trail.delete().where(_trail.c.seq <= sa.bindparam("last"))


class Source(NamedTuple):
    """Where a reading came from, and when."""

    stream: Stream
    received_at: int


class Heard(NamedTuple):
    """``passed``: the rules that it was too late for, while others took it."""

    source: Source
    reading: Reading
    passed: tuple[str, ...] = ()


class Forgotten(NamedTuple):
    """A state of ``at`` or before is as it began."""

    key: Key
    at: int


Step = Heard | Forgotten


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What was heard, a column for each thing that is said of it, so that it is written at once; ``source_of`` by its place in
    ``sources``. ``qualities`` are those that are not good, by place; ``forgotten``: before which place, and what; ``passed``: the
    rules that did not take it, by place."""

    sources: list[Source]
    source_of: list[int]
    devices: list[str]
    kinds: list[Kind]
    instants: list[int]
    values: list[dict[str, Value]]
    qualities: dict[int, Quality]
    forgotten: list[tuple[int, Forgotten]]
    passed: dict[int, tuple[str, ...]] = {}

    def steps(self) -> Iterator[Step]:
        """In the order in which they were."""
        forgotten = deque(self.forgotten)
        columns = zip(self.source_of, self.devices, self.kinds, self.instants, self.values, strict=True)
        for place, (source, device, kind, at, values) in enumerate(columns):
            while forgotten and forgotten[0][0] <= place:
                yield forgotten.popleft()[1]
            quality = self.qualities.get(place, Quality.GOOD)
            reading = Reading(device=device, kind=kind, at=at, values=values, quality=quality)
            yield Heard(self.sources[source], reading, self.passed.get(place, ()))
        yield from (one for _, one in forgotten)


def row_of(steps: Sequence[Step]) -> Row:
    """Of a reading nothing is kept that no rule looks at."""
    heard = [step for step in steps if isinstance(step, Heard)]
    sources = {id(source): source for source, *_ in heard}
    place_of = {one: place for place, one in enumerate(sources)}
    readings, good = [reading for _, reading, _ in heard], Quality.GOOD
    return Row(
        sources=list(sources.values()),
        source_of=[place_of[id(source)] for source, *_ in heard],
        devices=[reading.device for reading in readings],
        kinds=[reading.kind for reading in readings],
        instants=[reading.at for reading in readings],
        values=[reading.values for reading in readings],
        qualities={place: reading.quality for place, reading in enumerate(readings) if reading.quality is not good},
        forgotten=_forgotten(steps) if len(heard) < len(steps) else [],
        passed={place: passed for place, (_, _, passed) in enumerate(heard) if passed},
    )


def _forgotten(steps: Sequence[Step]) -> list[tuple[int, Forgotten]]:
    found: list[tuple[int, Forgotten]] = []
    for place, step in enumerate(steps):
        if isinstance(step, Forgotten):
            found.append((place - len(found), step))
    return found


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
        self.steps: list[Step] = []
        self._rows: deque[_Kept] = deque()
        self._bytes = 0

    def hear(self, place: int, source: Source, reading: Reading, passed: tuple[str, ...]) -> None:
        """Puts a reading before what it led to: the steps from ``place`` on."""
        self.steps.insert(place, Heard(source, reading, passed))

    def save(self, connection: sa.Connection, known_at: int) -> None:
        """Writes what is new."""
        if self.steps:
            body = zlib.compress(_encoder.encode(row_of(self.steps)), 1)
            connection.execute(_insert, {"seq": self.seq, "known_at": known_at, "body": body})
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
            self.seq, self.steps = self.seq + 1, []

    def pass_over(self) -> None:
        """Forgets what is in the row so far: it was written before."""
        self.steps = []

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
    connection.execute(_drop, {"last": last})
