"""Whether people hear of a change: what stands between a rule's word and a person. Pure.

1. What holds an alert back (suppressed, shelved, folded into a flood, flapping) keeps its beginnings from people, and nothing
   from those who ask. Red is never folded.
2. Who has heard of an alert hears its end: at once, or when what holds it back ends.
3. When what held it back ends and its condition still stands, people hear that.
"""

from msgspec.structs import replace

from ingest.alerts.episode import Alert, Episode

BEGINNINGS = frozenset(("opened", "raised again", "graded"))
RELEASES = frozenset(("unsuppressed", "unshelved", "unfolded", "steady", "drill over"))
HOLDS = frozenset(("shelved", "collapsed"))
PAST = "past"
"""To people alone, of what opened and was over before anybody knew: they hear of many such in one digest."""


def is_held(alert: Alert) -> bool:
    """Whether anything holds it back now."""
    return bool(alert.suppressed_by) or alert.shelved_until is not None or alert.folded or alert.flapping


def is_watched(episode: Episode) -> bool:
    """Whether what holds it back, or makes it a drill, may end by itself."""
    alert = episode.alert
    standing = episode.over_at is None and (bool(alert.suppressed_by) or alert.folded or alert.drill)
    return standing or alert.shelved_until is not None or alert.flapping


def speaks(episode: Episode, transition: str) -> bool:
    """Whether people hear of a transition that left ``episode``."""
    alert = episode.alert
    if transition in HOLDS:
        return False
    if transition in BEGINNINGS:
        return not is_held(alert)
    if transition in RELEASES:
        return not is_held(alert) and (episode.over_at is None or alert.told)
    if transition == "flapping":
        return not is_held(replace(alert, flapping=False))
    if transition == "cleared":
        return alert.told and alert.shelved_until is None and not alert.flapping
    return alert.told


def shelved(episode: Episode, until: int, until_normal: bool, by: str, reason: str) -> Episode:
    """Kept from people until an instant, with ``until_normal`` not longer than its condition stands."""
    return with_(episode, shelved_until=until, shelved_until_normal=until_normal, shelved_by=by, shelf_reason=reason)


def unshelved(episode: Episode) -> Episode:
    return with_(episode, shelved_until=None, shelved_until_normal=False, shelved_by="", shelf_reason="")


def normal(episode: Episode) -> Episode:
    """Its condition is about to be over: a shelf that was to last until then ends."""
    return unshelved(episode) if episode.alert.shelved_until_normal else episode


def heir(episode: Episode, before: Episode | None) -> Episode:
    """A new episode of the same rule and subject: a shelf with time left is about both."""
    old = before.alert if before is not None else None
    if old is None or old.shelved_until is None or old.shelved_until_normal or old.shelved_until <= episode.alert.opened_at:
        return episode
    return shelved(episode, old.shelved_until, False, old.shelved_by, old.shelf_reason)


def with_(episode: Episode, **fields: object) -> Episode:
    """The episode with other fields of its alert."""
    return episode._replace(alert=replace(episode.alert, **fields))
