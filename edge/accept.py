"""Acceptance: readings become durable in groups, so that a slow card is written to seldom.

1. A reading is accepted when the future that ``put`` returned is done; before that a crash may lose it.
2. Urgent readings are committed at once, bulk ones together within ``group_s``.
3. Bounded: ``full`` says that ``capacity`` readings wait; past twice that bulk ones are refused, past three times urgent ones.
4. A commit that fails is tried again until it succeeds; what waits meanwhile stays, in order.
5. What was refused is counted by device, and certified as lost once the disk takes it.
6. A clean stop seals what it committed, in the epoch that it was read in.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from edge.clock import Stamp, wall_clock
from edge.outbox import BATCH_READINGS, Outbox, OutboxFailing
from edge.outbox.loss import UNWRITTEN, Lost, Place, certificate, merged
from telemetry.batch import Lane
from telemetry.errors import LinliError
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

GROUP_S = 1.0
CAPACITY = 20_000
REFUSED_PAST = {Lane.BULK: 2, Lane.URGENT: 3}
"""Times the capacity."""
_RETRY_S = 1.0
_DATED_BEFORE = 5


class OutboxFull(LinliError):
    """Nothing more can wait for the card: the reading was not accepted."""


class Acceptance(Protocol):
    """Where drivers hand their readings over."""

    def put(self, readings: Sequence[Reading], lane: Lane, stamp: Stamp | None = None) -> asyncio.Future[None]: ...

    def hurry(self) -> None: ...

    @property
    def full(self) -> bool: ...


class HandOver(NamedTuple):
    """Readings that wait for the card. ``stamp`` is what their instants were read from, unless those are beyond doubt."""

    readings: Sequence[Reading]
    accepted: asyncio.Future[None]
    stamp: Stamp | None


def nobody_vouches() -> Stamp:
    return Stamp("", 0, known=False)


class Accept:
    """See the module. ``report`` is a file descriptor that gets a line ``device at`` for every reading committed."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        report: int | None = None,
        group_s: float = GROUP_S,
        capacity: int = CAPACITY,
        clock: Callable[[], Micros] = wall_clock,
        stamp: Callable[[], Stamp] = nobody_vouches,
    ) -> None:
        self.accepted = 0
        self.refused = 0
        self.failing = False
        self._outbox = outbox
        self._report = report
        self._group_s = group_s
        self._capacity = capacity
        self._clock = clock
        self._stamp = stamp
        self._waiting: dict[Lane, list[HandOver]] = {lane: [] for lane in Lane}
        self._count = 0
        self._pressing = asyncio.Event()
        self._hurried = False
        self._stopping = False
        self._refused: list[Lost] = []

    @property
    def full(self) -> bool:
        return self._count >= self._capacity

    def put(self, readings: Sequence[Reading], lane: Lane, stamp: Stamp | None = None) -> asyncio.Future[None]:
        """Hands readings over; the future is done once they are on disk, or fails with ``OutboxFull``.

        Instants read under a ``stamp`` that nobody vouches for are dated anew if the true time is learned.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not readings:
            future.set_result(None)
        elif self._count + len(readings) > self._capacity * REFUSED_PAST[lane]:
            self._refuse(readings)
            future.set_exception(OutboxFull(f"{self._count} readings wait for the card"))
        else:
            self._waiting[lane].append(HandOver(readings, future, None if stamp is None or stamp.known else stamp))
            self._count += len(readings)
            if lane is Lane.URGENT or self.full:
                self._pressing.set()
        return future

    def hurry(self) -> None:
        """Somebody waits for bulk readings: commit them now instead of with the group."""
        self._hurried = True
        self._pressing.set()

    async def run(self) -> None:
        """Commits until cancelled; then what waits once more, and seals it, so that a clean stop leaves nothing half done."""
        working = asyncio.create_task(self._work(), name="accept work")
        try:
            await asyncio.shield(working)  # a commit under way is never left: its readings would be committed again
        finally:
            self._stopping = True
            self._pressing.set()
            await working

    async def _work(self) -> None:
        next_group = time.monotonic() + self._group_s
        while not self._stopping:
            await self._wait(next_group)
            await self._commit(Lane.URGENT)
            if time.monotonic() >= next_group or self.full or self._hurried:
                self._hurried = False
                await self._commit(Lane.BULK)
                await self._certify()
                await self._seal()
                next_group = time.monotonic() + self._group_s
        for lane in Lane:
            await self._commit(lane)
        await self._certify()
        await self._seal(force=True)

    def _refuse(self, readings: Sequence[Reading]) -> None:
        self.refused += len(readings)
        told = [Lost(reading.device, reading.at, reading.at, 1, UNWRITTEN) for reading in readings]
        self._refused = merged([*self._refused, *told])

    async def _certify(self) -> None:
        """Makes what was refused known as lost, now that the disk takes something again."""
        if not self._refused or self.failing:
            return
        lost, self._refused = self._refused, []
        place = Place(self._outbox.gateway, 0, self._clock())
        if not await self._append([certificate(one, place, number) for number, one in enumerate(lost)], Lane.BULK, None):
            self._refused = merged([*lost, *self._refused])

    async def _seal(self, *, force: bool = False) -> None:
        try:
            if await self._outbox.call(self._date_and_seal, force):
                self._outbox.news.set()
        except OutboxFailing as error:
            self._note_failure(error)  # what is accepted is durable; it is sealed with the next group, or at the next start

    def _date_and_seal(self, force: bool) -> bool:
        now = self._clock()
        dated = self._date(now)
        return self._outbox.seal(now, force=force) or dated

    def _date(self, now: Micros) -> bool:
        """What was held goes before what comes now, so that events keep their order; but not for ever."""
        sealed = False
        for _ in range(_DATED_BEFORE):
            held = self._outbox.held
            if not held:
                break
            sealed |= self._outbox.date(self._stamp(), now)
            if self._outbox.held == held:
                break
        return sealed

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._pressing.wait()
        except TimeoutError:
            return
        self._pressing.clear()

    async def _commit(self, lane: Lane) -> None:
        """Everything of a lane that waits now, in groups of a batch; what is not committed keeps waiting, in order."""
        remaining = len(self._waiting[lane])
        while remaining > 0:
            hand_overs = self._group(lane, remaining)
            group = [reading for hand_over in hand_overs for reading in hand_over.readings]
            for start in range(0, len(group), BATCH_READINGS):
                if not await self._append(group[start : start + BATCH_READINGS], lane, hand_overs[0].stamp):
                    return
            del self._waiting[lane][: len(hand_overs)]
            remaining -= len(hand_overs)
            for readings, future, _ in hand_overs:
                self._count -= len(readings)
                self.accepted += len(readings)
                if not future.done():
                    future.set_result(None)

    def _group(self, lane: Lane, most: int) -> list[HandOver]:
        """The oldest hand-overs of one stamp that fit one batch, at least one."""
        size, count = 0, 0
        for readings, _, stamp in self._waiting[lane][:most]:
            size += len(readings)
            if count and (size > BATCH_READINGS or stamp != self._waiting[lane][0].stamp):
                break
            count += 1
        return self._waiting[lane][:count]

    async def _append(self, group: list[Reading], lane: Lane, stamp: Stamp | None) -> bool:
        """Until the commit succeeds; false when it still fails at a stop."""
        while True:
            try:
                sealed = await self._outbox.call(self._durable, group, lane, stamp)
            except OutboxFailing as error:
                self._note_failure(error)
                if self._stopping:
                    return False
                await asyncio.sleep(_RETRY_S)
            else:
                self._note_failure(None)
                if sealed:
                    self._outbox.news.set()
                return True

    def _durable(self, group: list[Reading], lane: Lane, stamp: Stamp | None) -> bool:
        """On the outbox's thread: commit, and only then report."""
        now = self._clock()
        if stamp is not None:
            sealed = self._outbox.hold(group, lane, stamp, now)
        else:
            earlier = self._date(now)
            sealed = self._outbox.append(group, lane, now) or earlier
        if self._report is not None:
            os.write(self._report, "".join(f"{reading.device} {reading.at}\n" for reading in group).encode())
        return sealed

    def _note_failure(self, error: OutboxFailing | None) -> None:
        if error is not None and not self.failing:
            log.error("outbox cannot be written; readings wait in memory", error=str(error))
        elif error is None and self.failing:
            log.info("outbox can be written again")
        self.failing = error is not None
