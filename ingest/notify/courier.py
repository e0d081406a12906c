"""One target's queue at work.

1. Red goes first, then what is due longest; a target that is slow or dead holds up itself alone.
2. What was sent is written down before the next is taken: a crash in between sends it again, under the same name.
3. A failure moves only the next try of what was tried. When the target itself is at fault (``Breaker``), or has had enough
   (``Allowance``), the others are not tried at all and lose no try of theirs.
4. A target that is gone (410) is sent nothing more until an operator switches it on again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from ingest.alerts import Colour
from ingest.notify.allowance import Allowance, together
from ingest.notify.outbox import Notice, Outbox
from ingest.notify.patience import Breaker, pause_after
from ingest.notify.standing import Standing
from ingest.notify.verdict import Fate, Sender, Verdict, failed
from telemetry.errors import StoreUnavailable

log = structlog.get_logger()

LOOK_US = 2_000_000
RETRY_S = 1.0
SECOND_US = 1_000_000

_T = TypeVar("_T")


class Courier:
    """``chance`` gives 0 to 1. ``woken`` is set when there may be something new."""

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        sender: Sender,
        allowance: Allowance,
        standing: Standing,
        clock: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._sender = sender
        self._allowance = allowance
        self._standing = standing
        self._clock = clock
        self._chance = chance
        self._breaker = Breaker()
        self._troubled = False
        self.woken = asyncio.Event()

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            self.woken.clear()
            pause_us = await self._surely(self.round)
            if (task := asyncio.current_task()) and task.cancelling():  # before Python 3.12 wait_for, so a sender, can lose it
                raise asyncio.CancelledError
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_us / SECOND_US):
                    await self.woken.wait()

    async def round(self) -> int:
        """Sends the next message, if one may go now; after how many microseconds to look again. Raises ``StoreUnavailable``."""
        now = self._clock()
        due = await self._outbox.due(now, self._sender.most)
        if due and await self._standing.is_off(self._name):
            await self._outbox.give_up_all(now, "the target is switched off: it answered 410")
            due = []
        if not due:
            return LOOK_US
        red = due[0].colour is Colour.RED
        first = [notice for notice in due if (notice.colour is Colour.RED) == red]
        free_at = max(self._breaker.free_at(red), self._allowance.frees_at(now, red))
        if free_at > now:
            return min(LOOK_US, free_at - now)
        message = together(first, self._allowance.left(now, red), self._sender.most)
        self._allowance.note(now)
        await self._settle(message, await self._tried(message))
        return 0

    async def _tried(self, message: Sequence[Notice]) -> Verdict:
        try:
            return await self._sender.send(message)
        except Exception as error:  # what a sender did not expect concerns its target alone
            log.error("notification failed unexpectedly", target=self._name, error=repr(error))
            return failed(f"unexpected: {type(error).__name__}")

    async def _settle(self, message: Sequence[Notice], verdict: Verdict) -> None:
        now = self._clock()
        self._standing.note(self._name, verdict, now)
        self._tell(verdict)
        match verdict.fate:
            case Fate.SENT:
                self._breaker = Breaker()
                await self._surely(lambda: self._outbox.sent(message, now))
            case Fate.GONE:
                await self._surely(lambda: self._standing.switch_off(self._name, verdict.reason, now))
                await self._surely(lambda: self._outbox.given_up(message, now, verdict.reason))
            case Fate.ENOUGH | Fate.FAILED:
                if verdict.fate is Fate.ENOUGH:
                    self._allowance.close(now + round(verdict.rest_s * SECOND_US))
                else:
                    self._breaker = self._breaker.failed(now)
                await self._surely(lambda: self._put_off(message, verdict, now))

    async def _put_off(self, message: Sequence[Notice], verdict: Verdict, now: int) -> None:
        pauses = [(notice, pause_after(notice.tries + 1, notice.colour, self._chance())) for notice in message]
        again = [(notice, now + pause) for notice, pause in pauses if pause is not None]
        over = [notice for notice, pause in pauses if pause is None]
        if again:
            await self._outbox.failed(again, verdict.reason)
        if over:
            await self._outbox.given_up(over, now, verdict.reason)

    def _tell(self, verdict: Verdict) -> None:
        """Two lines for an outage, however long."""
        if verdict.fate is Fate.SENT and self._troubled:
            log.info("notifications arrive again", target=self._name)
        elif verdict.fate is not Fate.SENT and not self._troubled:
            log.warning("notifications do not arrive", target=self._name, reason=verdict.reason)
        self._troubled = verdict.fate is not Fate.SENT

    async def _surely(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """``step``, again until the database takes it."""
        said = False
        while True:
            try:
                return await step()
            except StoreUnavailable as error:
                if not said:
                    log.error("notifications wait for the database", target=self._name, error=str(error))
                said = True
                await asyncio.sleep(RETRY_S)
