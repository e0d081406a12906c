"""How much people are told, of what colour, where, and how soon they answer: counted by the database.

1. Nothing outside the scope is counted. Drills are left out, and what nobody was told of: it is the load on people.
2. A flood is ten alerts or more within ten minutes in one community, as EEMUA 191 has it; it is counted in minutes.
3. All figures of an answer are of one state of the database.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from ingest.alerts.severity import Colour
from ingest.alerts.tables import alert
from ingest.paging import inside, widest
from telemetry.identity import Scope

MINUTE_US = 60_000_000
FLOOD_ALERTS, FLOOD_MINUTES = 10, 10
TOP = 10


class By(StrEnum):
    COUNTY = "county"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"
    KIND = "kind"
    COLOUR = "colour"


DIGITS = {By.COUNTY: 6, By.STREET: 9, By.COMMUNITY: 12, By.GRID: 15}


class Delay(NamedTuple):
    """Microseconds from being opened, over so many alerts; 0 of none."""

    of: int
    mean: float
    median: float


class Group(NamedTuple):
    """``key`` is the code, kind or colour that the alerts have in common; "" for all."""

    key: str
    colours: Mapping[Colour, int]
    ack: Delay
    close: Delay

    @property
    def alerts(self) -> int:
        return sum(self.colours.values())


class TopDevice(NamedTuple):
    community: str
    gateway: str
    device: str
    alerts: int


class TopRule(NamedTuple):
    rule: str
    alerts: int


class Statistics(NamedTuple):
    """``floods`` maps a community to the minutes that it was flooded."""

    whole: Group
    groups: list[Group]
    devices: list[TopDevice]
    rules: list[TopRule]
    floods: Mapping[str, int]


Rolled = Callable[[str], str]
"""A code, to that under which it is counted."""


def ask(connection: sa.Connection, scope: Scope, since: int, until: int, by: By, rolled: Rolled) -> Statistics:
    """Of the alerts opened from ``since`` to ``until``, UTC microseconds."""
    wanted = sa.and_(
        inside(alert.c.community, widest(scope)),
        alert.c.opened_at >= since,
        alert.c.opened_at < until,
        alert.c.drill.is_(False),
        alert.c.told.is_(True),
    )
    whole = _groups(connection, sa.literal(""), wanted)
    return Statistics(
        whole[0] if whole else Group("", {}, Delay(0, 0, 0), Delay(0, 0, 0)),
        _groups(connection, _key(connection, by, wanted, rolled), wanted),
        [TopDevice(*row) for row in _top(connection, wanted, alert.c.community, alert.c.gateway, alert.c.device)],
        [TopRule(*row) for row in _top(connection, wanted, alert.c.rule)],
        _floods(connection, wanted),
    )


def flooded(minutes: Iterable[tuple[int, int]]) -> int:
    """In how many minutes there were ``FLOOD_ALERTS`` in the ``FLOOD_MINUTES`` up to it; of (minute, alerts), in order."""
    window: deque[tuple[int, int]] = deque()
    count, flooded_until, total = 0, 0, 0
    for minute, alerts in minutes:
        window.append((minute, alerts))
        count += alerts
        while window[0][0] <= minute - FLOOD_MINUTES:
            count -= window.popleft()[1]
        if count >= FLOOD_ALERTS:
            end = _ebbs(window, count)
            total += end - max(minute, flooded_until)
            flooded_until = end
    return total


def _ebbs(window: Iterable[tuple[int, int]], count: int) -> int:
    """The first minute in which too few are left, if no more come."""
    for minute, alerts in window:
        count -= alerts
        if count < FLOOD_ALERTS:
            return minute + FLOOD_MINUTES
    raise AssertionError("a flood has alerts")


def _key(connection: sa.Connection, by: By, wanted: Any, rolled: Rolled) -> sa.ColumnElement[str]:
    if by is By.KIND:
        return alert.c.kind
    if by is By.COLOUR:
        return alert.c.colour
    code = sa.func.substr(alert.c.community, 1, DIGITS[by])
    codes = connection.scalars(sa.select(code).where(wanted).distinct())
    moved = {code: upper for code in codes if (upper := rolled(code)) != code}
    return sa.case(moved, value=code, else_=code) if moved else code


def _groups(connection: sa.Connection, key: sa.ColumnElement[str], wanted: Any) -> list[Group]:
    """By key; the greatest first."""
    columns = sa.select(key.label("key"), alert.c.colour.label("colour"), *_delays()).where(wanted).subquery()
    counted = sa.select(columns.c.key, columns.c.colour, sa.func.count()).group_by(columns.c.key, columns.c.colour)
    colours: dict[str, dict[Colour, int]] = {}
    for found, colour, count in connection.execute(counted):
        colours.setdefault(found, {})[Colour(colour)] = count
    acks, closes = _delay(connection, columns, columns.c.ack), _delay(connection, columns, columns.c.close)
    none = Delay(0, 0, 0)
    groups = [Group(found, count, acks.get(found, none), closes.get(found, none)) for found, count in colours.items()]
    return sorted(groups, key=lambda group: (-group.alerts, group.key))


def _delays() -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    return (
        (alert.c.acked_at - alert.c.opened_at).label("ack"),
        (alert.c.closed_at - alert.c.opened_at).label("close"),
    )


def _delay(connection: sa.Connection, columns: sa.Subquery, delay: sa.ColumnElement[int]) -> dict[str, Delay]:
    """How many, their mean and their median, for each key."""
    place = sa.func.row_number().over(partition_by=columns.c.key, order_by=delay).label("place")
    count = sa.func.count().over(partition_by=columns.c.key).label("of")
    mean = sa.func.avg(delay).over(partition_by=columns.c.key).label("mean")
    ordered = sa.select(columns.c.key, delay.label("delay"), place, count, mean).where(delay.is_not(None)).subquery()
    middle = ordered.c.place.in_([(ordered.c.of + 1) // 2, (ordered.c.of + 2) // 2])
    median = sa.select(ordered.c.key, ordered.c.of, ordered.c.mean, sa.func.avg(ordered.c.delay)).where(middle)
    rows = connection.execute(median.group_by(ordered.c.key, ordered.c.of, ordered.c.mean))
    return {key: Delay(count, float(mean), float(middle)) for key, count, mean, middle in rows}


def _top(connection: sa.Connection, wanted: Any, *columns: sa.ColumnElement[str]) -> list[Any]:
    count = sa.func.count().label("count")
    most = sa.select(*columns, count).where(wanted).group_by(*columns).order_by(count.desc(), *columns).limit(TOP)
    return [tuple(row) for row in connection.execute(most)]


def _floods(connection: sa.Connection, wanted: Any) -> Mapping[str, int]:
    minute = alert.c.opened_at // sa.literal_column(str(MINUTE_US), sa.BigInteger)
    busy = sa.select(alert.c.community).where(wanted).group_by(alert.c.community).having(sa.func.count() >= FLOOD_ALERTS)
    counted = sa.select(alert.c.community, minute, sa.func.count()).where(wanted, alert.c.community.in_(busy))
    minutes: dict[str, list[tuple[int, int]]] = {}
    for community, at, count in connection.execute(counted.group_by(alert.c.community, minute).order_by(minute)):
        minutes.setdefault(community, []).append((at, count))
    found = Counter({community: flooded(some) for community, some in minutes.items()})
    return {community: total for community, total in found.most_common() if total}
