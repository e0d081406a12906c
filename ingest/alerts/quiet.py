"""Whether people hear of a change: what stands between a rule's word and a person. Pure.

1. What holds an alert back (suppressed, shelved, collapsed into a flood, flapping) keeps its beginnings from people, and
   nothing from those who ask. Red is never collapsed.
2. Who has heard of an alert hears its end: at once, or when what holds it back ends.
3. When what held it back ends and its condition still stands, people hear that.
"""

from ingest.alerts.episode import Alert, Episode
from ingest.alerts.severity import Colour

BEGINNINGS = frozenset(("opened", "raised again", "graded"))
RELEASES = {"unsuppressed": "suppressed_by", "unshelved": "shelved_until", "unfolded": "collapsed_into", "steady": "flapping"}
"""The ends of what held an alert back, each with the field that said so."""

HOLDS = frozenset(("suppressed", "shelved", "collapsed"))
"""The beginnings of it, of which people hear nothing."""


def is_held(alert: Alert) -> bool:
    """Whether anything holds it back now."""
    folded = bool(alert.collapsed_into) and alert.colour is not Colour.RED
    return bool(alert.suppressed_by) or alert.shelved_until is not None or folded or alert.flapping


def speaks(episode: Episode, transition: str) -> bool:
    """Whether people hear of a transition that left ``episode``."""
    alert = episode.alert
    if transition in HOLDS:
        return False
    if transition in BEGINNINGS:
        return not is_held(alert)
    if transition in RELEASES:
        return not is_held(alert) and (episode.over_at is None or alert.told)
    if transition == "cleared":
        return alert.told and alert.shelved_until is None and not alert.flapping
    return alert.told
