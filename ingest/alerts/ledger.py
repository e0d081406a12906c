"""What a transition of a rule makes of an episode, and how it is written down."""

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.alerts import evidence, flapping
from ingest.alerts.episode import Alert, AlertState, Episode, Key, Said, alert_id, continues, over, raised_again
from ingest.alerts.gate import Gate
from ingest.alerts.machine import Change, Transition
from ingest.alerts.quiet import heir, normal, with_
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.severity import rank
from ingest.alerts.tables import Told, alert, episode_of, record, untold
from ingest.alerts.text import plain, render
from ingest.alerts.when import Absence, micros, seconds_of
from telemetry.metric import Value
from telemetry.presence import Words
from telemetry.privacy import unnamed

MACHINE = "machine"


class Moved(NamedTuple):
    """A transition with where it happened."""

    key: Key
    watcher: Watcher
    transition: Transition
    gateway: str
    device: str
    place: Words | None
    zone: str

    @property
    def value(self) -> Value | None:
        """What the alert shows: no plate or card in the clear, whatever gateways send, for alerts stay when readings go."""
        return unnamed(self.watcher.shown[0], self.transition.value)


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
    evidence.remember(connection, moved.watcher)
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
    holding = alert.c.state == AlertState.OPEN.value, alert.c.over_at.is_(None)  # the state is what an index knows
    rows = connection.execute(sa.select(alert).where(*holding, alert.c.rule.not_in(list(rules.watchers)))).mappings().all()
    gone = [episode_of(row) for row in rows]
    for key, episode in gone:
        record(connection, key, over(episode, now), "cleared", now, now, MACHINE, "the rule is gone", told)
    return len(gone)


def _newest(connection: sa.Connection, key: Key) -> Episode | None:
    same = [alert.c[name] == value for name, value in key._asdict().items()]
    newest = (
        sa.select(alert).where(*same, alert.c.state != AlertState.WITHDRAWN.value).order_by(alert.c.opened_at.desc()).limit(1)
    )
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
    return Said(_text(moved), moved.value, transition.limit, transition.clause, moved.watcher.version)


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
        "value": plain(moved.value),
        "limit": plain(transition.limit),
        "unit": moved.watcher.shown[1],
        "device": moved.device,
        "zone": moved.zone,
        "clause": transition.clause,
        "seconds": _seconds(moved.watcher.rule, transition),
    }


def _seconds(rule: Rule, transition: Transition) -> str:
    return plain(transition.limit) if isinstance(rule.when, Absence) else plain(seconds_of(rule.when))
