"""What the engine remembers between readings, and how it is written down.

1. A state that is as its machine began is not kept: of most devices there is nothing but how new their last reading was.
2. What changed since the last commit is known, and written once whatever happened to it meanwhile. What readings changed without
   a word to anybody is on the trail, and written later (``ingest.alerts.trail``).
3. Timers are found without looking at the states that have none.
"""

import struct
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from heapq import heappop, heappush
from itertools import takewhile
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from ingest.alerts.entry import Entry, Origin, State
from ingest.alerts.episode import Key
from ingest.alerts.machine import Machine
from ingest.alerts.memory import Absent
from ingest.alerts.presence_record import names_of, presence_of, times_of
from ingest.alerts.rules import Rules
from ingest.alerts.seat import Presence, Seat, Subject
from ingest.alerts.tables import rule_state
from ingest.alerts.trail import Forgotten, Trail, drop
from ingest.alerts.when import Absence
from ingest.database import metadata, upsert
from telemetry.identity import GatewayRef

log = structlog.get_logger()

VERSION = 1
"""Of the states' shape; states of another version are forgotten."""

NAMES, TIMES = "names", "times"

_presence = sa.Table(
    "alert_presence",
    metadata,
    sa.Column("community", sa.String(15), primary_key=True),
    sa.Column("gateway", sa.String(64), primary_key=True),
    sa.Column("part", sa.String(8), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

_forget = rule_state.delete().where(sa.and_(*(rule_state.c[name] == sa.bindparam(f"the_{name}") for name in Key._fields)))

ZoneOf = Callable[[GatewayRef, str], str]
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(State)
_encoder = msgspec.json.Encoder()


class States:
    """Every state, changed in place; ``changed`` and ``touched`` are what is not written yet."""

    def __init__(self) -> None:
        self.presences: dict[GatewayRef, Presence] = {}
        self.changed: dict[Key, Entry | None] = {}
        self.touched: set[Presence] = set()
        self.trail = Trail()
        self._unwritten: dict[Key, int] = {}
        self._shared: dict[tuple[str, str], Subject] = {}
        self._timers: list[tuple[int, Key]] = []
        self._rings_at: dict[Key, int] = {}

    def presence(self, ref: GatewayRef) -> Presence:
        found = self.presences.get(ref)
        if found is None:
            found = self.presences[ref] = Presence(ref)
        return found

    def shared(self, community: str, name: str) -> Subject:
        """A zone, or a whole community."""
        found = self._shared.get((community, name))
        if found is None:
            found = self._shared[community, name] = Subject(name)
        return found

    def subject(self, key: Key) -> Subject:
        if key.subject == "community" or key.subject.startswith("zone:"):
            return self.shared(key.community, key.subject)
        gateway, _, device = key.subject.partition("/")
        return self.presence(GatewayRef(key.community, gateway)).seat(device)

    def entry(self, key: Key) -> Entry | None:
        """The state, if it is not as its machine began."""
        return (self.subject(key).entries or {}).get((key.rule, key.discriminator))

    def put(self, subject: Subject, entry: Entry, *, on_trail: bool = False) -> None:
        """``on_trail``: what led to it is on the trail, so that it need not be written at once."""
        if not subject.is_kept:
            return
        self._place(subject, entry)
        if on_trail:
            self.note(entry)
        else:
            entry.is_noted = True
            self._unwritten.pop(entry.key, None)
            self.changed[entry.key] = entry

    def note(self, entry: Entry) -> None:
        """An entry was changed by what is on the trail."""
        if not entry.is_noted:
            entry.is_noted = True
            if entry.key in self.changed:
                self.changed[entry.key] = entry
            else:
                self._unwritten[entry.key] = self.trail.seq

    def drop(self, subject: Subject, key: Key) -> None:
        """It is as it began."""
        entry = subject.entries.pop((key.rule, key.discriminator), None) if subject.entries else None
        if entry is not None:
            subject.entries = subject.entries or None
            self._unwritten.pop(key, None)
            self.changed[key] = None
            self.trail.steps.append(Forgotten(key, entry.origin.at))

    @property
    def is_changed(self) -> bool:
        return bool(self.changed or self.touched or self.trail.steps)

    def settled(self) -> None:
        """All that changed is durable."""
        for entry in self.changed.values():
            if entry is not None:
                entry.is_noted = False
        self.changed = {}
        for presence in self.touched:
            presence.named = len(presence.seats)
        self.touched = set()
        self.trail.begin()

    def timers(self, now: int) -> list[Entry]:
        """Those with a timer at or before ``now``, earliest first; each is told again until its state has changed."""
        found: list[Entry] = []
        while self._timers and self._timers[0][0] <= now:
            at, key = heappop(self._timers)
            if self._rings_at.get(key) != at:
                continue
            del self._rings_at[key]
            entry = self.entry(key)
            if entry is not None and entry.due is not None:
                if entry.due + entry.origin.lag <= now:
                    found.append(entry)
                else:
                    self._ring(key, entry.due + entry.origin.lag)
        for entry in found:
            self._ring(entry.key, now)
        return sorted(found, key=lambda entry: (entry.due or 0, entry.key))

    def discriminated(self) -> Iterator[Entry]:
        """States that readings tell apart by a discriminator: their subjects come and go."""
        for presence in self.presences.values():
            for seat in presence.seats.values():
                yield from _discriminated(seat)
        for subject in self._shared.values():
            yield from _discriminated(subject)

    def load(self, connection: sa.Connection, rules: Rules, zone_of: ZoneOf) -> None:
        """Takes what was committed; states of rules that are gone, or of another shape, are left out."""
        self._load_presences(connection)
        forgotten = 0
        for row in connection.execute(sa.select(rule_state)).mappings():
            key = Key(row["rule"], row["community"], row["subject"], row["discriminator"])
            state = _decoded(row["version"], row["body"])
            place = row["device"], zone_of(GatewayRef(row["community"], row["gateway"]), row["device"])
            if state is None or not _is_kept(rules, key, state, place):
                forgotten += 1
                continue
            due = None if isinstance(state, Absent) else _machine(rules, key, place).due(state)
            entry = Entry(key, state, Origin(row["gateway"], row["lane"], row["device"], row["at"], row["lag"]), due)
            entry.followed = row["trail"]
            self.trail.seq = max(self.trail.seq, entry.followed + 1)
            subject = self.subject(key)
            if isinstance(subject, Seat):
                subject.is_absent |= isinstance(state, Absent)
            self._place(subject, entry)
        if forgotten:
            log.info("rule states forgotten: their rule is gone or was rewritten", states=forgotten)

    def save(self, connection: sa.Connection, now: int) -> None:
        """Writes what changed."""
        self.trail.save(connection, now)
        if last := self.trail.expired(now):
            self._catch_up(last)
            drop(connection, last)
        followed = self.trail.seq if self.trail.steps else self.trail.seq - 1
        upsert(connection, rule_state, [_row(entry, followed) for entry in self.changed.values() if entry is not None])
        forget(connection, [key for key, entry in self.changed.items() if entry is None])
        rows = []
        for presence in self.touched:
            rows.append({**presence.ref._asdict(), "part": TIMES, "body": times_of(presence)})
            if presence.named != len(presence.seats):
                rows.append({**presence.ref._asdict(), "part": NAMES, "body": names_of(presence)})
        upsert(connection, _presence, rows)

    def _catch_up(self, last: int) -> None:
        """What is to be written for the trail to be cut off up to ``last``."""
        old = [key for key, seq in takewhile(lambda pair: pair[1] <= last, self._unwritten.items())]
        for key in old:
            del self._unwritten[key]
            self.changed[key] = self.entry(key)

    def _place(self, subject: Subject, entry: Entry) -> None:
        if subject.entries is None:
            subject.entries = {}
        subject.entries[_slot(entry.key.rule, entry.key.discriminator)] = entry
        if entry.due is not None:
            self._ring(entry.key, entry.due + entry.origin.lag)

    def _ring(self, key: Key, at: int) -> None:
        """One bell a state: it may ring too early, as most timers are put off before they are due."""
        known = self._rings_at.get(key)
        if known is None or at < known:
            self._rings_at[key] = at
            heappush(self._timers, (at, key))

    def _load_presences(self, connection: sa.Connection) -> None:
        parts: dict[GatewayRef, dict[str, bytes]] = {}
        for row in connection.execute(sa.select(_presence)):
            parts.setdefault(GatewayRef(row.community, row.gateway), {})[row.part] = row.body
        for ref, bodies in parts.items():
            try:
                self.presences[ref] = presence_of(ref, bodies[NAMES], bodies[TIMES])
            except (msgspec.DecodeError, KeyError, ValueError, struct.error) as error:
                log.error("what was known of a gateway's devices cannot be read", gateway=str(ref), error=repr(error))


@lru_cache(4_096)
def _slot(rule: str, discriminator: str) -> tuple[str, str]:
    """One object for all subjects of a rule."""
    return rule, discriminator


def _discriminated(subject: Subject) -> Iterator[Entry]:
    return (entry for entry in (subject.entries or {}).values() if entry.key.discriminator)


def _decoded(version: int, body: bytes) -> State | None:
    try:
        state: State | None = _decoder.decode(body) if version == VERSION else None
    except msgspec.DecodeError:
        return None
    return state


def _machine(rules: Rules, key: Key, place: tuple[str, str]) -> Machine[Any]:
    """``place`` is device and zone."""
    return rules.watchers[key.rule].variant(key.community, *place).machine(key.community)


def _is_kept(rules: Rules, key: Key, state: State, place: tuple[str, str]) -> bool:
    """Whether a rule of today keeps such a state."""
    watcher = rules.watchers.get(key.rule)
    if watcher is None or isinstance(watcher.rule.when, Absence):
        return watcher is not None and isinstance(state, Absent) and state.since > 0
    return type(state) is type(_machine(rules, key, place).initial)


def _row(entry: Entry, followed: int) -> dict[str, Any]:
    own = {"version": VERSION, "trail": followed, "body": _encoder.encode(entry.state)}
    return {**entry.key._asdict(), **entry.origin._asdict(), **own}


def forget(connection: sa.Connection, keys: Collection[Key]) -> None:
    if keys:
        connection.execute(_forget, [{f"the_{name}": value for name, value in key._asdict().items()} for key in keys])
