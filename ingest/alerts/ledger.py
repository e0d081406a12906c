"""What the engine remembers between readings, and how it is written down: rule states and episodes."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog

from ingest.alerts import flapping
from ingest.alerts.absence import Absent, Presence
from ingest.alerts.episode import Alert, Episode, Key, Said, alert_id, continues, over, raised_again
from ingest.alerts.gate import Gate
from ingest.alerts.machine import Change, Transition
from ingest.alerts.memory import Judged
from ingest.alerts.quiet import heir, normal, with_
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.severity import rank
from ingest.alerts.tables import Told, alert, episode_of, record, rule_state, untold
from ingest.alerts.text import plain, render
from ingest.alerts.when import Absence, micros, seconds_of
from ingest.database import upsert
from telemetry.identity import GatewayRef
from telemetry.presence import Words

log = structlog.get_logger()

VERSION = 1
"""Of the states' shape; states of another version are forgotten."""

PRESENCE = "@presence"
MACHINE = "machine"

State = Judged | Absent
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Judged | Absent | Presence)
_encoder = msgspec.json.Encoder()


class Entry(NamedTuple):
    """One machine's state for one subject. ``gateway``, ``lane``, ``device`` and ``at`` are of the sample that led to it;
    ``lag`` is by how much an urgent sample came after its ``at``: its way here, and how far its device's clock is behind."""

    state: State
    gateway: str
    lane: str
    device: str
    at: int
    lag: int
    due: int | None
    idle: bool


class Moved(NamedTuple):
    """A transition with where it happened."""

    key: Key
    watcher: Watcher
    transition: Transition
    gateway: str
    device: str
    place: Words | None
    zone: str


class States:
    """Every state; a ``branch`` sees them, keeps its own changes apart, and is merged once they are durable."""

    def __init__(self, parent: "States | None" = None) -> None:
        self._parent = parent
        self.changed: dict[Key, Entry] = {}
        self.presences: dict[GatewayRef, Presence] = {}
        self._timers: dict[Key, Entry] = {}

    def branch(self) -> "States":
        return States(self)

    def get(self, key: Key) -> Entry | None:
        found = self.changed.get(key)
        return self._parent.get(key) if found is None and self._parent else found

    def put(self, key: Key, entry: Entry) -> None:
        self.changed[key] = entry
        if entry.due is None:
            self._timers.pop(key, None)
        else:
            self._timers[key] = entry

    def presence(self, ref: GatewayRef) -> Presence:
        """The gateway's, to be changed in place: on a branch it is the branch's own."""
        if ref not in self.presences:
            known = self._parent.presences.get(ref) if self._parent else None
            self.presences[ref] = known.copy() if known else Presence()
        return self.presences[ref]

    def timers(self, now: int) -> list[tuple[Key, Entry]]:
        """Those with a timer at or before ``now``, earliest first."""
        due = [(key, entry) for key, entry in self._timers.items() if entry.due is not None and entry.due + entry.lag <= now]
        return sorted(due, key=lambda pair: (pair[1].due or 0, pair[0]))

    def idle(self) -> Iterator[tuple[Key, Entry]]:
        return ((key, entry) for key, entry in self.changed.items() if entry.idle)

    def merge(self, branch: "States") -> None:
        for key, entry in branch.changed.items():
            self.put(key, entry)
        self.presences.update(branch.presences)

    def drop(self, keys: Collection[Key]) -> None:
        for key in keys:
            self.changed.pop(key, None)
            self._timers.pop(key, None)


def load_states(connection: sa.Connection, rules: Rules, zone_of: Callable[[GatewayRef, str], str]) -> States:
    """The states as they were committed; those of rules that are gone, or of another shape, are left out."""
    states = States()
    forgotten = 0
    for row in connection.execute(sa.select(rule_state)).mappings():
        key = Key(row["rule"], row["community"], row["subject"], row["discriminator"])
        state = _decoded(row["version"], row["body"])
        if isinstance(state, Presence):
            states.presences[GatewayRef(key.community, key.subject)] = state
        elif state is not None and (timing := _timing(rules, key, state, _place(row, zone_of))) is not None:
            states.put(key, Entry(state, row["gateway"], row["lane"], row["device"], row["at"], row["lag"], *timing))
        else:
            forgotten += 1
    if forgotten:
        log.info("rule states forgotten: their rule is gone or was rewritten", states=forgotten)
    return states


def _decoded(version: int, body: bytes) -> State | Presence | None:
    try:
        return _decoder.decode(body) if version == VERSION else None
    except msgspec.DecodeError:
        return None


def _place(row: sa.RowMapping, zone_of: Callable[[GatewayRef, str], str]) -> tuple[str, str]:
    """Device and zone of a state."""
    return row["device"], zone_of(GatewayRef(row["community"], row["gateway"]), row["device"])


def _timing(rules: Rules, key: Key, state: State, place: tuple[str, str]) -> tuple[int | None, bool] | None:
    """When a state is due and whether it is idle; ``None`` when no rule of today keeps such a state."""
    watcher = rules.watchers.get(key.rule)
    if watcher is None or isinstance(watcher.rule.when, Absence):
        return (None, False) if watcher and isinstance(state, Absent) else None
    machine = watcher.variant(key.community, *place).machine(key.community)
    return (machine.due(state), machine.idle(state)) if type(state) is type(machine.initial) else None


def save_states(connection: sa.Connection, states: States) -> None:
    upsert(connection, rule_state, (_row(key, entry, entry.state) for key, entry in states.changed.items()))
    upsert(
        connection,
        rule_state,
        (
            _row(Key(PRESENCE, ref.community, ref.gateway), Entry(Absent(), ref.gateway, "", "", it.newest, 0, None, False), it)
            for ref, it in states.presences.items()
        ),
    )


def _row(key: Key, entry: Entry, body: State | Presence) -> dict[str, Any]:
    own = {
        "version": VERSION,
        "gateway": entry.gateway,
        "lane": entry.lane,
        "device": entry.device,
        "at": entry.at,
        "lag": entry.lag,
    }
    return {**key._asdict(), **own, "body": _encoder.encode(body)}


def forget(connection: sa.Connection, keys: Collection[Key]) -> None:
    columns = ("rule", "community", "subject", "discriminator")
    matches = sa.and_(*(rule_state.c[name] == sa.bindparam(f"the_{name}") for name in columns))
    named = [{f"the_{name}": value for name, value in key._asdict().items()} for key in keys]
    connection.execute(rule_state.delete().where(matches), named)


def apply(connection: sa.Connection, moved: Moved, known_at: int, gate: Gate, told: Told = untold) -> None:
    """Writes what a transition does to the newest episode of its key, if anything."""
    newest = _newest(connection, moved.key)
    if moved.transition.change is Change.RAISE:
        _raise(connection, newest, moved, known_at, gate, told)
    elif (came := after(newest, moved)) is not None:
        episode, word = came
        if word == "graded":
            episode = gate.graded(connection, episode, moved.transition.at)
        _write(connection, moved, episode, word, known_at, told)


def _raise(connection: sa.Connection, newest: Episode | None, moved: Moved, known_at: int, gate: Gate, told: Told) -> None:
    """Raises an alert past what may hold it back."""
    at = moved.transition.at
    if newest is not None and newest.alert.drill and not gate.is_drill(connection, newest.alert, at):
        newest = None
    flapped = newest is not None and newest.alert.flapping
    flaps = newest is not None and flapping.flaps(flapped, flapping.raises(connection, moved.key, at) + 1)
    came = after(None if newest is None else with_(newest, flapping=flapped and flaps), moved)
    assert came is not None
    episode, word = with_(came[0], flapping=flaps), came[1]
    episode = gate.opened(connection, heir(episode, newest)) if word == "opened" else gate.raised_again(connection, episode, at)
    note = f"suppressed by {episode.alert.suppressed_by}" if episode.alert.suppressed_by else ""
    _write(connection, moved, episode, word, known_at, told, note)
    if flaps and not flapped:
        _write(connection, moved, episode, "flapping", known_at, told)


def after(newest: Episode | None, moved: Moved) -> tuple[Episode, str] | None:
    """What a transition makes of the newest episode of its key, and the journal's word for it; ``None``: nothing."""
    stands = newest is not None and newest.over_at is None
    match moved.transition.change:
        case Change.CLEAR:
            return (over(normal(newest), moved.transition.at), "cleared") if newest is not None and stands else None
        case Change.GRADE:
            return (_recoloured(newest, moved), "graded") if newest is not None and stands else None
    if newest is not None and continues(newest, moved.transition.at, micros(moved.watcher.rule.reopen_s)):
        return _recoloured(raised_again(newest, _said(moved)), moved), "raised again"
    return _opened(moved), "opened"


def retire(connection: sa.Connection, rules: Rules, now: int, told: Told = untold) -> int:
    """Ends the episodes of rules that are gone: nothing would ever clear them. How many there were."""
    rows = connection.execute(sa.select(alert).where(alert.c.over_at.is_(None))).mappings().all()
    gone = [episode_of(row) for row in rows if row["rule"] not in rules.watchers]
    for key, episode in gone:
        record(connection, key, over(episode, now), "cleared", now, now, MACHINE, "the rule is gone", told)
    return len(gone)


def _newest(connection: sa.Connection, key: Key) -> Episode | None:
    same = [alert.c[name] == value for name, value in key._asdict().items()]
    newest = sa.select(alert).where(*same).order_by(alert.c.opened_at.desc()).limit(1)
    row = connection.execute(newest).mappings().one_or_none()
    return episode_of(row)[1] if row else None


def _write(
    connection: sa.Connection, moved: Moved, episode: Episode, transition: str, known_at: int, told: Told, note: str = ""
) -> None:
    record(connection, moved.key, episode, transition, moved.transition.at, known_at, MACHINE, note, told)


def _recoloured(episode: Episode, moved: Moved) -> Episode:
    """With the colour of the transition; where the rule's never falls, not a milder one."""
    rule, old = moved.watcher.rule, episode.alert.colour
    new = moved.transition.colour or rule.colour
    colour = new if rule.falls_back else max(old, new, key=rank)
    return episode._replace(alert=msgspec.structs.replace(episode.alert, colour=colour))


def _said(moved: Moved) -> Said:
    transition = moved.transition
    return Said(_text(moved), transition.value, transition.limit, transition.clause, moved.watcher.version)


def _opened(moved: Moved) -> Episode:
    rule, transition, said = moved.watcher.rule, moved.transition, _said(moved)
    metric, unit = moved.watcher.shown
    fresh = Alert(
        id=alert_id(moved.key, transition.at),
        rule=rule.id,
        kind=rule.kind,
        family=rule.family,
        colour=transition.colour or rule.colour,
        title=rule.title,
        text=said.text,
        device=moved.device,
        gateway=moved.gateway,
        community=moved.key.community,
        place=moved.place or Words(),
        zone=moved.zone,
        value=said.value,
        limit=said.limit,
        metric=metric,
        unit=unit,
        opened_at=transition.at,
        clause=said.clause,
        rule_version=said.rule_version,
    )
    return Episode(fresh, rule.latch)


def _text(moved: Moved) -> Words:
    rule, place = moved.watcher.rule, moved.place or Words()
    zh, en = place.zh or place.en or moved.device, place.en or place.zh or moved.device
    return Words(zh=render(rule.text.zh, _words(moved, zh)), en=render(rule.text.en, _words(moved, en)))


def _words(moved: Moved, place: str) -> dict[str, str]:
    transition = moved.transition
    return {
        "place": place,
        "value": plain(transition.value),
        "limit": plain(transition.limit),
        "unit": moved.watcher.shown[1],
        "device": moved.device,
        "zone": moved.zone,
        "clause": transition.clause,
        "seconds": _seconds(moved.watcher.rule, transition),
    }


def _seconds(rule: Rule, transition: Transition) -> str:
    return plain(transition.limit) if isinstance(rule.when, Absence) else plain(seconds_of(rule.when))
