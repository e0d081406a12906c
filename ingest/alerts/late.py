"""Readings that came after newer ones of their device had been judged: what is to be looked at again, and from when on.

1. Noted in the transaction that passes them over, so that no crash forgets one.
2. One row for each device and kind, whatever the backlog: the span of its late readings, and the batches that must be in the
   telemetry store before it can be looked at.
3. What was looked at is taken away only if nothing came to it meanwhile.

Where a rule hears several devices their readings cross on the way, and its machine takes them in any order: only what comes
more than ``LIVE_US`` after its instant is late there.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts.hold import Hold
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.machine import Machine, Sample
from ingest.alerts.memory import Graded, Held, Joined, Occurred, Phase, Watched
from ingest.alerts.sequence import Succession
from ingest.alerts.staged import Staged
from ingest.database import metadata, upsert
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind

LIVE_US = 30_000_000
MAX_STREAMS = 16
"""Remembered of a device; those with the newest readings stay."""

_late = sa.Table(
    "late_reading",
    metadata,
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("earliest", sa.BigInteger, nullable=False),
    sa.Column("newest", sa.BigInteger, nullable=False),
    sa.Column("readings", sa.BigInteger, nullable=False),
    sa.Column("first_known_at", sa.BigInteger, nullable=False),
    sa.Column("known_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("streams", sa.Text, nullable=False),
)
_streams = msgspec.json.Decoder(dict[str, int])


class Late(NamedTuple):
    """A reading of ``at`` that was not newer than the newest judged of its device and kind; it came in ``seq`` of ``stream``."""

    ref: GatewayRef
    device: str
    kind: Kind
    at: int
    stream: Stream
    seq: int


class Lateness(NamedTuple):
    """What came late of one device: ``readings`` between ``earliest`` and ``newest`` (event time), noted between
    ``first_known_at`` and ``known_at`` (the wall's); ``streams`` says which batches hold them. All instants UTC microseconds."""

    ref: GatewayRef
    device: str
    kind: Kind
    earliest: int
    newest: int
    readings: int
    first_known_at: int
    known_at: int
    streams: Mapping[Stream, int]


def is_late(machine: Machine[Any], state: object, sample: Sample, known_at: int, shared: bool, newest: int) -> bool:
    """Whether ``state`` has judged a newer sample, or a later instant, so that it cannot take this one as it would have in its
    turn.

    ``shared``: the state is of several devices, of which ``newest`` is the newest sample.
    """
    patience = LIVE_US if shared else -1
    match state:
        case Graded(inner=inner, judged=judged) if isinstance(machine, Staged):
            waited = sample.at < judged and known_at - sample.at > patience
            return waited or is_late(machine.machine, inner, sample, known_at, shared, newest)
        case Occurred(last=last):
            return sample.at < last
        case Watched() if isinstance(machine, Succession):
            return _is_late_excuse(machine, state, sample, known_at, newest)
        case Held(memory=Joined(of=parts)) if (join := _join(machine)) is not None:
            pairs = zip(join.of, parts, strict=True)
            heard = any(sample.at < part.seen and not hold.metrics.isdisjoint(sample.values) for hold, part in pairs)
            return heard or (sample.at < _decided(state) and known_at - sample.at > patience)
        case Held(seen=seen):
            return sample.at < max(seen, _decided(state)) and known_at - sample.at > patience
        case _:
            return False


def _decided(state: Held) -> int:
    """The last instant that a timer decided by itself."""
    return max(state.turned, state.since if state.phase in (Phase.FIRING, Phase.CLEAR) else 0)


def _is_late_excuse(machine: Succession, state: Watched, sample: Sample, known_at: int, newest: int) -> bool:
    """What comes later than the machine waits for an excuse may be one for what it has told already, and forgotten."""
    own = state.sides.get(sample.device)
    if own is not None and sample.at < own.at:
        return True
    if any(sample.at <= at + machine.settle_us for at in state.raised.values()):
        return True
    return known_at - sample.at > machine.settle_us and sample.at < newest


def _join(machine: Machine[Any]) -> Join | None:
    sense = machine.sense if isinstance(machine, Hold) else None
    sense = sense.sense if isinstance(sense, Guarded) else sense
    return sense if isinstance(sense, Join) else None


def note(connection: sa.Connection, lates: Collection[Late], known_at: int) -> None:
    """Adds what came late, each reading once, to what is noted already."""
    gathered: dict[tuple[GatewayRef, str, Kind], list[Late]] = {}
    for one in lates:
        gathered.setdefault((one.ref, one.device, one.kind), []).append(one)
    found = [_of(key, ones, known_at) for key, ones in gathered.items()]
    upsert(connection, _late, [_row(_joined(_known(connection, one), one)) for one in found])


def waiting(connection: sa.Connection, most: int) -> list[Lateness]:
    """Those that were noted longest ago first."""
    rows = connection.execute(sa.select(_late).order_by(_late.c.known_at).limit(most)).mappings()
    return [_lateness(row) for row in rows]


def settle(connection: sa.Connection, one: Lateness) -> bool:
    """Takes away what was looked at; not when more has come since it was read."""
    same = (*_same(one), _late.c.readings == one.readings)
    return connection.execute(_late.delete().where(*same)).rowcount > 0


def _of(key: tuple[GatewayRef, str, Kind], ones: Sequence[Late], known_at: int) -> Lateness:
    streams: dict[Stream, int] = {}
    for one in ones:
        streams[one.stream] = max(one.seq, streams.get(one.stream, 0))
    earliest, newest = min(one.at for one in ones), max(one.at for one in ones)
    return Lateness(*key, earliest, newest, len(ones), known_at, known_at, streams)


def _joined(old: Lateness | None, new: Lateness) -> Lateness:
    if old is None:
        return new
    streams = {stream: seq for stream, seq in old.streams.items() if stream not in new.streams}
    streams |= {stream: max(seq, old.streams.get(stream, 0)) for stream, seq in new.streams.items()}
    return new._replace(
        earliest=min(old.earliest, new.earliest),
        newest=max(old.newest, new.newest),
        readings=old.readings + new.readings,
        first_known_at=old.first_known_at,
        streams=dict(list(streams.items())[-MAX_STREAMS:]),
    )


def _known(connection: sa.Connection, one: Lateness) -> Lateness | None:
    row = connection.execute(sa.select(_late).where(*_same(one))).mappings().one_or_none()
    return _lateness(row) if row else None


def _same(one: Lateness) -> tuple[sa.ColumnElement[bool], ...]:
    key = {"community": one.ref.community, "gateway": one.ref.gateway, "device": one.device, "kind": one.kind.value}
    return tuple(_late.c[name] == value for name, value in key.items())


def _row(one: Lateness) -> dict[str, object]:
    streams = {f"{stream.epoch}/{stream.lane}": seq for stream, seq in one.streams.items()}
    own = {name: getattr(one, name) for name in ("device", "earliest", "newest", "readings", "first_known_at", "known_at")}
    return {**one.ref._asdict(), **own, "kind": one.kind.value, "streams": msgspec.json.encode(streams).decode()}


def _lateness(row: sa.RowMapping) -> Lateness:
    ref = GatewayRef(row["community"], row["gateway"])
    streams = {Stream(*ref, *name.split("/")): seq for name, seq in _streams.decode(row["streams"]).items()}
    return Lateness(
        ref,
        row["device"],
        Kind(row["kind"]),
        row["earliest"],
        row["newest"],
        row["readings"],
        row["first_known_at"],
        row["known_at"],
        streams,
    )
