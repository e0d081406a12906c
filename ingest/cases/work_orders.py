"""Work orders as people meet them: read within a scope, opened, moved on; followed by alerts and time.

1. Nothing outside the scope is told or changed.
2. A change names the version it was decided on: of two at once, the second is refused, and so is what the lifecycle refuses.
3. What was asked under an idempotency key is done once (``ingest.once``).
4. An alert has one intake: while its case is open no other is made of it, and a new alert of the same rule at the same subject
   joins it.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import Colour
from ingest.alerts.planned import Planned
from ingest.alerts.tables import alert as alerts
from ingest.cases import docket, opening
from ingest.cases.case import ENDED, Case, Person, Stage
from ingest.cases.drill import Exercised, exercised
from ingest.cases.follower import Follower
from ingest.cases.journal import Line
from ingest.cases.move import Move
from ingest.cases.tables import case_of, line_of, work_order, work_order_journal
from ingest.cases.telling import Told, nobody
from ingest.cases.terms import Terms
from ingest.chain import Broken, Checked, checked
from ingest.database import Database
from ingest.once import Once, done_once
from ingest.paging import Cursor, Listing, Span, inside, narrowed, newest, widest
from telemetry.errors import LinliError
from telemetry.identity import Scope

CHECKED = 1_000
MAX_GRADE = 3
STRIDE = 5_000
"""At most so many lines are looked through for one answer of the feed."""

LISTING = Listing(
    work_order,
    "reported_at",
    ("supervision", "unit", "kind", "stage"),
    {"ended": (False, True), "colour": tuple(Colour)},
)


class NotThere(LinliError):
    """There is no such work order, or alert, in the scope."""


class Changed(LinliError):
    """The work order is not at the version that was named; it is at ``version``."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"the work order is at version {version}")


class CaseFilter(NamedTuple):
    """``None`` is no restriction. ``since`` and ``until`` bound when it was reported, UTC microseconds: since <= it < until."""

    stage: Stage | None = None
    colour: Colour | None = None
    kind: str | None = None
    unit: str | None = None
    community: str | None = None
    supervision: int | None = None
    ended: bool | None = None
    since: int | None = None
    until: int | None = None


class Answer(NamedTuple):
    """The case; ``made`` when it is new, or was when it was first asked for."""

    case: Case
    made: bool = False


_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class Changes(NamedTuple):
    """Lines of the journal. All up to ``reached`` have been looked through: go on after it."""

    lines: list[Line]
    reached: int


class WorkOrders:
    """``auto`` are the rules whose alerts become work orders by themselves; ``catalogue`` says what a kind asks for; ``told``
    hears of what people are to hear of, within its transaction."""

    def __init__(
        self,
        database: Database,
        terms: Terms,
        auto: Collection[str] = (),
        catalogue: opening.Catalogue = opening.unsaid,
        told: Told = nobody,
    ) -> None:
        self._database = database
        self._follower = Follower(terms, auto, catalogue, told)
        self.terms = terms

    async def page(self, scope: Scope, filter: CaseFilter, after: Cursor | None, limit: int) -> tuple[list[Case], Cursor | None]:
        """Newest first, at most ``limit``; the cursor of the next page, ``None`` after the last."""
        inner = scope if filter.community is None else narrowed(scope, filter.community)
        span = Span(filter.since, filter.until)

        def ask(connection: sa.Connection) -> list[Case]:
            ids = newest(connection, LISTING, inner, _equal(filter), span, after, limit + 1)
            rows = connection.execute(sa.select(work_order.c.id, work_order.c.body).where(work_order.c.id.in_(ids)))
            bodies = {row.id: row.body for row in rows}
            return [case_of(bodies[id_]) for id_ in ids]

        found = await self._database.read(ask)
        last = found[limit - 1] if len(found) > limit else None
        return found[:limit], Cursor(last.times.reported, last.id) if last else None

    async def get(self, scope: Scope, id: str) -> Case | None:
        case = await self._database.read(lambda connection: docket.load(connection, id))
        return case if case is not None and scope.covers(case.community) else None

    async def journal(self, scope: Scope, id: str) -> list[Line] | None:
        """What was done with a work order, in order; ``None`` when it is not in the scope."""
        if await self.get(scope, id) is None:
            return None
        return await self._database.read(lambda connection: docket.lines(connection, id))

    async def changes(self, scope: Scope, after_seq: int, limit: int) -> Changes:
        """What was done after ``after_seq``, to any work order of the scope, in the order in which it was written."""
        journal = work_order_journal
        after = sa.select(journal.c.seq, journal.c.case).where(journal.c.seq > after_seq)
        next_ones = after.order_by(journal.c.seq).limit(STRIDE).subquery()
        mine = sa.select(next_ones.c.seq).join(work_order, work_order.c.id == next_ones.c.case).where(_within(scope))
        found = mine.order_by(next_ones.c.seq).limit(limit)
        wanted = sa.select(journal).where(journal.c.seq.in_(found)).order_by(journal.c.seq)

        def ask(connection: sa.Connection) -> Changes:
            lines = [line_of(row) for row in connection.execute(wanted).mappings()]
            if len(lines) == limit:
                return Changes(lines, lines[-1].seq)
            return Changes(lines, connection.scalar(sa.select(sa.func.max(next_ones.c.seq))) or after_seq)

        return await self._database.read(ask)

    async def open(self, case: Case, by: Person, event_at: int, now: int, once: Once | None = None) -> Answer:
        """A new work order that no alert has raised. Raises ``KeyReused``."""

        def change(connection: sa.Connection) -> Answer:
            def do() -> Answer:
                return Answer(docket.opened(connection, case, by, event_at, now, self.terms), True)

            return done_once(connection, once, now, _answer, do)

        return await self._database.write(change)

    async def open_for(
        self, scope: Scope, alert: str, by: Person, now: int, reason: str = "", once: Once | None = None
    ) -> Answer:
        """The work order of an alert: the open one that it has, else a new one, reported. Raises ``NotThere``, ``KeyReused``."""

        def change(connection: sa.Connection) -> Answer:
            def do() -> Answer:
                row = connection.execute(sa.select(alerts).where(alerts.c.id == alert)).mappings().one_or_none()
                if row is None or not scope.covers(row["community"]):
                    raise NotThere(alert)
                known = docket.case_of_alert(connection, alert)
                if known is not None and not known.ended:
                    return Answer(known)
                return Answer(self._follower.take_in(connection, row, Stage.REPORTED, by, now, reason), True)

            return done_once(connection, once, now, _answer, do)

        return _within_reach(await self._database.write(change), scope)

    async def move(
        self, scope: Scope, id: str, version: int, move: Move, by: Person, event_at: int, now: int, once: Once | None = None
    ) -> Case:
        """The work order after the move. Raises ``NotThere``, ``Changed``, ``KeyReused`` and ``MoveRefused``."""

        def change(connection: sa.Connection) -> Answer:
            def do() -> Answer:
                case = docket.load(connection, id)
                if case is None or not scope.covers(case.community):
                    raise NotThere(id)
                if case.version != version:
                    raise Changed(case.version)
                return Answer(self._follower.move(connection, case, move, by, event_at, now))

            return done_once(connection, once, now, _answer, do)

        return _within_reach(await self._database.write(change), scope).case

    async def follow(self, now: int) -> int:
        """Brings the work orders up to what alerts and time have made of them; how many changes that were. Call it often."""
        if not await self._database.read(lambda connection: self._follower.anything(connection, now)):
            return 0
        return await self._database.write(lambda connection: self._follower.follow(connection, now))

    async def exercised(self, drill: Planned) -> list[Exercised]:
        """How a drill went, alert by alert."""
        return await self._database.read(lambda connection: exercised(connection, drill))

    async def check(self) -> Checked:
        """Whether the journal is what was written, and says the same of every work order as its row."""
        return await checked(self._database, _run_after, _first_stray)


def _within_reach(answer: Answer, scope: Scope) -> Answer:
    """An answer kept under a key may be of what the token no longer sees."""
    if not scope.covers(answer.case.community):
        raise NotThere("its community is not in the scope any more")
    return answer


def _run_after(seq: int) -> Callable[[sa.Connection], list[Line]]:
    wanted = sa.select(work_order_journal).where(work_order_journal.c.seq > seq).order_by(work_order_journal.c.seq).limit(CHECKED)
    return lambda connection: [line_of(row) for row in connection.execute(wanted).mappings()]


def _first_stray(connection: sa.Connection) -> Broken | None:
    """A work order whose row is not what the journal's newest line of it says."""
    newest = work_order_journal.c.seq == work_order.c.seq
    same = sa.and_(work_order_journal.c.case == work_order.c.id, work_order_journal.c.body == work_order.c.body)
    pair = sa.outerjoin(work_order, work_order_journal, sa.and_(newest, same))
    stray = sa.select(work_order.c.seq).select_from(pair).where(work_order_journal.c.seq.is_(None)).limit(1)
    seq = connection.scalar(stray)
    return None if seq is None else Broken(seq, "the work order is not what its last line says")


def _within(scope: Scope) -> sa.ColumnElement[bool]:
    return inside(work_order.c.community, widest(scope))


def _equal(filter: CaseFilter) -> dict[str, Collection[Any]]:
    names = ("stage", "colour", "kind", "unit", "ended")
    equal: dict[str, Collection[Any]] = {name: (value,) for name in names if (value := getattr(filter, name)) is not None}
    if filter.supervision is not None:
        equal["supervision"] = range(filter.supervision, MAX_GRADE + 1)
    if filter.stage is not None:  # which says it as well: the index that is walked begins with it
        over = filter.stage in ENDED
        equal["ended"] = (over,) if filter.ended in (None, over) else ()
    return equal
