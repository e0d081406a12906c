"""An alert: one episode of one rule at one subject, and how machines and people change it.

1. The machine's word (raised, over) and the person's (acknowledged) stand apart; ``state`` follows from both.
2. open -> cleared when the condition is over; cleared and acknowledged, in either order, is closed. A latched alert stays
   open until it is acknowledged, even when its condition is over.
3. What stands between a machine's word and people (suppressed, shelved, folded, flapping) stands apart from both: it hides
   an alert from nobody who asks.
4. The id is a function of rule, community, subject, discriminator and ``opened_at``: the same readings give the same ids.
"""

import hashlib
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ingest.alerts.rule import Family
from ingest.alerts.severity import Colour
from telemetry.metric import Value
from telemetry.presence import Words


class AlertState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Key(NamedTuple):
    """What has at most one active episode. ``subject`` is ``gateway/device``, or ``zone:`` and a zone of the community."""

    rule: str
    community: str
    subject: str
    discriminator: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Times are UTC microseconds of event time, ``acked_at`` the person's. ``seq`` grows at every change of any alert.

    ``count`` is how often it was raised. ``value``, ``limit`` and the ``clause`` that the limit stands in are of the last time;
    ``unit`` is theirs. ``rule_version`` names the rule's text by which it was raised. ``origin``: ``backfill`` for one that was
    past before it was known. ``told``: people have heard of it, if anybody is to. ``suppressed_by`` is the alert or the planned
    works that it follows from, ``collapsed_into`` the flood that it is a part of; both stay when it is over. Shelved by a person
    until an instant, with ``shelved_until_normal`` not longer than its condition stands. ``folded``: people hear of it only by
    the flood; ``flapping``: it comes and goes so often that they hear of that alone.
    """

    id: str
    seq: int = 0
    rule: str
    kind: str
    family: Family
    colour: Colour
    state: AlertState = AlertState.OPEN
    title: Words
    text: Words
    device: str
    gateway: str
    community: str
    place: Words
    zone: str = ""
    value: Value | None = None
    limit: Value | None = None
    metric: str | None = None
    unit: str = ""
    opened_at: int
    cleared_at: int | None = None
    closed_at: int | None = None
    acked_at: int | None = None
    acked_by: str | None = None
    note: str = ""
    count: int = 1
    origin: str = ""
    withdrawn_at: int | None = None
    clause: str = ""
    rule_version: str = ""
    drill: bool = False
    told: bool = False
    suppressed_by: str = ""
    collapsed_into: str = ""
    folded: bool = False
    flapping: bool = False
    shelved_until: int | None = None
    shelved_until_normal: bool = False
    shelved_by: str = ""
    shelf_reason: str = ""
    assigned_to: str = ""


class Episode(NamedTuple):
    """An alert with what only the machine needs: whether it latches, and since when its condition is over."""

    alert: Alert
    latch: bool
    over_at: int | None = None


def alert_id(key: Key, opened_at: int) -> str:
    text = "\x1f".join((*key, str(opened_at)))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def continues(episode: Episode, at: int, reopen_us: int) -> bool:
    """Whether being raised at ``at`` is more of this episode, and not the start of another."""
    if episode.alert.state is AlertState.OPEN or episode.alert.opened_at == at or episode.alert.flapping:
        return True
    return episode.alert.state is AlertState.CLEARED and episode.over_at is not None and at - episode.over_at < reopen_us


class Said(NamedTuple):
    """What a rule says when it raises an alert, and by which text of the rule."""

    text: Words
    value: Value | None = None
    limit: Value | None = None
    clause: str = ""
    rule_version: str = ""


def raised_again(episode: Episode, said: Said) -> Episode:
    alert = msgspec.structs.replace(
        episode.alert,
        **said._asdict(),
        state=AlertState.OPEN,
        cleared_at=None,
        closed_at=None,
        count=episode.alert.count + 1,
    )
    return Episode(alert, episode.latch)


def over(episode: Episode, at: int) -> Episode:
    """The condition is over at ``at``, which is never taken as before the start."""
    at = max(at, episode.alert.opened_at)
    return _settled(Episode(episode.alert, episode.latch, at))


def acknowledged(episode: Episode, by: str, note: str, at: int) -> Episode:
    """A person has taken note; the first one counts."""
    if episode.alert.acked_at is not None:
        return episode
    alert = msgspec.structs.replace(episode.alert, acked_at=at, acked_by=by, note=note)
    return _settled(Episode(alert, episode.latch, episode.over_at))


def _settled(episode: Episode) -> Episode:
    alert, latch, over_at = episode
    if over_at is None or (latch and alert.acked_at is None):
        return episode
    closed_at = None if alert.acked_at is None else max(alert.acked_at, over_at)
    state = AlertState.CLEARED if closed_at is None else AlertState.CLOSED
    return Episode(msgspec.structs.replace(alert, state=state, cleared_at=over_at, closed_at=closed_at), latch, over_at)
