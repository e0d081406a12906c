"""Store-and-forward outbox: one SQLite file, one writing connection.

1. Append is durable: once ``append`` returns, a crash or a power cut loses nothing (WAL, synchronous FULL).
2. Nothing is forgotten before the centre acknowledged it: reading does not remove.
3. Keys are never used twice: every start and every long outage opens a new random epoch, and in each
   (epoch, lane) ``seq`` counts from 1 without holes.
4. What is sealed never changes: a batch sent again has the same readings.
5. Bounded: past the byte budget acknowledged batches go first, then the oldest unacknowledged *bulk* batch,
   which leaves a tombstone of the same seq carrying its loss certificates. Urgent batches are never evicted.
6. Damage is contained: each chunk has a checksum, and a damaged one is sent as its loss certificate.

A *chunk* is what one commit accepted of one lane. Sealing names a run of chunks and copies nothing, so a reading is
written once. All methods are synchronous; ``call`` runs one on the outbox's own thread.
"""

import asyncio
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from telemetry.batch import Batch, Lane, encode_readings, join
from telemetry.errors import LinliError
from telemetry.metric import Kind, Value
from telemetry.presence import Span
from telemetry.reading import Micros, Reading

BATCH_READINGS = 500
BATCH_BYTES = 64 * 1024
BATCH_AGE_US = 10_000_000
REPLAY_US = 24 * 3600 * 1_000_000
SCHEMA = 1

_T = TypeVar("_T")
_readings = msgspec.json.Decoder(list[Reading])

_TABLES = """
CREATE TABLE IF NOT EXISTS epoch (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, before TEXT, before_urgent INTEGER NOT NULL, before_bulk INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (
    lane TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, size INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, stored INTEGER NOT NULL, first_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, certificates BLOB,
    PRIMARY KEY (epoch, lane, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (
    epoch INTEGER NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (epoch, lane)) WITHOUT ROWID;
"""


class OutboxUnusable(LinliError):
    """The outbox file cannot be opened or is of a newer version."""


class Sealed(NamedTuple):
    """One batch as it can be sent; ``message`` takes the instant of sending and whether it is a resend."""

    epoch: str
    lane: Lane
    seq: int
    readings: int
    message: Callable[[Micros, bool], bytes]


class Pending(NamedTuple):
    """What waits: batches sealed and not acknowledged, and when its oldest reading was made (0 when nothing waits)."""

    batches: int
    readings: int
    oldest_at: int


class _Tail:
    """The chunks of one lane that no batch names yet."""

    def __init__(self) -> None:
        self.first = 0
        self.count = self.size = self.stored = self.first_at = self.since = 0

    def add(self, n: int, count: int, size: int, stored: int, first_at: int, now: int) -> None:
        if not self.count:
            self.first, self.first_at, self.since = n, first_at, now
        self.count += count
        self.size += size
        self.stored += stored
        self.first_at = min(self.first_at, first_at)

    def is_due(self, now: int) -> bool:
        return self.count >= BATCH_READINGS or self.size >= BATCH_BYTES or now - self.since >= BATCH_AGE_US or now < self.since


class Outbox:
    """See the module. ``news`` is set after each ``append`` or ``seal`` that made a batch; the uplink waits on it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, gateway: str, max_bytes: int, now: Micros) -> None:
        self.path = path
        self.gateway = gateway
        self.max_bytes = max_bytes
        self.news = asyncio.Event()
        self.damaged = 0
        self.evicted = 0
        self._db = connection
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._tails = {lane: _Tail() for lane in Lane}
        self._next_chunk = {lane: 1 + self._last_chunk(lane) for lane in Lane}
        self._stored = self._one("SELECT sum(length(body)) FROM chunk")
        self._seq: dict[Lane, int] = {}
        self._current = 0
        self._marks: dict[tuple[int, Lane], int] = {
            (n, Lane(lane)): seq for n, lane, seq in self._db.execute("SELECT epoch, lane, seq FROM mark")
        }
        self._epochs: dict[int, str] = dict(self._db.execute("SELECT n, id FROM epoch").fetchall())
        self.roll()
        self._adopt(now)

    @classmethod
    def open(cls, path: Path, *, gateway: str, now: Micros, max_bytes: int = 1 << 30) -> "Outbox":
        """The outbox in ``path``, made if it is not there. Raises ``OutboxUnusable``."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA journal_size_limit=8388608")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                raise OutboxUnusable(f"{path} is of version {version}; this software knows {SCHEMA}: upgrade it")
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version={SCHEMA}")
        except (sqlite3.Error, OSError) as error:
            raise OutboxUnusable(f"{path} cannot be opened: {error}") from error
        return cls(connection, path, gateway, max_bytes, now)

    async def call(self, method: Callable[..., _T], *arguments: object) -> _T:
        """Runs a method on the outbox's thread, one at a time in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, method, *arguments)

    def close(self) -> None:
        self._thread.shutdown()
        self._db.close()

    @property
    def epoch(self) -> str:
        """The epoch that batches are now sealed in."""
        return self._epochs[self._current]

    # Accepting

    def append(self, readings: Sequence[Reading], lane: Lane, now: Micros) -> bool:
        """Makes the readings durable in one commit; true when that sealed a batch. At most ``BATCH_READINGS`` of them.

        Urgent readings are sealed at once; bulk ones when the lane's count, size or age is reached.
        """
        body = encode_readings(readings)
        packed = zlib.compress(body, 6)
        tail, n = self._tails[lane], self._next_chunk[lane]
        first_at = min(reading.at for reading in readings)
        with _Transaction(self._db):
            sealed = tail.count > 0 and tail.count + len(readings) > BATCH_READINGS
            if sealed:
                self._seal_row(lane, tail, self._seq[lane], n - 1, now)
            self._db.execute(
                "INSERT INTO chunk VALUES (?,?,?,?,?,?,?)",
                (lane, n, len(readings), first_at, len(body), zlib.crc32(packed), packed),
            )
            after = _Tail() if sealed else copy(tail)
            after.add(n, len(readings), len(body), len(packed), first_at, now)
            due = lane is Lane.URGENT or after.is_due(now)
            if due:
                self._seal_row(lane, after, self._seq[lane] + sealed, n, now)
        self._next_chunk[lane] = n + 1
        self._stored += len(packed)
        self._seq[lane] += sealed + due
        self._tails[lane] = _Tail() if due else after
        if self._stored > self.max_bytes:
            self._make_room(now)
        return sealed or due

    def seal(self, now: Micros, *, force: bool = False) -> bool:
        """Seals what has waited long enough, or everything; true when a batch was made."""
        made = False
        for lane, tail in self._tails.items():
            if tail.count and (force or tail.is_due(now)):
                self._seal_tail(lane, self._next_chunk[lane] - 1, now)
                made = True
        return made

    def roll(self) -> str:
        """Opens a new epoch, which names the one before it and its last seqs. Batches sealed so far keep theirs."""
        before = max(self._epochs, default=None)
        last = {lane: self._last_seq(before, lane) if before is not None else 0 for lane in Lane}
        identity = secrets.token_hex(8)
        with _Transaction(self._db):
            cursor = self._db.execute(
                "INSERT INTO epoch (id, before, before_urgent, before_bulk) VALUES (?,?,?,?)",
                (identity, self._epochs.get(before or 0), last[Lane.URGENT], last[Lane.BULK]),
            )
        self._current = cursor.lastrowid or 1
        self._epochs[self._current] = identity
        self._seq = dict.fromkeys(Lane, 1)
        return identity

    # Sending

    def spans(self) -> list[Span]:
        """Per epoch and lane what is not acknowledged, oldest epoch first; always the current epoch's two lanes."""
        found = []
        for n, identity, before, before_urgent, before_bulk in self._db.execute("SELECT * FROM epoch ORDER BY n").fetchall():
            for lane, before_last in ((Lane.URGENT, before_urgent), (Lane.BULK, before_bulk)):
                first, last = self._marks.get((n, lane), 0) + 1, self._last_seq(n, lane)
                if last >= first or n == self._current:
                    found.append(Span(identity, lane, first, max(last, first - 1), before, before_last))
        return found

    def batches(self, epoch: str, lane: Lane, after: int, limit: int) -> list[Sealed]:
        """Up to ``limit`` batches of a stream in order, from the one after seq ``after``."""
        n = self._number(epoch)
        if n is None:
            return []
        rows = self._db.execute(
            "SELECT seq, first, last, count, sealed_at, certificates FROM batch "
            "WHERE epoch=? AND lane=? AND seq>? ORDER BY seq LIMIT ?",
            (n, lane, after, limit),
        ).fetchall()
        return [self._sealed(epoch, lane, *row) for row in rows]

    def acknowledge(self, epoch: str, lane: Lane, seq: int, now: Micros) -> int:
        """Notes that the centre holds everything up to ``seq``; how many batches that newly covers.

        A mark beyond what was ever sealed, or of an epoch that is not ours, deletes nothing: it raises ``ValueError``.
        """
        n = self._number(epoch)
        if n is None or seq > self._last_seq(n, lane):
            raise ValueError(f"a mark of {seq} in {epoch}/{lane}, beyond what was sealed")
        known = self._marks.get((n, lane), 0)
        if seq <= known:
            return 0
        with _Transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO mark VALUES (?,?,?)", (n, lane, seq))
        self._marks[(n, lane)] = seq
        self._forget(now - REPLAY_US)
        return seq - known

    def pending(self) -> Pending:
        """What the centre has not acknowledged yet, sealed or not."""
        batches = readings = 0
        oldest: list[int] = [tail.first_at for tail in self._tails.values() if tail.count]
        readings += sum(tail.count for tail in self._tails.values())
        for n in self._epochs:
            for lane in Lane:
                count, total, first_at = self._db.execute(
                    "SELECT count(*), coalesce(sum(count), 0), min(first_at) FROM batch WHERE epoch=? AND lane=? AND seq>?",
                    (n, lane, self._marks.get((n, lane), 0)),
                ).fetchone()
                batches, readings = batches + count, readings + total
                oldest += [first_at] if first_at is not None else []
        return Pending(batches, readings, min(oldest, default=0))

    def recent(self, chunks: int = 200) -> Iterator[Reading]:
        """The readings last accepted, in each lane the newest first: a restart uses no instant and takes no event twice."""
        for lane in Lane:
            for row in self._db.execute(
                "SELECT crc, body FROM chunk WHERE lane=? ORDER BY n DESC LIMIT ?", (lane, chunks)
            ).fetchall():
                yield from reversed(self._decode(*row) or [])

    # Inside

    def _one(self, question: str, *arguments: object) -> int:
        return int(self._db.execute(question, arguments).fetchone()[0] or 0)

    def _number(self, epoch: str) -> int | None:
        return next((n for n, identity in self._epochs.items() if identity == epoch), None)

    def _last_seq(self, n: int, lane: Lane) -> int:
        if n == self._current:
            return self._seq[lane] - 1
        newest = self._one("SELECT max(seq) FROM batch WHERE epoch=? AND lane=?", n, lane)
        return max(newest, self._marks.get((n, lane), 0))

    def _last_chunk(self, lane: Lane) -> int:
        """The highest number a chunk of this lane ever had, as far as the file remembers."""
        return max(
            self._one("SELECT max(n) FROM chunk WHERE lane=?", lane), self._one("SELECT max(last) FROM batch WHERE lane=?", lane)
        )

    def _seal_row(self, lane: Lane, tail: _Tail, seq: int, last: int, now: Micros) -> None:
        self._db.execute(
            "INSERT INTO batch VALUES (?,?,?,?,?,?,?,?,?,NULL)",
            (self._current, lane, seq, tail.first, last, tail.count, tail.stored, tail.first_at, now),
        )

    def _seal_tail(self, lane: Lane, last: int, now: Micros) -> None:
        with _Transaction(self._db):
            self._seal_row(lane, self._tails[lane], self._seq[lane], last, now)
        self._seq[lane] += 1
        self._tails[lane] = _Tail()

    def _adopt(self, now: Micros) -> None:
        """Chunks that an earlier run committed and did not seal go into this epoch, in batches of the usual size."""
        for lane in Lane:
            sealed = self._one("SELECT max(last) FROM batch WHERE lane=?", lane)
            rows = self._db.execute(
                "SELECT n, count, size, length(body), first_at FROM chunk WHERE lane=? AND n>? ORDER BY n", (lane, sealed)
            ).fetchall()
            for n, count, size, stored, first_at in rows:
                tail = self._tails[lane]
                if tail.count and tail.count + count > BATCH_READINGS:
                    self._seal_tail(lane, n - 1, now)
                self._tails[lane].add(n, count, size, stored, first_at, now)
        self.seal(now, force=True)

    def _sealed(
        self, epoch: str, lane: Lane, seq: int, first: int, last: int, count: int, sealed_at: int, certificates: bytes | None
    ) -> Sealed:
        parts = [certificates] if certificates is not None else self._parts(lane, first, last, sealed_at)
        head = Batch(gateway=self.gateway, epoch=epoch, lane=lane, seq=seq, sealed_at=sealed_at, sent_at=sealed_at, readings=[])

        def message(sent_at: Micros, resent: bool) -> bytes:
            return join(msgspec.structs.replace(head, sent_at=sent_at, resent=resent), parts)

        return Sealed(epoch, lane, seq, count, message)

    def _parts(self, lane: Lane, first: int, last: int, sealed_at: int) -> list[bytes]:
        parts = []
        rows = self._db.execute(
            "SELECT n, count, first_at, crc, body FROM chunk WHERE lane=? AND n BETWEEN ? AND ? ORDER BY n", (lane, first, last)
        ).fetchall()
        for n, count, first_at, crc, packed in rows:
            if zlib.crc32(packed) == crc:
                parts.append(zlib.decompress(packed))
            else:
                self.damaged += 1
                lost = self._certificate("*", first_at, sealed_at, count, "damaged on disk", sealed_at + (n - first))
                parts.append(encode_readings([lost]))
        return parts

    def _decode(self, crc: int, packed: bytes) -> list[Reading] | None:
        if zlib.crc32(packed) != crc:
            return None
        try:
            return _readings.decode(b"[" + zlib.decompress(packed) + b"]")
        except (msgspec.DecodeError, zlib.error):
            return None

    def _forget(self, before: int) -> None:
        """Drops acknowledged batches sealed before an instant, and epochs that have none left."""
        for (n, lane), seq in list(self._marks.items()):
            first = "SELECT sealed_at FROM batch WHERE epoch=? AND lane=? ORDER BY seq LIMIT 1"
            oldest = self._db.execute(first, (n, lane)).fetchone()
            if oldest is None or oldest[0] >= before:
                continue
            row = self._db.execute(
                "SELECT max(seq), max(last), sum(stored) FROM batch WHERE epoch=? AND lane=? AND seq<=? AND sealed_at<?",
                (n, lane, seq, before),
            ).fetchone()
            if row[0] is not None:
                with _Transaction(self._db):
                    self._drop(n, lane, row[0], row[1])
                self._stored -= row[2]
        self._forget_epochs()

    def _drop(self, n: int, lane: Lane, seq: int, last: int) -> None:
        """Deletes batches up to ``seq`` of an epoch and every chunk that no later batch can name."""
        self._db.execute("DELETE FROM batch WHERE epoch=? AND lane=? AND seq<=?", (n, lane, seq))
        kept = self._one("SELECT min(first) FROM batch WHERE lane=? AND certificates IS NULL", lane) or (
            self._tails[lane].first if self._tails[lane].count else self._next_chunk[lane]
        )
        self._db.execute("DELETE FROM chunk WHERE lane=? AND n<? AND n<=?", (lane, kept, last))

    def _forget_epochs(self) -> None:
        if len(self._epochs) == 1:
            return
        empty = [n for n in self._epochs if n != self._current and not self._one("SELECT count(*) FROM batch WHERE epoch=?", n)]
        with _Transaction(self._db):
            for n in empty:
                self._db.execute("DELETE FROM epoch WHERE n=?", (n,))
                self._db.execute("DELETE FROM mark WHERE epoch=?", (n,))
        for n in empty:
            del self._epochs[n]
            self._marks = {key: seq for key, seq in self._marks.items() if key[0] != n}

    def _make_room(self, now: Micros) -> None:
        """Back under the budget: first what is acknowledged, then the oldest bulk batches, each leaving its certificates."""
        self._forget(now + 1)
        while self._stored > self.max_bytes:
            row = self._db.execute(
                "SELECT epoch, seq, first, last, stored, sealed_at FROM batch WHERE lane=? AND certificates IS NULL "
                "ORDER BY epoch, seq LIMIT 1",
                (Lane.BULK,),
            ).fetchone()
            if row is None:
                return
            self._evict(*row)

    def _evict(self, n: int, seq: int, first: int, last: int, stored: int, sealed_at: int) -> None:
        rows = self._db.execute(
            "SELECT crc, body FROM chunk WHERE lane=? AND n BETWEEN ? AND ? ORDER BY n", (Lane.BULK, first, last)
        ).fetchall()
        lost: dict[str, list[int]] = {}
        for row in rows:
            for reading in self._decode(*row) or ():
                lost.setdefault(reading.device, []).append(reading.at)
        certificates = [
            self._certificate(device, min(ats), max(ats), len(ats), "outbox full", sealed_at + number)
            for number, (device, ats) in enumerate(sorted(lost.items()))
        ]
        with _Transaction(self._db):
            self._db.execute(
                "UPDATE batch SET certificates=?, stored=0 WHERE epoch=? AND lane=? AND seq=?",
                (encode_readings(certificates), n, Lane.BULK, seq),
            )
            self._db.execute("DELETE FROM chunk WHERE lane=? AND n BETWEEN ? AND ?", (Lane.BULK, first, last))
        self._stored -= stored
        self.evicted += sum(map(len, lost.values()))

    def _certificate(self, device: str, first: int, last: int, count: int, reason: str, at: int) -> Reading:
        values: dict[str, Value] = {
            "event": "loss",
            "loss_device": device,
            "loss_from": first,
            "loss_to": last,
            "loss_count": count,
            "loss_reason": reason,
        }
        return Reading(device=self.gateway, kind=Kind.GATEWAY, at=at, values=values, event_id=f"loss-{at}")


class _Transaction:
    """BEGIN … COMMIT, or ROLLBACK when the block raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
