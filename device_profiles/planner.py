"""Which requests read the points that are due.

1. Every due point that can be read is covered by exactly one request, and so is each helper it needs.
2. No request is longer than the model bears, unaligned, or touches a hole of the profile or an address known to be refused.
3. Near points share a request; at most ``max_gap`` unused addresses are read across to join two.

A point that stands in several places is read from the first of them that is not refused; one that has no such place is
left out: it cannot be read.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from device_profiles.format import ModbusMap, Table
from device_profiles.profile import Point, Profile, Register
from device_profiles.registers import BIT_TABLES

Refused = frozenset[tuple[Table, int]]


class Request(NamedTuple):
    """One read on the wire: ``count`` registers (or bits) from ``address``, for these points."""

    table: Table
    address: int
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody wants of a request
    points: tuple[str, ...]


class _Span(NamedTuple):
    """Addresses from ``first`` up to, not including, ``end``, and the points inside."""

    first: int
    end: int
    points: tuple[str, ...]


def plan(profile: Profile, due: Iterable[str] | None = None, refused: Collection[tuple[Table, int]] = ()) -> tuple[Request, ...]:
    """The requests for the points ``due`` (all when ``None``). ``refused``: addresses that must not be touched."""
    return _plan(profile, None if due is None else frozenset(due), frozenset(refused))


@lru_cache(maxsize=512)
def _plan(profile: Profile, due: frozenset[str] | None, refused: Refused) -> tuple[Request, ...]:
    model = profile.modbus
    if model is None:
        return ()
    wanted = sorted(_wanted(profile, due, refused), key=lambda found: (found[1].table, found[1].address, found[1].count))
    return tuple(
        Request(table, span.first, span.end - span.first, span.points)
        for table, group in groupby(wanted, key=lambda found: found[1].table)
        for span in _merged(list(group), model, _blocked(model, table, refused), table)
    )


def _wanted(profile: Profile, due: frozenset[str] | None, refused: Refused) -> Iterator[tuple[Point, Register]]:
    names = set(profile.points) if due is None else set(due)
    needed = {other for name in names for other in profile.points[name].needs}
    needed |= {other for name in needed for other in profile.points[name].needs}
    for name in names | needed:
        point = profile.points[name]
        if point.register is not None and (due is not None or point.metric is not None or name in needed):
            yield point, next((place for place in point.places if not _is_refused(place, refused)), point.register)


def _is_refused(place: Register, refused: Refused) -> bool:
    return any((place.table, place.address + offset) in refused for offset in range(place.count))


def _blocked(model: ModbusMap, table: Table, refused: Refused) -> frozenset[int]:
    holes = (address for hole in model.holes if hole.table is table for address in range(hole.first, hole.last + 1))
    return frozenset(holes) | frozenset(address for where, address in refused if where == table)


def _merged(points: list[tuple[Point, Register]], model: ModbusMap, blocked: frozenset[int], table: Table) -> Iterator[_Span]:
    limit, step = (model.max_bits, 1) if table in BIT_TABLES else (model.max_registers, model.align)
    current: _Span | None = None
    for point, register in points:
        own = _Span(*aligned(register.address, register.address + register.count, step), (point.name,))
        if not blocked.isdisjoint(range(own.first, own.end)):
            continue
        if current is None:
            current = own
            continue
        joined = _Span(current.first, max(current.end, own.end), current.points + own.points)
        if _may_join(current, own, joined, model, limit) and blocked.isdisjoint(range(joined.first, joined.end)):
            current = joined
        else:
            yield current
            current = own
    if current is not None:
        yield current


def _may_join(current: _Span, own: _Span, joined: _Span, model: ModbusMap, limit: int) -> bool:
    if model.one_point_per_request:
        return False
    return own.first - current.end <= model.max_gap and joined.end - joined.first <= limit


def aligned(first: int, end: int, step: int) -> tuple[int, int]:
    """The shortest request whose start and count are multiples of ``step`` and that holds these addresses."""
    return first - first % step, min(end + -end % step, 65_536)
