"""What says who was where goes when its time is over: here all but the readings, which ``ingest.history`` deletes.

1. Nothing goes before readings of its kind go; what is asked to go is gone within the hour.
2. Alerts, work orders and their journals stay, without what tells whom they were about: they never held more than a masked
   plate or card. Evidence loses its readings; letters, and notifications that were settled, go whole.
3. Bounded: ``TOGETHER`` of each go in one transaction, so that nothing waits long.
"""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa
import structlog

from ingest import deadletter
from ingest.alerts import evidence
from ingest.alerts import tables as alerts
from ingest.cases import docket
from ingest.database import Database
from ingest.notify import outbox
from telemetry.errors import StoreUnavailable

log = structlog.get_logger()

EVERY_S = 600.0
TOGETHER = 500

_FORGET = (evidence.forget, alerts.forget, docket.forget, deadletter.forget, outbox.forget)


class Expiry:
    """``cut`` says before which instant, UTC microseconds, nothing shall say any more who was where; 0 while nothing goes."""

    def __init__(self, database: Database, cut: Callable[[], int]) -> None:
        self._database = database
        self._cut = cut

    async def run(self) -> None:
        """Looks now and then, until cancelled."""
        late = False
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.sweep()
                late = False
            except StoreUnavailable as error:
                if not late:
                    log.error("what says who was where waits for the database to go", error=str(error))
                late = True

    async def sweep(self) -> None:
        """Raises ``StoreUnavailable``."""
        cut, more = self._cut(), True
        while cut and more:
            more = await self._database.write(lambda connection: _forget(connection, cut))


def _forget(connection: sa.Connection, cut: int) -> bool:
    """Whether there may be more."""
    gone = [forget(connection, cut, TOGETHER) for forget in _FORGET]
    return TOGETHER in gone
