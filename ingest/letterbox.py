"""Dead letters as people meet them: read within a scope, tried again, dropped.

1. Nothing outside the scope is told, tried or dropped.
2. A letter that is tried again goes to the telemetry store alone, never to the rules: its moment is past.
3. It leaves the box only when all of it is stored, or set aside again piece by piece; a crash in between repeats harmlessly.
4. Only what belongs to an acknowledged batch is tried: anything else its gateway sends again by itself, once it can be read.
5. What was said twice is never stored: it would stand in the place of the reading that was taken.
6. Tried again under one idempotency key it is tried once, and the answer stays the same.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ingest import tally
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.deadletter import NO_ROOM, set_aside, table
from ingest.once import Once, answered, done_once
from ingest.points import letters_of
from ingest.store import HOUR_US, Hour, PointStore
from telemetry import batch
from telemetry.errors import BatchInvalid
from telemetry.identity import EPOCH_PATTERN, GatewayRef, Scope, Stream
from telemetry.reading import Micros, Reading, faults_of

_ORIGIN = re.compile(f"({EPOCH_PATTERN[1:-2]}) (urgent|bulk) ([0-9]{{1,19}})")
_reading = msgspec.json.Decoder(Reading)


class Letter(NamedTuple):
    """What was set aside. ``times`` it came; ``origin`` is a topic, or epoch, lane and seq of its batch."""

    id: str
    ref: GatewayRef
    first_at: int
    last_at: int
    times: int
    origin: str
    reason: str
    body: bytes


class After(NamedTuple):
    """The last letter of a page."""

    last_at: int
    id: str


class Tried(NamedTuple):
    """What became of a letter: so many of its readings are stored now; ``reason`` says why something is still aside."""

    stored: int
    gone: bool
    reason: str = ""


_tried = msgspec.json.Decoder(Tried)


class Letterbox:
    def __init__(self, database: Database, store: PointStore, clock: Callable[[], Micros]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def page(self, scope: Scope, gateway: str | None, after: After | None, limit: int) -> tuple[list[Letter], After | None]:
        """The letters that came last first, at most ``limit``; where the next page goes on, ``None`` after the last."""
        key = sa.tuple_(table.c.last_at, table.c.digest)
        wanted = sa.select(table).where(_within(scope))
        if gateway is not None:
            wanted = wanted.where(table.c.gateway == gateway)
        if after is not None:
            wanted = wanted.where(key < sa.tuple_(sa.literal(after.last_at), sa.literal(after.id)))
        wanted = wanted.order_by(table.c.last_at.desc(), table.c.digest.desc()).limit(limit + 1)
        found = await self._database.read(lambda connection: [_letter(row) for row in connection.execute(wanted)])
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], After(last.last_at, last.id) if last else None

    async def get(self, scope: Scope, id: str) -> Letter | None:
        wanted = sa.select(table).where(_within(scope), table.c.digest == id)
        row = await self._database.read(lambda connection: connection.execute(wanted).one_or_none())
        return None if row is None else _letter(row)

    async def drop(self, scope: Scope, id: str) -> bool:
        """Whether there was such a letter; it is gone for good."""
        gone = table.delete().where(_within(scope), table.c.digest == id)
        return await self._database.write(lambda connection: connection.execute(gone).rowcount > 0)

    async def try_again(self, scope: Scope, id: str, once: Once | None = None) -> Tried | None:
        """Reads it with the present program and stores what is sound now; ``None`` when there is no such letter.

        Raises ``StoreUnavailable``, and then it is where it was; ``KeyReused``.
        """
        if once and (known := await self._database.read(lambda connection: answered(connection, once, _tried))) is not None:
            return known
        letter = await self.get(scope, id)
        if letter is None:
            return None
        try:
            arrival, is_batch = read_again(letter, self._clock())
        except BatchInvalid as error:
            return await self._answer(once, Tried(0, False, str(error)))
        refusals = await self._store.restore([arrival])
        if refusals and not is_batch:
            return await self._answer(once, Tried(0, False, refusals[0].reason))
        aside = (*arrival.poison, *(batch.Poison(one.body, one.reason) for one in refusals))
        if aside:
            await set_aside(self._database, letters_of(arrival._replace(poison=aside)), self._clock())

        def settle(connection: sa.Connection) -> None:
            if connection.execute(table.delete().where(table.c.digest == id)).rowcount and is_batch:
                tally.put_right(connection, Hour(*letter.ref, letter.first_at // HOUR_US * HOUR_US), tally.count([arrival]))

        tried = Tried(len(arrival.readings) - len(refusals), True, aside[0].reason if aside else "")
        return await self._answer(once, tried, settle)

    async def _answer(self, once: Once | None, tried: Tried, settle: Callable[[sa.Connection], None] | None = None) -> Tried:
        """What is answered, written down under the key in the transaction that settles it."""
        now = self._clock()

        def do(connection: sa.Connection) -> Tried:
            if settle is not None:
                settle(connection)
            return tried

        return await self._database.write(lambda connection: done_once(connection, once, now, _tried, lambda: do(connection)))


def read_again(letter: Letter, now: Micros) -> tuple[Arrival, bool]:
    """What is in a letter, and whether it is a whole batch. Raises ``BatchInvalid`` when it cannot be read now either."""
    if letter.reason == NO_ROOM:
        raise BatchInvalid(f"{letter.reason}, and nothing of them was kept")
    found = _ORIGIN.fullmatch(letter.origin)
    if found is None:
        raise BatchInvalid("it is of no batch that was acknowledged: its gateway sends it again by itself once it can be read")
    if letter.reason == batch.SAID_TWICE:
        raise BatchInvalid(f"{letter.reason}, and that one was taken")
    stream, seq = Stream(*letter.ref, found[1], found[2]), int(found[3])
    if batch.head_of(letter.body) is None:
        return Arrival(stream, seq, (_sound(letter.body),), now), False
    decoded = batch.decode(letter.body)
    if decoded.batch.gateway != letter.ref.gateway:
        raise BatchInvalid(f"a batch of gateway {decoded.batch.gateway!r}")
    return Arrival(stream, seq, decoded.batch.readings, now, decoded.poison), True


def sound_by_hour(connection: sa.Connection, ref: GatewayRef) -> Counter[Hour]:
    """How many readings of a gateway lie here that are sound, so that only the store can have refused them."""
    mine = table.c.community == ref.community, table.c.gateway == ref.gateway, table.c.reason != batch.SAID_TWICE
    bodies = sa.select(table.c.body).where(*mine)
    found: Counter[Hour] = Counter()
    for body in connection.execute(bodies).scalars():
        try:
            found[Hour(*ref, _sound(body).at // HOUR_US * HOUR_US)] += 1
        except BatchInvalid:
            continue
    return found


def _sound(body: bytes) -> Reading:
    """The one reading in ``body``. Raises ``BatchInvalid``."""
    try:
        reading = _reading.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchInvalid(str(error)) from error
    if faults := faults_of(reading):
        raise BatchInvalid("; ".join(faults))
    return reading


def _letter(row: "sa.Row[tuple[object, ...]]") -> Letter:
    ref = GatewayRef(row.community, row.gateway)
    return Letter(row.digest, ref, row.first_at, row.last_at, row.times, row.origin, row.reason, row.body)


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.or_(sa.false(), *(table.c.community.startswith(prefix) for prefix in scope.prefixes))
