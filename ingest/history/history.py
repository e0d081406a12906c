"""History, joined: the store that notes what is written to it, who thins it and who cuts it off."""

import asyncio
from collections.abc import Callable
from functools import partial

from ingest.database import Database
from ingest.history.noting import NotingStore
from ingest.history.present import Present
from ingest.history.retention import Retention
from ingest.history.stale import StaleWindows
from ingest.history.sweeper import Kept, Sweeper
from ingest.history.thinner import Thinner
from ingest.store import Level, PointStore
from telemetry.metric import Kind
from telemetry.reading import Micros


class History:
    """What is written to ``store`` is thinned and, as ``retention`` says, deleted while ``run`` runs."""

    def __init__(self, store: PointStore, database: Database, retention: Retention, clock: Callable[[], Micros]) -> None:
        self._kept = Kept(database)
        self._stale = StaleWindows(database, clock, partial(self._kept.kept_from, Level.RAW))
        present = Present()
        self.store = NotingStore(store, self._stale, present)
        self._thinner = Thinner(store, self._stale)
        self._sweeper = Sweeper(store, self._stale, present, self._kept, retention, clock)

    async def open(self) -> None:
        """Recalls what is durable, before anything is written. Raises ``StoreUnavailable``."""
        await self._kept.open()
        await self._stale.open()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._thinner.run(), name="thinner")
            group.create_task(self._sweeper.run(), name="sweeper")

    def personal_cut(self) -> int:
        """Before which instant nothing shall say any more who was where; 0: nothing goes."""
        return self._sweeper.personal_cut()

    def kept_from(self, level: Level, kind: Kind) -> int:
        """The first instant that is still kept of a kind at a level."""
        return self._kept.kept_from(level, kind)
