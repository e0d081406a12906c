"""How a drill went: of each alert raised in it when it was known, acknowledged, worked on and closed."""

from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts import Alert
from ingest.alerts.planned import Planned, covers
from ingest.alerts.tables import alert as alerts
from ingest.alerts.tables import alert_of, journal
from ingest.cases.docket import case_of_alert

MOST = 1_000


class Exercised(NamedTuple):
    """Instants, UTC microseconds: ``known_at`` when the centre knew, ``arrived_at`` when somebody started on the work order."""

    alert: Alert
    known_at: int
    arrived_at: int | None
    closed_at: int | None


def exercised(connection: sa.Connection, drill: Planned) -> list[Exercised]:
    """The alerts raised in a drill, in the order in which they were."""
    within = alerts.c.opened_at >= drill.starts_at, alerts.c.opened_at < drill.until
    wanted = (
        sa.select(alerts)
        .where(alerts.c.community.startswith(drill.community), *within)
        .order_by(alerts.c.opened_at, alerts.c.id)
        .limit(MOST)
    )
    found = (alert_of(row) for row in connection.execute(wanted).mappings().all())
    return [_exercised(connection, one) for one in found if covers(drill, one, one.opened_at)]


def _exercised(connection: sa.Connection, alert: Alert) -> Exercised:
    opened = sa.select(sa.func.min(journal.c.known_at)).where(journal.c.alert == alert.id, journal.c.transition == "opened")
    case = case_of_alert(connection, alert.id)
    arrived, closed = (case.times.started, case.times.closed) if case else (None, alert.closed_at)
    return Exercised(alert, connection.scalar(opened) or alert.opened_at, arrived, closed)
