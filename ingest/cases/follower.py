"""What alerts and time make of work orders, found and done within one transaction of the caller.

1. No change of an alert is passed over: how far it came commits with what came of it.
2. An alert joins the open case of its rule and subject before it becomes one of its own.
3. An alert that no work order is about costs nothing but a look.
"""

from collections.abc import Collection

import sqlalchemy as sa
import structlog

from ingest.alerts import Alert
from ingest.alerts.tables import alert as alerts
from ingest.alerts.tables import alert_of
from ingest.cases import docket, following, opening
from ingest.cases.case import MACHINE, Case, Person, Stage
from ingest.cases.move import MachineMove, Move
from ingest.cases.refusal import MoveRefused
from ingest.cases.tables import work_order, work_order_cursor
from ingest.cases.telling import Told, nobody, told_of
from ingest.cases.terms import Terms

log = structlog.get_logger()

CHANGES = 500
"""At most so many alerts, and so many cases, at once."""

MAX_MOVES = 10


class Follower:
    """``auto`` are the rules whose alerts become work orders by themselves; ``catalogue`` says what a kind asks for; ``told``
    hears of what people are to hear of, within its transaction."""

    def __init__(self, terms: Terms, auto: Collection[str], catalogue: opening.Catalogue, told: Told = nobody) -> None:
        self._terms = terms
        self._told = told
        self._auto = sorted(auto)
        self._catalogue = catalogue

    def anything(self, connection: sa.Connection, now: int) -> bool:
        """Whether there may be something to follow."""
        return (
            _newest_change(connection) != _cursor(connection)
            or connection.scalar(sa.select(sa.func.min(work_order.c.look_at)).where(work_order.c.look_at <= now)) is not None
            or bool(docket.waiting_alerts(connection, self._auto, now - following.PATIENCE, 1))
        )

    def follow(self, connection: sa.Connection, now: int) -> int:
        """Brings the work orders up to ``now``; how many changes that were."""
        newest = _newest_change(connection)
        rows = docket.changed_alerts(connection, _cursor(connection), newest, CHANGES)
        count = sum(self._heed(connection, row, now) for row in rows)
        _move_cursor(connection, rows[-1]["seq"] if len(rows) == CHANGES else newest)
        for row in docket.waiting_alerts(connection, self._auto, now - following.PATIENCE, CHANGES):
            alert = alert_of(row)
            count += self._join(connection, row, alert, now) or self._file(connection, row, alert, now)
        for case in docket.due(connection, now, CHANGES):
            count += self._settle(connection, case, now, now)
        return count

    def take_in(
        self, connection: sa.Connection, row: sa.RowMapping, stage: Stage, by: Person, now: int, reason: str = ""
    ) -> Case:
        """A new case of the alert in ``row``."""
        alert = alert_of(row)
        fresh = opening.from_alert(alert, row["subject"], self._catalogue(alert.kind), stage, now, self._terms)
        return docket.opened(connection, fresh, by, alert.opened_at, now, self._terms, reason, row["discriminator"])

    def move(self, connection: sa.Connection, case: Case, move: Move | MachineMove, by: Person, event_at: int, now: int) -> Case:
        """The case after the move, written; whom it concerns hears of it. Raises ``MoveRefused``."""
        after = docket.moved(connection, case, move, by, event_at, now, self._terms)
        if (moved := told_of(case, after, move, event_at, now, self._terms)) is not None:
            self._told(connection, moved)
        return after

    def _heed(self, connection: sa.Connection, row: sa.RowMapping, now: int) -> int:
        """What a changed alert makes of the work order that it belongs to, or now joins; how many changes that were."""
        alert = alert_of(row)
        case = docket.case_of_alert(connection, alert.id)
        holds = row["over_at"] is None
        if not holds or (case is not None and case.stage is not Stage.CANCELLED):
            return self._settle(connection, case, _event_at(alert, holds), now) if case is not None else 0
        if joined := self._join(connection, row, alert, now):
            return joined
        withdrawn = case is not None and not case.touched
        return self._file(connection, row, alert, now) if withdrawn and alert.rule in self._auto else 0

    def _join(self, connection: sa.Connection, row: sa.RowMapping, alert: Alert, now: int) -> int:
        """Adds an alert that is in nobody's hands to the open case of its rule and subject, if there is one: a drill and what is
        no drill stay apart."""
        case = docket.open_case_of(connection, row)
        if case is None or case.drill != alert.drill:
            return 0
        after = docket.attached(connection, case, alert, now, self._terms)
        return 1 + self._settle(connection, after, alert.opened_at, now)

    def _file(self, connection: sa.Connection, row: sa.RowMapping, alert: Alert, now: int) -> int:
        self.take_in(connection, row, following.first_stage(alert.colour), MACHINE, now)
        return 1

    def _settle(self, connection: sa.Connection, case: Case, event_at: int, now: int) -> int:
        """Moves a case on by itself until nothing more is to be done now."""
        for count in range(MAX_MOVES):
            facts, colour = docket.linked(connection, case)
            found: Move | MachineMove | None = following.sensed(case, facts, colour, now, self._terms)
            found = found or following.timed(case, now, self._terms)
            if found is None:
                docket.look_again(connection, case, following.look_at(case, now, self._terms))
                return count
            try:
                case = self.move(connection, case, found, MACHINE, event_at, now)
            except MoveRefused as error:
                log.error("work order could not follow", work_order=case.id, why=error.why.value)
                docket.look_again(connection, case, None)
                return count
        return MAX_MOVES


def _event_at(alert: Alert, holds: bool) -> int:
    return alert.opened_at if holds or alert.cleared_at is None else alert.cleared_at


def _newest_change(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(alerts.c.seq))) or 0


def _cursor(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(work_order_cursor.c.alert_seq)) or 0


def _move_cursor(connection: sa.Connection, seq: int) -> None:
    if connection.execute(work_order_cursor.update().values(alert_seq=seq)).rowcount == 0:
        connection.execute(work_order_cursor.insert().values(id=1, alert_seq=seq))
