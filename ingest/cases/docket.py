"""The docket: work orders in the database, read and changed within one transaction of the caller.

1. A change of a case, its journal line, its links to alerts and its idempotency key are one transaction.
2. The journal's newest line of a case and its row say the same.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import Alert, AlertState, Colour
from ingest.alerts.tables import alert as alerts
from ingest.cases import following
from ingest.cases.case import MACHINE, Case, Person
from ingest.cases.journal import Line
from ingest.cases.lifecycle import advance
from ingest.cases.move import Attach, MachineMove, Merge, Move, action_of
from ingest.cases.tables import case_of, line_of, row_of, work_order, work_order_alert, work_order_journal, written
from ingest.cases.terms import Terms
from ingest.cases.turn import Facts, Turn
from ingest.chain import START, digest

CHINA = timezone(timedelta(hours=8))
"""Of the day in a case's number: it is read on paper."""


class Linked(NamedTuple):
    """The alerts of a case, as a whole. ``colour`` is the gravest of those whose condition holds."""

    facts: Facts
    colour: Colour | None


def load(connection: sa.Connection, id: str) -> Case | None:
    body = connection.scalar(sa.select(work_order.c.body).where(work_order.c.id == id))
    return case_of(body) if body is not None else None


def case_of_alert(connection: sa.Connection, alert: str) -> Case | None:
    """The work order that the alert belongs to, open or not."""
    linked = sa.select(work_order_alert.c.work_order).where(work_order_alert.c.alert == alert)
    id = connection.scalar(linked)
    return load(connection, id) if id is not None else None


def open_case_of(connection: sa.Connection, row: sa.RowMapping) -> Case | None:
    """The open case of the same rule at the same subject as the alert in ``row``."""
    same = [work_order.c[name] == row[name] for name in ("rule", "community", "subject", "discriminator")]
    wanted = sa.select(work_order.c.body).where(*same, work_order.c.ended.is_(False)).order_by(work_order.c.seq.desc()).limit(1)
    body = connection.scalar(wanted)
    return case_of(body) if body is not None else None


def linked(connection: sa.Connection, case: Case) -> Linked:
    mine = sa.join(alerts, work_order_alert, alerts.c.id == work_order_alert.c.alert)
    found = sa.select(alerts.c.over_at, alerts.c.count, alerts.c.colour).select_from(mine)
    rows = connection.execute(found.where(work_order_alert.c.work_order == case.id)).all()
    holding = {Colour(colour) for over_at, _, colour in rows if over_at is None}
    colour = next((colour for colour in Colour if colour in holding), None)
    return Linked(Facts(bool(holding), sum(count for _, count, _ in rows)), colour)


def opened(
    connection: sa.Connection,
    case: Case,
    by: Person,
    event_at: int,
    at: int,
    terms: Terms,
    reason: str = "",
    discriminator: str = "",
) -> Case:
    """A new case, numbered. ``discriminator`` tells it apart as it does its alert: a hash of a plate or a card, perhaps, so it
    stands beside the case and never in the journal, which keeps it for ever."""
    day = day_of(case.times.reported)
    mine = work_order.c.community == case.community, work_order.c.day == day
    serial = (connection.scalar(sa.select(sa.func.count()).select_from(work_order).where(*mine)) or 0) + 1
    no = f"{case.community}-{day}-{serial:04}"
    case = msgspec.structs.replace(case, id=hashlib.sha256(no.encode()).hexdigest()[:20], no=no)
    _keep(connection, case, "report", b"{}", by, reason, event_at, at, terms, discriminator)
    _link(connection, case.alerts, case.id)
    return case


def moved(
    connection: sa.Connection, case: Case, move: Move | MachineMove, by: Person, event_at: int, at: int, terms: Terms
) -> Case:
    """The case after the move, written. Raises ``MoveRefused``; then nothing is."""
    target = _target(connection, case, move) if isinstance(move, Merge) else None
    facts = linked(connection, case).facts._replace(target=target is not None)
    after = advance(case, move, Turn(by, facts, at, terms))
    _keep(connection, after, action_of(move), written(move), by, _reason(move), event_at, at, terms)
    if target is not None:
        attach = Attach(alerts=case.alerts, merged=case.id)
        joined = advance(target, attach, Turn(MACHINE, Facts(), at, terms))
        _keep(connection, joined, action_of(attach), written(attach), by, _reason(move), event_at, at, terms)
        mine = work_order_alert.c.work_order == case.id
        connection.execute(work_order_alert.update().where(mine).values(work_order=target.id))
    return after


def attached(connection: sa.Connection, case: Case, alert: Alert, at: int, terms: Terms) -> Case:
    _link(connection, (alert.id,), case.id)
    return moved(connection, case, Attach(alerts=(alert.id,)), MACHINE, alert.opened_at, at, terms)


def lines(connection: sa.Connection, case: str) -> list[Line]:
    """The journal of one case."""
    wanted = sa.select(work_order_journal).where(work_order_journal.c.case == case).order_by(work_order_journal.c.seq)
    return [line_of(row) for row in connection.execute(wanted).mappings()]


def changed_alerts(connection: sa.Connection, after: int, until: int, limit: int) -> Sequence[sa.RowMapping]:
    """Alerts changed after one ``seq`` up to another that belong to a work order, or to a rule and subject with an open one."""
    linked = sa.exists().where(work_order_alert.c.alert == alerts.c.id)
    same = [work_order.c[name] == alerts.c[name] for name in ("rule", "community", "subject", "discriminator")]
    joining = sa.exists().where(*same, work_order.c.ended.is_(False))
    wanted = sa.select(alerts).where(alerts.c.seq > after, alerts.c.seq <= until, linked | joining)
    return connection.execute(wanted.order_by(alerts.c.seq).limit(limit)).mappings().all()


def waiting_alerts(connection: sa.Connection, rules: Sequence[str], before: int, limit: int) -> Sequence[sa.RowMapping]:
    """Alerts of these rules that still hold, that nothing holds back and that are nobody's case; yellow ones when acknowledged,
    or opened before an instant."""
    if not rules:
        return ()
    unlinked = ~sa.exists().where(work_order_alert.c.alert == alerts.c.id)
    heard = alerts.c.suppressed_by == "", alerts.c.shelved_until.is_(None), alerts.c.folded.is_(False)
    ripe = (alerts.c.colour != Colour.YELLOW.value) | alerts.c.acked_at.is_not(None) | (alerts.c.opened_at <= before)
    holding = alerts.c.state == AlertState.OPEN.value, alerts.c.over_at.is_(None)  # the state is what an index knows
    wanted = sa.select(alerts).where(*holding, *heard, alerts.c.rule.in_(rules), ripe, unlinked)
    return connection.execute(wanted.order_by(alerts.c.opened_at).limit(limit)).mappings().all()


def due(connection: sa.Connection, now: int, limit: int) -> Iterator[Case]:
    """Open cases that time may change now, the longest overdue first."""
    wanted = sa.select(work_order.c.body).where(work_order.c.look_at <= now).order_by(work_order.c.look_at).limit(limit)
    return (case_of(body) for body in connection.scalars(wanted).all())


def look_again(connection: sa.Connection, case: Case, at: int | None) -> None:
    """Notes when time may next change a case, which stays as it is."""
    connection.execute(work_order.update().where(work_order.c.id == case.id).values(look_at=at))


def day_of(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(CHINA).strftime("%Y%m%d")


def _target(connection: sa.Connection, case: Case, move: Merge) -> Case | None:
    target = load(connection, move.into)
    return target if target is not None and target.community == case.community and not target.ended else None


def _reason(move: Move | MachineMove) -> str:
    for name in ("reason", "result", "text", "note"):
        if said := getattr(move, name, ""):
            return str(said)
    return ""


def _keep(
    connection: sa.Connection,
    case: Case,
    action: str,
    details: bytes,
    by: Person,
    reason: str,
    event_at: int,
    at: int,
    terms: Terms,
    discriminator: str = "",
) -> None:
    newest = sa.select(work_order_journal.c.digest).order_by(work_order_journal.c.seq.desc()).limit(1)
    before = connection.scalar(newest) or START
    role = by.role.value if by.role else ""
    body = written(case)
    line = Line(
        0, case.id, case.version, action, event_at, at, by.token, by.name, role, by.unit, reason, details, body, before, ""
    )
    row = line._replace(digest=digest(line))._asdict()
    del row["seq"]
    seq = int(connection.execute(work_order_journal.insert().values(row)).inserted_primary_key[0])  # type: ignore[index]  # one insert has one
    kept = {**row_of(case, day_of(case.times.reported), following.look_at(case, at, terms)), "seq": seq}
    if connection.execute(work_order.update().where(work_order.c.id == case.id).values(kept)).rowcount == 0:
        connection.execute(work_order.insert().values({**kept, "discriminator": discriminator}))


def forget(connection: sa.Connection, cut: int, most: int) -> int:
    """Forgets by what cases that were reported before ``cut`` and have ended were told apart; of ``most``, how many."""
    named = work_order.c.discriminator != sa.literal_column("''")
    old = sa.select(work_order.c.id).where(named, work_order.c.reported_at < cut, work_order.c.ended)
    these = old.order_by(work_order.c.reported_at).limit(most)
    return connection.execute(work_order.update().where(work_order.c.id.in_(these)).values(discriminator="")).rowcount


def _link(connection: sa.Connection, linked: Sequence[str], case: str) -> None:
    for alert in linked:
        mine = work_order_alert.c.alert == alert
        if connection.execute(work_order_alert.update().where(mine).values(work_order=case)).rowcount == 0:
            connection.execute(work_order_alert.insert().values(alert=alert, work_order=case))
