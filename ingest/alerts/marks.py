"""Lists of what few alerts are: held back in one way or another, of a drill, of one flood. Each has an index of its own."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from ingest.alerts.tables import alert
from ingest.paging import Cursor, Span, bounds, inside


class Mark(StrEnum):
    """What holds an alert back now."""

    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    FOLDED = "folded"
    FLAPPING = "flapping"


_MARKED: Mapping[Mark, sa.ColumnElement[bool]] = {
    Mark.SHELVED: alert.c.shelved_until.is_not(None),
    Mark.SUPPRESSED: alert.c.suppressed_by != "",
    Mark.FOLDED: alert.c.folded,
    Mark.FLAPPING: alert.c.flapping,
}


def uncommon(marks: Collection[Mark], drill: bool, flood: str | None) -> Iterator[sa.ColumnElement[bool]]:
    """The conditions that few alerts satisfy; none when nothing of it is asked for."""
    if marks:
        yield alert.c.held
        yield from (_MARKED[mark] for mark in sorted(marks))
    if drill:
        yield alert.c.drill
    if flood is not None:
        yield sa.and_(alert.c.collapsed_into == flood, alert.c.collapsed_into != sa.literal_column("''"))


def newest_of_few(
    connection: sa.Connection,
    few: Sequence[sa.ColumnElement[bool]],
    prefixes: Collection[str],
    equal: Mapping[str, Collection[Any]],
    span: Span,
    after: Cursor | None,
    limit: int,
) -> list[str]:
    """The ids of at most ``limit`` of them, newest first, that come after the cursor."""
    rest = [alert.c[name].in_(values) for name, values in equal.items()]
    within = inside(alert.c.community, prefixes), *bounds(alert.c.opened_at, alert.c.id, span, after)
    wanted = sa.select(alert.c.id).where(*few, *rest, *within)
    return list(connection.scalars(wanted.order_by(alert.c.opened_at.desc(), alert.c.id.desc()).limit(limit)))
