"""Computes the summaries of windows whose readings are newer than they: the same on every store.

1. One bounded step at a time, and a rest as long as the step after each: intake, rules and questions come first.
2. A store that is down is asked again ever more seldom; what is stale stays so.
"""

import asyncio
import time

import structlog

from ingest.history.stale import StaleWindows
from ingest.store import PointStore
from telemetry.errors import StoreUnavailable

log = structlog.get_logger()

LOOK_S = 1.0
_BACKOFF_S = (1.0, 60.0)


class Thinner:
    """Thins what ``stale`` says, in ``store``."""

    def __init__(self, store: PointStore, stale: StaleWindows) -> None:
        self._store = store
        self._stale = stale
        self.failing = ""

    async def run(self) -> None:
        """Until cancelled."""
        backoff = _BACKOFF_S[0]
        while True:
            begun = time.monotonic()
            try:
                worked = await self.step()
            except StoreUnavailable as error:
                self._note(str(error))
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_S[1])
                continue
            backoff = _BACKOFF_S[0]
            self._note("")
            await asyncio.sleep(time.monotonic() - begun if worked else LOOK_S)

    async def step(self) -> bool:
        """Computes what is due first, if anything is. Raises ``StoreUnavailable``."""
        due = self._stale.due()
        if due is None:
            return False
        await self._store.roll_up(due.window.level, due.window.start, due.notes)
        await self._stale.settled(due)
        return True

    def _note(self, trouble: str) -> None:
        if trouble and not self.failing:
            log.error("history cannot be thinned now; it waits", error=trouble)
        elif self.failing and not trouble:
            log.info("history is thinned again")
        self.failing = trouble
