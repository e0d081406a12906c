"""The journal of alerts as people meet it: read within a scope, and checked."""

from collections.abc import Callable

import sqlalchemy as sa

from ingest.alerts.journal import Line
from ingest.alerts.tables import alert, journal, line_of
from ingest.chain import Broken, Checked, checked
from ingest.database import Database
from telemetry.identity import Scope

CHECKED = 2_000


class Chronicle:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, scope: Scope, id: str, limit: int) -> list[Line] | None:
        """The newest lines of one alert, oldest first; ``None``: it is not in the scope."""
        place = sa.select(alert.c.community).where(alert.c.id == id)
        newest = sa.select(journal).where(journal.c.alert == id).order_by(journal.c.seq.desc()).limit(limit)

        def ask(connection: sa.Connection) -> list[Line] | None:
            community = connection.scalar(place)
            if community is None or not scope.covers(community):
                return None
            return [line_of(row) for row in connection.execute(newest).mappings()][::-1]

        return await self._database.read(ask)

    async def check(self) -> Checked:
        """Whether the journal is what was written, and says the same of every alert as its row."""
        return await checked(self._database, _run_after, _first_stray)


def _run_after(seq: int) -> Callable[[sa.Connection], list[Line]]:
    wanted = sa.select(journal).where(journal.c.seq > seq).order_by(journal.c.seq).limit(CHECKED)
    return lambda connection: [line_of(row) for row in connection.execute(wanted).mappings()]


def _first_stray(connection: sa.Connection) -> Broken | None:
    """An alert whose row is not what the journal's newest line of it says. Old lines do not say how the alert then was."""
    said = [sa.or_(journal.c[name] == "", journal.c[name] == alert.c[name]) for name in ("colour", "state", "rule_version")]
    same = sa.and_(journal.c.seq == alert.c.seq, journal.c.alert == alert.c.id, journal.c.value == alert.c.value, *said)
    stray = sa.select(alert.c.seq).select_from(sa.outerjoin(alert, journal, same)).where(journal.c.seq.is_(None)).limit(1)
    seq = connection.scalar(stray)
    return None if seq is None else Broken(seq, "the alert's row is not what the journal says")
