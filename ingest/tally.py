"""The centre's own count of what it took, by gateway and hour: one of the two sides that an audit compares.

1. It is written in the transaction that judges the batches and moves the rules' watermark: each batch counts once, however
   often it comes, and the telemetry store has no part in it.
2. A loss certificate is kept when its reading is taken, so that no loss is forgotten when telemetry is.
3. Bounded: hours and certificates older than ``KEEP_US`` go.

A *reading* here is sound; what was set aside of a batch counts apart, by the instant that it says itself if it says one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.arrival import Arrival
from ingest.database import add_up, insert_new, metadata
from ingest.store import HOUR_US, Hour
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Kind
from telemetry.reading import EARLIEST, LATEST, Reading

KEEP_US = 400 * 24 * HOUR_US
_GATEWAY = Kind.GATEWAY

_tally = sa.Table(
    "tally",
    metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("readings", sa.BigInteger, nullable=False),
    sa.Column("set_aside", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

_certificate = sa.Table(
    "loss_certificate",
    metadata,
    sa.Column("last", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("readings", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)


class Taken(NamedTuple):
    """What came of one hour: sound readings, and pieces (readings, or whole messages) that were set aside."""

    readings: int = 0
    set_aside: int = 0


class Certificate(NamedTuple):
    """``readings`` of ``device`` from ``first`` to ``last`` are lost; ``at`` is the certificate's own instant."""

    ref: GatewayRef
    at: int
    device: str
    first: int
    last: int
    readings: int
    reason: str


class Counted(NamedTuple):
    """What a group of batches adds."""

    hours: Mapping[Hour, Taken]
    certificates: Sequence[Certificate]


NOTHING = Counted({}, ())


class _Dated(msgspec.Struct, frozen=True):
    at: int


_dated = msgspec.json.Decoder(_Dated)


def count(arrivals: Iterable[Arrival]) -> Counted:
    """Counts batches that are new."""
    sound: Counter[Hour] = Counter()
    aside: Counter[Hour] = Counter()
    certificates: list[Certificate] = []
    for arrival in arrivals:
        ref = arrival.stream.ref
        for hour, readings in _by_hour(arrival).items():
            sound[Hour(*ref, hour * HOUR_US)] += readings
        for poison in arrival.poison:
            aside[Hour(*ref, _said_at(poison.body, arrival.received_at) // HOUR_US * HOUR_US)] += 1
        own = [reading for reading in arrival.readings if reading.kind is _GATEWAY] if _GATEWAY in arrival.gist.kinds else ()
        certificates += [_certified(ref, reading) for reading in own if reading.values.get("event") == "loss"]
    return Counted({hour: Taken(sound[hour], aside[hour]) for hour in sorted(sound | aside)}, certificates)


def _by_hour(arrival: Arrival) -> Mapping[int, int]:
    """How many readings are of each hour since 1970; those of most batches lie in one."""
    reach = arrival.reach
    if reach is None:
        return {}
    first, last = (at // HOUR_US for at in reach)
    return {first: len(arrival.readings)} if first == last else Counter(reading.at // HOUR_US for reading in arrival.readings)


def add(connection: sa.Connection, counted: Counted) -> None:
    """Adds up, in the caller's transaction."""
    add_up(connection, _tally, (_key(hour) | taken._asdict() for hour, taken in counted.hours.items()))
    said = [each.ref._asdict() | {name: getattr(each, name) for name in each._fields[1:]} for each in counted.certificates]
    insert_new(connection, _certificate, said)


def put_right(connection: sa.Connection, hour: Hour, counted: Counted) -> None:
    """A whole message of ``hour`` that had been set aside could be read after all: it is what was counted now."""
    same = sa.and_(*(_tally.c[name] == value for name, value in _key(hour).items()), _tally.c.set_aside > 0)
    connection.execute(_tally.update().where(same).values(set_aside=_tally.c.set_aside - 1))
    add(connection, counted)


def forget(connection: sa.Connection, now: int) -> None:
    """Drops what is too old to be asked for."""
    connection.execute(_tally.delete().where(_tally.c.hour < now - KEEP_US))
    connection.execute(_certificate.delete().where(_certificate.c.last < now - KEEP_US))


def hours(connection: sa.Connection, scope: Scope, gateway: str | None, start: int, end: int) -> dict[Hour, Taken]:
    """The hours that begin in [start, end)."""
    inside = (*_within(_tally, scope, gateway), _tally.c.hour >= start, _tally.c.hour < end)
    rows = connection.execute(sa.select(_tally).where(*inside))
    return {Hour(row.community, row.gateway, row.hour): Taken(row.readings, row.set_aside) for row in rows}


def certificates(connection: sa.Connection, scope: Scope, gateway: str | None, start: int, end: int) -> list[Certificate]:
    """Those that speak of anything in [start, end), in the order of their ends."""
    inside = (*_within(_certificate, scope, gateway), _certificate.c.last >= start, _certificate.c.first < end)
    rows = connection.execute(sa.select(_certificate).where(*inside).order_by(_certificate.c.last)).all()
    return [_certificate_of(row) for row in rows]


def newest_certificates(connection: sa.Connection, ref: GatewayRef, device: str | None, most: int) -> list[Certificate]:
    """Those that speak of a device, or of any behind its gateway, the latest losses first."""
    mine = [_certificate.c.community == ref.community, _certificate.c.gateway == ref.gateway]
    if device is not None:
        mine.append(_certificate.c.device.in_((device, "*")))
    wanted = sa.select(_certificate).where(*mine).order_by(_certificate.c.last.desc(), _certificate.c.at.desc()).limit(most)
    return [_certificate_of(row) for row in connection.execute(wanted)]


def _certificate_of(row: "sa.Row[Any]") -> Certificate:
    return Certificate(GatewayRef(row.community, row.gateway), row.at, row.device, row.first, row.last, row.readings, row.reason)


def _within(table: sa.Table, scope: Scope, gateway: str | None) -> tuple[sa.ColumnElement[bool], ...]:
    inside = sa.or_(sa.false(), *(table.c.community.startswith(prefix) for prefix in scope.prefixes))
    return (inside,) if gateway is None else (inside, table.c.gateway == gateway)


def _certified(ref: GatewayRef, reading: Reading) -> Certificate:
    """An older gateway may leave something out: what it does not say is the certificate's own instant, or nothing."""
    said = reading.values
    first, last = (_whole(said.get(name), reading.at) for name in ("loss_from", "loss_to"))
    readings = _whole(said.get("loss_count"), 0)
    return Certificate(
        ref, reading.at, str(said.get("loss_device", "*")), first, last, readings, str(said.get("loss_reason", ""))
    )


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _said_at(body: bytes, otherwise: int) -> int:
    try:
        at = _dated.decode(body).at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return otherwise
    return at if EARLIEST <= at <= LATEST else otherwise


def _key(hour: Hour) -> dict[str, Any]:
    return {"community": hour.community, "gateway": hour.gateway, "hour": hour.at}
