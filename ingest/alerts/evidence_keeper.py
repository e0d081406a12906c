"""Gathers what alerts stood on from the telemetry store, when its time has come (``ingest.alerts.evidence``).

A store that is down delays it: what is owed stays owed. It is a task of its own, so that a slow store holds up no rule.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest.alerts import evidence
from ingest.alerts.episode import Alert
from ingest.alerts.evidence import AROUND_US, MOST, Evidence, Word
from ingest.alerts.review import Places
from ingest.alerts.tables import alert, alert_of
from ingest.database import Database
from ingest.history.retention import PERSONAL
from ingest.store import PointStore, Query, Row
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Kind

log = structlog.get_logger()

TOGETHER = 20
EVERY_S = 5.0


class Kept(NamedTuple):
    """``evidence`` is ``None`` until it is gathered at ``due_at``; ``rule_text`` is JSON, ``""`` when it is not known."""

    alert: Alert
    due_at: int | None
    evidence: Evidence | None
    rule_text: str


class EvidenceKeeper:
    """``clock`` is UTC microseconds, the wall's."""

    def __init__(self, database: Database, store: PointStore, places: Places, clock: Callable[[], int]) -> None:
        self._database = database
        self._store = store
        self._places = places
        self._clock = clock

    async def run(self) -> None:
        """Gathers until cancelled."""
        late = False
        while True:
            count = 0
            try:
                count = await self.gather(self._clock())
                late = False
            except StoreUnavailable as error:
                if not late:
                    log.warning("evidence of alerts waits for the store", error=str(error))
                late = True
            if count < TOGETHER:
                await asyncio.sleep(EVERY_S)

    async def gather(self, now: int) -> int:
        """Gathers what is due, ``TOGETHER`` at most; how many that were. Raises ``StoreUnavailable``."""
        due = await self._database.read(lambda connection: _due(connection, now))
        for one in due:
            keep = partial(evidence.keep, alert=one.id, evidence=await self._found(one, now), at=one.opened_at)
            await self._database.write(keep)
        return len(due)

    async def of(self, scope: Scope, id: str) -> Kept | None:
        """What is kept of an alert; ``None``: it is not in the scope."""
        columns = evidence.table.c.due_at, evidence.table.c.body, evidence.rule_text.c.text.label("rule_text")
        joined = sa.outerjoin(alert, evidence.table, evidence.table.c.alert == alert.c.id)
        joined = sa.outerjoin(joined, evidence.rule_text, evidence.rule_text.c.version == alert.c.rule_version)
        wanted = sa.select(alert, *columns).select_from(joined).where(alert.c.id == id)
        row = await self._database.read(lambda connection: connection.execute(wanted).mappings().one_or_none())
        if row is None or not scope.covers(row["community"]):
            return None
        found = evidence.load(row["body"]) if row["body"] is not None else None
        return Kept(alert_of(row), row["due_at"], found, row["rule_text"] or "")

    async def _found(self, one: Alert, now: int) -> Evidence:
        start, end = one.opened_at - AROUND_US, one.opened_at + AROUND_US
        mine = Query(communities=(one.community,), gateway=one.gateway, device=one.device, limit=MOST)
        before = await self._store.read(_between(mine, start, one.opened_at + 1, newest_first=True))
        after = await self._store.read(_between(mine, one.opened_at + 1, end, newest_first=False))
        rows = [*reversed(before[:MOST]), *after[:MOST]]
        device = self._places.find(GatewayRef(one.community, one.gateway), one.device)
        return Evidence(
            gathered_at=now,
            start=start,
            end=end,
            readings=tuple(map(_word, rows)),
            cut=len(before) >= MOST or len(after) >= MOST,
            qualities=Counter(row.quality.value for row in rows),
            gateway=await self._gateway_then(one, start),
            profile=device.profile if device else "",
            profile_version=device.profile_version if device else 0,
            unit=device.unit if device else "",
            personal=any(row.kind in PERSONAL for row in rows),
        )

    async def _gateway_then(self, one: Alert, start: int) -> tuple[Word, ...]:
        """The newest that the gateway had said of itself, metric by metric."""
        asked = Query(
            communities=(one.community,),
            gateway=one.gateway,
            device=one.gateway,
            kind=Kind.GATEWAY,
            limit=MOST,
            newest_first=True,
        )
        rows = await self._store.read(_between(asked, start, one.opened_at + 1, newest_first=True))
        newest = {row.metric: row for row in sorted(rows, key=lambda row: row.at)}
        return tuple(_word(row) for _, row in sorted(newest.items()))


def _between(query: Query, start: int, end: int, *, newest_first: bool) -> Query:
    return Query(
        communities=query.communities,
        gateway=query.gateway,
        device=query.device,
        kind=query.kind,
        start=start,
        end=end,
        limit=query.limit,
        newest_first=newest_first,
    )


def _word(row: Row) -> Word:
    return Word(row.at, row.metric, row.value, row.quality.value, row.reason)


def _due(connection: sa.Connection, now: int) -> list[Alert]:
    owed = evidence.table.c.due_at <= now
    pair = sa.join(evidence.table, alert, alert.c.id == evidence.table.c.alert)
    wanted = sa.select(alert).select_from(pair).where(owed).order_by(evidence.table.c.due_at).limit(TOGETHER)
    return [alert_of(row) for row in _rows(connection, wanted)]


def _rows(connection: sa.Connection, wanted: "sa.Select[tuple[object, ...]]") -> Iterable[sa.RowMapping]:
    return connection.execute(wanted).mappings().all()
