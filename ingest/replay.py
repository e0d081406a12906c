"""Replays: gateways are asked to send again what they still keep, and it is put back into the telemetry store alone.

1. Only what was asked for is taken: a batch for a replay that nobody opened, or of another gateway, is counted and dropped.
2. Nothing of it reaches the rules, the tally or a watermark; the store keeps each reading once.
3. Bounded: ``ABREAST`` gateways are asked at a time, ``CAPACITY`` readings wait to be written, ``KEPT`` replays are remembered;
   a batch for which there is no room is counted as dropped, and its replay does not end well.
4. A gateway that does not answer, or stops, ends its part in bounded time.
5. Asked for again under an idempotency key it is the same replay, begun anew if the centre has restarted in between.

A replay lives in memory: after a restart of the centre it is asked for again.
"""

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec
import structlog

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.metrics import Stats
from ingest.once import Once, done_once
from ingest.store import PointStore
from telemetry import command
from telemetry.command import Command, Reply, Verb
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

log = structlog.get_logger()

ABREAST = 8
CAPACITY = 100_000
GROUP = 20_000
KEPT = 100
BEGIN_S = 30.0
"""A command that is not begun by then is not begun at all."""
SILENT_S = 60.0
"""A gateway that says and sends nothing for so long has stopped."""
STRAGGLERS_S = 5.0
"""How long what a gateway sent may come after its last word."""
_TICK_S = 0.2
_BACKOFF_S = (0.5, 15.0)
_ids = msgspec.json.Decoder(str)


class Stage(StrEnum):
    """``waiting`` for others to end, ``asked``, ``sending``; ``done`` and ``failed`` are the ends."""

    WAITING = "waiting"
    ASKED = "asked"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Part:
    """One gateway's part. ``sent`` batches it says it sent, ``came`` are here, ``written`` are in the store, with
    ``readings``; of ``refused`` batches the store does not take some reading, and ``dropped`` found no room.

    ``news_s`` is the monotonic instant at which it was last heard of; ``finished``: it said that nothing more comes.
    ``problem`` says why it failed, or of a part that is done what its gateway could not give: it keeps no more than a day.
    """

    ref: GatewayRef
    stage: Stage = Stage.WAITING
    news_s: float = 0.0
    finished: bool = False
    sent: int = 0
    came: int = 0
    written: int = 0
    readings: int = 0
    refused: int = 0
    dropped: int = 0
    problem: str = ""

    @property
    def over(self) -> bool:
        return self.stage in (Stage.DONE, Stage.FAILED)

    def fail(self, problem: str) -> None:
        self.stage, self.problem = Stage.FAILED, problem


@dataclass(frozen=True)
class Replay:
    """The batches sealed in [start, end), UTC microseconds."""

    id: str
    start: int
    end: int
    parts: dict[GatewayRef, Part] = field(default_factory=dict)


class _Waiting(NamedTuple):
    part: Part
    arrival: Arrival


class Replays:
    """``database`` remembers which replay an idempotency key began; ``key`` is a gateway's key; ``online`` whether it is
    connected; ``clock`` the wall's, ``elapsed_s`` the monotonic one."""

    def __init__(
        self,
        store: PointStore,
        database: Database,
        commands: "asyncio.Queue[tuple[GatewayRef, bytes]]",
        key: Callable[[GatewayRef], bytes | None],
        online: Callable[[GatewayRef], bool],
        stats: Stats,
        clock: Callable[[], Micros],
        elapsed_s: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._database = database
        self._commands = commands
        self._key = key
        self._online = online
        self._stats = stats
        self._clock = clock
        self._elapsed_s = elapsed_s
        self._new_id = new_id
        self._replays: OrderedDict[str, Replay] = OrderedDict()
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._some = asyncio.Event()

    async def open_once(self, refs: Sequence[GatewayRef], start: int, end: int, by: str, once: Once | None) -> Replay:
        """Begins a replay, or finds the one that was begun under this key. Raises ``KeyReused``, ``StoreUnavailable``."""
        if once is None:
            return self.open(refs, start, end, by)
        now = self._clock()
        id_ = await self._database.write(lambda connection: done_once(connection, once, now, _ids, self._new_id))
        return self._replays.get(id_) or self.open(refs, start, end, by, id_)

    def open(self, refs: Sequence[GatewayRef], start: int, end: int, by: str, id: str | None = None) -> Replay:
        """Begins a replay; its gateways are asked a few at a time."""
        replay = Replay(id or self._new_id(), start, end, {ref: Part(ref) for ref in refs})
        self._replays[replay.id] = replay
        while len(self._replays) > KEPT:
            self._replays.popitem(last=False)
        log.info("replay opened", replay=replay.id, gateways=len(refs), by=by)
        self.advance()
        return replay

    def find(self, id: str) -> Replay | None:
        return self._replays.get(id)

    def restore(self, ref: GatewayRef, id: str, arrival: Arrival) -> None:
        """Takes a batch that was sent for the replay ``id``."""
        part = self._part(ref, id)
        if part is None:
            self._stats.unasked += 1
            return
        part.came += 1
        part.stage, part.news_s = Stage.SENDING, self._elapsed_s()
        if self._size + len(arrival.readings) > CAPACITY:
            part.dropped += 1
            return
        self._waiting.append(_Waiting(part, arrival))
        self._size += len(arrival.readings)
        self._some.set()

    def replied(self, ref: GatewayRef, reply: Reply) -> None:
        """Takes a gateway's word on how far it is."""
        part = self._part(ref, reply.id)
        if part is None:
            self._stats.unasked += 1
            return
        part.stage, part.news_s = Stage.SENDING, self._elapsed_s()
        part.sent = reply.batches
        part.problem = reply.problem or part.problem
        part.finished = reply.done

    def advance(self) -> None:
        """Ends the parts that are over and asks the next gateways. ``run`` does it several times a second."""
        now_s = self._elapsed_s()
        parts = [(replay, part) for replay in self._replays.values() for part in replay.parts.values() if not part.over]
        for _, part in parts:
            self._settle(part, now_s)
        active = sum(part.stage in (Stage.ASKED, Stage.SENDING) for _, part in parts)
        for replay, part in parts:
            if active >= ABREAST or self._commands.full():
                return
            if part.stage is Stage.WAITING:
                active += self._ask(replay, part, now_s)

    async def run(self) -> None:
        """Writes what comes, and keeps the parts going, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(), name="replayed batches")
            group.create_task(self._keep_going(), name="replays")

    async def _keep_going(self) -> None:
        while True:
            self.advance()
            await asyncio.sleep(_TICK_S)

    async def _write(self) -> None:
        backoff_s = 0.0
        while True:
            await self._some.wait()
            group = self._group()
            try:
                refusals = await self._store.restore([each.arrival for each in group])
            except StoreUnavailable as error:
                if not backoff_s:
                    log.warning("replayed batches wait for the telemetry store", batches=len(self._waiting), error=str(error))
                backoff_s = min(max(2 * backoff_s, _BACKOFF_S[0]), _BACKOFF_S[1])
                await asyncio.sleep(backoff_s)
                continue
            backoff_s = 0.0
            self._written(group, {(one.stream, one.seq) for one in refusals})

    def _written(self, group: Sequence[_Waiting], refused: set[tuple[Stream, int]]) -> None:
        for part, arrival in group:
            part.written += 1
            part.readings += len(arrival.readings)
            part.refused += (arrival.stream, arrival.seq) in refused
            part.news_s = self._elapsed_s()
            self._size -= len(arrival.readings)
            self._waiting.popleft()
        if not self._waiting:
            self._some.clear()

    def _group(self) -> list[_Waiting]:
        """The next batches to write together; they stay where they are until they are written."""
        group: list[_Waiting] = []
        size = 0
        for each in self._waiting:
            size += len(each.arrival.readings)
            if group and size > GROUP:
                break
            group.append(each)
        return group

    def _part(self, ref: GatewayRef, id: str) -> Part | None:
        replay = self._replays.get(id)
        return replay.parts.get(ref) if replay else None

    def _ask(self, replay: Replay, part: Part, now_s: float) -> bool:
        """Whether the gateway was asked; when it cannot be, its part is over."""
        key = self._key(part.ref)
        if key is None or not self._online(part.ref):
            part.fail("it is not registered" if key is None else "it is offline; ask again when it is back")
            return False
        now = self._clock()
        asked = Command(
            id=replay.id,
            verb=Verb.REPLAY,
            at=now,
            expires_at=now + round(BEGIN_S * 1e6),
            start=replay.start,
            end=replay.end,
        )
        self._commands.put_nowait((part.ref, command.encode(asked, part.ref, key)))
        part.stage, part.news_s = Stage.ASKED, now_s
        return True

    def _settle(self, part: Part, now_s: float) -> None:
        """Ends a part when there is nothing more to come, or nothing more to hope for."""
        quiet_s = now_s - part.news_s
        here = part.written + part.dropped >= part.came
        if part.stage is Stage.ASKED and quiet_s > BEGIN_S:
            part.fail("it did not answer; perhaps its program is older")
        elif part.stage is Stage.SENDING and part.finished and here and (part.came >= part.sent or quiet_s > STRAGGLERS_S):
            lost = part.dropped + max(0, part.sent - part.came)
            if lost:
                part.fail(f"{lost} batches were lost on the way; ask again")
            elif part.problem and not part.sent:
                part.fail(part.problem)
            else:
                part.stage = Stage.DONE
        elif part.stage is Stage.SENDING and here and quiet_s > SILENT_S:
            part.fail("it stopped answering")
