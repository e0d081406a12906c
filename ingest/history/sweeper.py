"""Deletes history that is past keeping, once an hour.

1. What is cut is said durably before it is deleted, so that nothing late is thinned into a window that is half gone.
2. Readings that wait to be thinned are not deleted.
3. Nothing is deleted until readings have come since the start and said what time it is.
"""

import asyncio
from collections.abc import Callable, Mapping

import sqlalchemy as sa
import structlog

from ingest import instant
from ingest.database import Database, metadata, upsert
from ingest.history.present import Present
from ingest.history.retention import DAY_US, DELAY_US, FOREVER, Applied, Days, Part, Retention, admitted, cut_of, sound_now
from ingest.history.stale import StaleWindows
from ingest.store import Level, PointStore
from telemetry.errors import StoreUnavailable
from telemetry.metric import Kind
from telemetry.reading import Micros

log = structlog.get_logger()

EVERY_S = 3_600.0
SOON_S = 60.0

table = sa.Table(
    "retention",
    metadata,
    sa.Column("part", sa.String(32), primary_key=True),
    sa.Column("days", sa.Integer),
    sa.Column("wanted", sa.Integer),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("cut", sa.BigInteger, nullable=False),
)
"""Forever is NULL."""


class Kept:
    """What is in force for each part of history, in the centre's database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._applied: Mapping[Part, Applied] = {}

    async def open(self) -> None:
        rows = await self._database.read(lambda connection: connection.execute(sa.select(table)).fetchall())
        self._applied = {Part(row.part): Applied(_days(row.days), _days(row.wanted), row.since, row.cut) for row in rows}

    def applied(self, part: Part) -> Applied | None:
        return self._applied.get(part)

    async def apply(self, part: Part, applied: Applied) -> None:
        """Durable when it returns."""
        row = {"part": part.value, "days": _number(applied.days), "wanted": _number(applied.wanted), **_places(applied)}
        await self._database.write(lambda connection: upsert(connection, table, [row]))
        self._applied = {**self._applied, part: applied}

    def kept_from(self, level: Level, kind: Kind) -> int:
        """The first instant that is still kept of a kind at a level."""
        cuts = [applied.cut for part, applied in self._applied.items() if part.level is level and kind in part.kinds]
        return max(cuts, default=0)


class Sweeper:
    """Cuts what ``retention`` says off the history in ``store``."""

    def __init__(
        self,
        store: PointStore,
        stale: StaleWindows,
        present: Present,
        kept: Kept,
        retention: Retention,
        clock: Callable[[], Micros],
    ) -> None:
        self._store = store
        self._stale = stale
        self._present = present
        self._kept = kept
        self._retention = retention
        self._clock = clock
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        wait = SOON_S
        while True:
            await asyncio.sleep(wait)
            try:
                wait = EVERY_S if await self.sweep() else SOON_S
                self._told.discard("failing")
            except StoreUnavailable as error:
                self._tell("failing", "history past keeping cannot be deleted now", error=str(error))
                wait = SOON_S

    async def sweep(self) -> bool:
        """Deletes what is past keeping; whether it is known what time it is. Raises ``StoreUnavailable``."""
        if not self._store.limits.deletes:
            self._tell("server", "this store's server deletes by its own settings; retention of centre.yaml is not used")
            return True
        clock = self._clock()
        now = sound_now(clock, self._present.median())
        if now is None:
            return False
        if now < clock:
            self._tell("ahead", "the clock is a day or more ahead of the readings; history is deleted by theirs")
        else:
            self._told.discard("ahead")
        for part in Part:
            await self._cut(part, now)
        return True

    def personal_cut(self) -> int:
        """Before which instant nothing shall say any more who was where: as its readings go, or would where the server itself
        deletes them. 0: nothing goes."""
        if self._store.limits.deletes:
            return self._kept.kept_from(Level.RAW, Kind.ACCESS)
        days, now = self._retention.personal_days, sound_now(self._clock(), self._present.median())
        return 0 if days == FOREVER or now is None else now - days * DAY_US

    async def _cut(self, part: Part, now: int) -> None:
        before = self._kept.applied(part)
        applied = admitted(self._retention.days(part), before, now)
        if applied.days != applied.wanted and before is not None:  # at the first start nobody has changed anything
            self._announce(part, applied)
        cut = cut_of(applied, now, None if part.level is Level.HOUR else self._stale.oldest())
        applied = applied._replace(cut=cut)
        if applied != before:
            await self._kept.apply(part, applied)
        if cut:
            await self._store.drop_before(part.level, cut, part.kinds)

    def _announce(self, part: Part, applied: Applied) -> None:
        words = {"keeps_days": applied.days, "will_keep_days": applied.wanted, "at": instant.text(applied.since + DELAY_US)}
        self._tell(part, "history will be kept much shorter; change centre.yaml back if it should not", part=part.value, **words)

    def _tell(self, once: str, message: str, **values: object) -> None:
        if once not in self._told:
            self._told.add(once)
            log.warning(message, **values)


def _days(number: int | None) -> Days:
    return FOREVER if number is None else number


def _number(days: Days) -> int | None:
    return None if days == FOREVER else days


def _places(applied: Applied) -> dict[str, int]:
    return {"since": applied.since, "cut": applied.cut}
