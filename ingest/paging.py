"""The newest rows of a large table that fit a question, a page at a time.

1. Nothing outside the scope is found.
2. Pages are keyed by the last row seen: rows that come or go in between are neither skipped nor shown twice.
3. What a page costs does not grow with the table. It is found the way that looks at least: a scope of ``FEW`` rows by its
   communities; of a question that ``MANY`` rows fit, by the index of what it asks for; else walking from the newest row on, of
   each community by itself while there are at most ``WALKS``.

An index to walk begins with columns that the question fixes and ends with instant and id. Of a column in between that the
question leaves open (``spread``), every value is asked for by itself and the newest of all are taken: the walk stays a walk.
Databases choose badly here without statistics, and with them for a scope of several prefixes; so each branch names in the clear
only the columns of the index that it is meant for, and hides the others (``_apart``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import sqlalchemy as sa

from telemetry.identity import PREFIX_LENGTHS, Scope

FEW = 50_000
MANY = 100_000
WALKS = 40

Equal = Mapping[str, Collection[Any]]
"""Column name to the values that it may have."""


class Listing(NamedTuple):
    """A table with ``id`` and ``community``, and the names of the columns that its indexes are made of.

    ``at`` is the instant that it is listed by. Each of ``leads``, the most telling first, and nothing at all begins an index
    (lead, *spread, at, id, ...); ``spread`` maps a column to all values that it can have.
    """

    table: sa.Table
    at: str
    leads: tuple[str, ...]
    spread: Mapping[str, Sequence[Any]]


class Cursor(NamedTuple):
    """The last row of a page: its instant and id."""

    at: int
    id: str


class Span(NamedTuple):
    """since <= instant < until, UTC microseconds; ``None`` is open."""

    since: int | None = None
    until: int | None = None


def newest(
    connection: sa.Connection, listing: Listing, scope: Scope, equal: Equal, span: Span, after: Cursor | None, limit: int
) -> list[str]:
    """The ids of at most ``limit`` rows, newest first, that come after the cursor."""
    branches = _branches(connection, listing, widest(scope), equal, span, after)
    at, id_ = listing.table.c[listing.at], listing.table.c.id
    best = [
        sa.select(at.label("at"), id_.label("id")).where(*branch).order_by(at.desc(), id_.desc()).limit(limit)
        for branch in branches
    ]
    if not best:
        return []
    found = sa.union_all(*(sa.select(one.subquery()) for one in best)).subquery()
    return list(connection.scalars(sa.select(found.c.id).order_by(found.c.at.desc(), found.c.id.desc()).limit(limit)))


def widest(scope: Scope) -> tuple[str, ...]:
    """The prefixes that no other of the scope covers, in order: no row is under two of them."""
    kept: list[str] = []
    for prefix in scope.prefixes:  # sorted, so that a prefix stands before what it covers
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)


def under(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    """A range and not LIKE, so that an index can serve; ``:`` follows the last digit."""
    return sa.and_(column >= prefix, column < f"{prefix}:")


def inside(column: sa.ColumnElement[str], prefixes: Collection[str]) -> sa.ColumnElement[bool]:
    """Looked up by length, because a scope may have many prefixes; no index is tempted."""
    by_length = {length: [prefix for prefix in prefixes if len(prefix) == length] for length in PREFIX_LENGTHS}
    tests = [sa.func.substr(column, 1, length).in_(some) for length, some in by_length.items() if some]
    return sa.or_(sa.false(), *tests)


def narrowed(scope: Scope, region: str) -> Scope:
    """What of ``scope`` lies under ``region``, a division code or the start of one."""
    if scope.covers(region):
        return Scope([region])
    return Scope(prefix for prefix in scope.prefixes if prefix.startswith(region))


Branch = list[sa.ColumnElement[bool]]


def _branches(
    connection: sa.Connection, listing: Listing, prefixes: Sequence[str], equal: Equal, span: Span, after: Cursor | None
) -> Iterator[Branch]:
    """What each branch asks for: together all that fits, and no row twice."""
    table = listing.table
    ranges = [[under(table.c.community, prefix)] for prefix in prefixes]
    communities = _communities(connection, table, prefixes)
    each = [[table.c.community == community] for community in communities or ()]
    if fit_in(connection, table, ranges, FEW):
        if communities is None:
            return _by_community(listing, ranges, _apart(table.c[listing.at]), equal, span, after)
        return _by_community(listing, each, table.c[listing.at], equal, span, after)
    if communities is None or (equal and fit_in(connection, table, _leading(listing, equal), MANY)):
        return _by_walking(listing, prefixes, equal, span, after)
    return _by_community(listing, each, table.c[listing.at], equal, span, after)


def _communities(connection: sa.Connection, table: sa.Table, prefixes: Sequence[str]) -> list[str] | None:
    """Those with rows under the prefixes; ``None`` when there are more than ``WALKS``. Leaps from one to the next."""
    found: list[str] = []
    for prefix in prefixes:
        first = sa.select(sa.func.min(table.c.community).label("code")).where(under(table.c.community, prefix))
        leap = first.cte("leap", recursive=True)
        following = sa.select(sa.func.min(table.c.community)).where(table.c.community > leap.c.code)
        following = following.where(table.c.community < f"{prefix}:")
        leap = leap.union_all(sa.select(following.scalar_subquery()).where(leap.c.code.is_not(None)))
        found += [code for code in connection.scalars(sa.select(leap.c.code).limit(WALKS + 1)) if code is not None]
        if len(found) > WALKS:
            return None
    return found


def fit_in(connection: sa.Connection, table: sa.Table, ranges: Iterable[Branch], most: int) -> bool:
    """Whether at most ``most`` rows are in the ranges."""
    left = most
    for one in ranges:
        some = sa.select(sa.literal(1)).select_from(table).where(*one).limit(left + 1).subquery()
        left -= connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0
        if left < 0:
            return False
    return True


def _by_community(
    listing: Listing,
    ranges: Sequence[Branch],
    at: sa.ColumnElement[int],
    equal: Equal,
    span: Span,
    after: Cursor | None,
) -> Iterator[Branch]:
    table = listing.table
    rest: Branch = [_apart(table.c[name]).in_(values) for name, values in equal.items()]
    rest += bounds(at, table.c.id, span, after)
    yield from ([*one, *rest] for one in ranges)


def _by_walking(listing: Listing, prefixes: Collection[str], equal: Equal, span: Span, after: Cursor | None) -> Iterator[Branch]:
    table = listing.table
    walked = _walked(listing, equal)
    rest: Branch = [_apart(table.c[name]).in_(values) for name, values in equal.items() if name not in walked]
    rest += [inside(table.c.community, prefixes), *bounds(table.c[listing.at], table.c.id, span, after)]
    yield from ([*leading, *rest] for leading in _leading(listing, equal))


def _walked(listing: Listing, equal: Equal) -> Equal:
    """The columns that the index for a question begins with, and the values to look under."""
    lead = next((name for name in listing.leads if name in equal), None)
    spread = listing.spread if lead or any(name in equal for name in listing.spread) else {}
    walked = {name: equal.get(name, all_values) for name, all_values in spread.items()}
    return {lead: equal[lead], **walked} if lead else walked


def _leading(listing: Listing, equal: Equal) -> Iterator[Branch]:
    walked = _walked(listing, equal)
    for values in product(*walked.values()):
        yield [listing.table.c[name] == value for name, value in zip(walked, values, strict=True)]


def bounds(at: sa.ColumnElement[int], id_: sa.ColumnElement[str], span: Span, after: Cursor | None) -> Branch:
    """Within the span and after the cursor."""
    found: Branch = []
    if span.since is not None:
        found.append(at >= span.since)
    if span.until is not None:
        found.append(at < span.until)
    if after is not None:
        found.append(sa.tuple_(at, id_) < sa.tuple_(sa.literal(after.at), sa.literal(after.id)))
    return found


def _apart(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The same values, out of sight of the indexes: they are read from the index walked, and choose none."""
    return sa.func.coalesce(column, column)
