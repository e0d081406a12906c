"""What late readings make of the alerts that were raised without them: some began or ended at another time, some were missed,
some never were.

1. Nothing is rewritten: the row changes, and the journal says what changed, when that was, and when it was known.
2. What a person did stays; an alert that is amended keeps its id.
3. Only what the late readings can have changed is touched: what comes of them from their earliest on. Where the review and the
   table disagree about the moment before that, the review is not to be trusted, and nothing is changed.
4. How late it was known decides what becomes of what is over (``Zone``). What stands, or was taken to stand, is always put right
   and told: the rule's state goes on from the review.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from msgspec.structs import replace

from ingest import instant
from ingest.alerts import evidence, flapping
from ingest.alerts.episode import Alert, AlertState, Episode, Key, alert_id, over
from ingest.alerts.gate import Gate
from ingest.alerts.late import LIVE_US
from ingest.alerts.ledger import MACHINE, Moved
from ingest.alerts.quiet import PAST, normal, speaks
from ingest.alerts.review import Course, Places, episodes
from ingest.alerts.rule import LatenessSpec
from ingest.alerts.rules import Watcher
from ingest.alerts.tables import Changed, Told, alert, episode_of, record, untold
from ingest.alerts.when import micros

BACKFILL = "backfill"
MAX_STEPS_BACK = 64


class Zone(StrEnum):
    """How late something became known."""

    LIVE = "live"
    LATE = "late"
    HISTORICAL = "historical"
    ARCHIVE = "archive"


class Went(Protocol):
    """How a rule went at a subject: the transitions, in their order."""

    @property
    def key(self) -> Key: ...

    @property
    def watcher(self) -> Watcher: ...

    @property
    def moves(self) -> Sequence[Moved]: ...

    def raised_before(self, at: int) -> bool:
        """Whether the alert stood at the last instant before ``at``."""
        ...


class Finding(Protocol):
    """What a review has found, as ``Reviewed`` says it."""

    @property
    def course(self) -> Went: ...

    @property
    def since(self) -> int: ...

    @property
    def came_at(self) -> int: ...

    @property
    def life_safety(self) -> bool: ...


class Reviewed(NamedTuple):
    """A course that began early enough, with the first instant that late readings can have changed (``since``), when they came
    (``came_at``, the wall's), and whether its alerts are of life and death."""

    course: Course
    since: int
    came_at: int
    life_safety: bool = False


class Revision(NamedTuple):
    """An episode as it is from now on. ``event_at`` is when that was which changed; ``loud`` is ``False``
    where people do not hear of it, whatever the transition; ``summed`` where they hear of it with others alike."""

    episode: Episode
    transition: str
    event_at: int
    note: str = ""
    loud: bool | None = None
    summed: bool = False


def zone_of(spec: LatenessSpec, event_at: int, known_at: int) -> Zone:
    late = known_at - event_at
    if late <= LIVE_US:
        return Zone.LIVE
    if late <= micros(spec.late_s):
        return Zone.LATE
    return Zone.HISTORICAL if late <= micros(spec.historical_s) else Zone.ARCHIVE


def amend(
    connection: sa.Connection, reviewed: Reviewed, places: Places, known_at: int, gate: Gate, told: Told = untold
) -> int | None:
    """Writes what a review changes; how many alerts that were, or ``None`` when the review is not to be trusted.

    The course goes on to the last instant that is known of its alerts, so that what a timer raised is found again.
    """
    course = reviewed.course
    known = known_of(connection, reviewed)
    ends = (at for one in known for at in (one.alert.opened_at, one.over_at) if at is not None)
    course.fire(max(ends, default=0), places)
    return None if course.failed else settled(connection, reviewed, known, known_at, gate, told)


def settled(
    connection: sa.Connection, reviewed: Finding, known: Sequence[Episode], known_at: int, gate: Gate, told: Told = untold
) -> int | None:
    """Writes what it changes of the episodes that are known; ``None`` when it is not to be trusted."""
    if not is_trusted(reviewed, known):
        return None
    course = reviewed.course
    found = list(revisions(reviewed, known))
    if found:
        evidence.remember(connection, course.watcher)
    for one in found:
        is_new = one.transition == "opened"
        episode = gate.opened(connection, _with_free_id(connection, reviewed, one.episode)) if is_new else one.episode
        seq = record(connection, course.key, episode, one.transition, one.event_at, known_at, MACHINE, one.note, told, one.loud)
        if one.summed and speaks(episode, one.transition):
            told(connection, Changed(replace(episode.alert, seq=seq), PAST, one.event_at, known_at))
    return len(found)


def is_trusted(reviewed: Finding, known: Sequence[Episode]) -> bool:
    """Whether the review says of the moment before the late readings what was known of it, by the same text of the rule.

    Of an alert that was raised more than once the row does not say when it was over in between.
    """
    course, since = reviewed.course, reviewed.since
    there = [one for one in known if one.alert.state is not AlertState.WITHDRAWN]
    if any(one.alert.rule_version != course.watcher.version for one in there):
        return False
    stood = [one for one in there if one.alert.opened_at < since and (one.over_at is None or one.over_at >= since)]
    return any(one.alert.count > 1 for one in stood) or bool(stood) == course.raised_before(since)


def revisions(reviewed: Finding, known: Sequence[Episode]) -> Iterator[Revision]:
    """What the review changes of the episodes that are known. Pure."""
    course, since = reviewed.course, reviewed.since
    begun = _reopened_from(reviewed)
    found = [one for one in episodes(course.moves, known) if one.over_at is None or one.over_at >= begun or one.latch]
    pairs = matched(known, found)
    for old, new in pairs:
        if (revision := _amended(reviewed, old, new)) is not None:
            yield revision
    new_ones = [id(new) for _, new in pairs]
    for new in found:
        if id(new) not in new_ones and new.alert.opened_at >= since:
            yield from _opened(reviewed, new)
    old_ones = [id(old) for old, _ in pairs]
    for old in known:
        is_left = id(old) not in old_ones and old.alert.state is not AlertState.WITHDRAWN
        is_part = any(_share_time(old, new) for new in found)
        if is_left and (old.alert.opened_at >= since or is_part):
            yield from _withdrawn(reviewed, old)


def matched(known: Sequence[Episode], found: Sequence[Episode]) -> list[tuple[Episode, Episode]]:
    """Which episode is which: those that began together, then those that share some time; first those that people know."""
    pairs: list[tuple[Episode, Episode]] = []
    old, new = sorted(known, key=lambda one: (_is_withdrawn(one), one.alert.origin == BACKFILL)), list(found)
    for is_same in (_began_together, _share_time):
        for one in list(old):
            other = next((other for other in new if is_same(one, other)), None)
            if other is not None:
                pairs.append((one, other))
                old.remove(one)
                new.remove(other)
    return pairs


def _is_withdrawn(episode: Episode) -> bool:
    return episode.alert.state is AlertState.WITHDRAWN


def _began_together(one: Episode, other: Episode) -> bool:
    return one.alert.opened_at == other.alert.opened_at


def _share_time(one: Episode, other: Episode) -> bool:
    first, second = sorted((one, other), key=lambda episode: episode.alert.opened_at)
    return first.over_at is None or first.over_at >= second.alert.opened_at


def _amended(reviewed: Finding, old: Episode, new: Episode) -> Revision | None:
    is_older = max(old.alert.opened_at, new.alert.opened_at) < reviewed.since
    opened_at = old.alert.opened_at if is_older else new.alert.opened_at
    if _told(old, old.alert.opened_at) == _told(new, opened_at) and not _is_withdrawn(old):
        return None
    event_at = opened_at if opened_at != old.alert.opened_at else new.over_at or old.over_at or opened_at
    is_over = old.over_at is not None and new.over_at is not None
    if is_over and zone_of(reviewed.course.watcher.rule.lateness, event_at, reviewed.came_at) is Zone.ARCHIVE:
        return None
    episode = _brought_up(old, new, opened_at)
    turned = (episode.alert.state is AlertState.OPEN) != (old.alert.state is AlertState.OPEN)
    return Revision(episode, "amended", event_at, _what_changed(old, episode), None if turned else False)


def _told(episode: Episode, opened_at: int) -> tuple[object, ...]:
    it = episode.alert
    return opened_at, episode.over_at, it.count, it.value, it.limit, it.clause, it.colour


def _brought_up(old: Episode, new: Episode, opened_at: int) -> Episode:
    """The old alert with what is known of it now; what people did to it stays."""
    it, said = old.alert, new.alert
    fresh = replace(
        it,
        opened_at=opened_at,
        count=said.count,
        value=said.value,
        limit=said.limit,
        clause=said.clause,
        text=said.text,
        colour=said.colour,
        flapping=said.flapping,
        state=AlertState.OPEN,
        cleared_at=None,
        closed_at=None,
        withdrawn_at=None,
    )
    return _ended(Episode(fresh, old.latch), new.over_at)


def _ended(episode: Episode, over_at: int | None) -> Episode:
    if over_at is None:
        return episode
    return _born_closed(episode, over_at) if episode.alert.origin == BACKFILL else over(normal(episode), over_at)


def _born_closed(episode: Episode, over_at: int) -> Episode:
    """Past before anybody knew: nothing is left to acknowledge."""
    closed = replace(episode.alert, origin=BACKFILL, state=AlertState.CLOSED, cleared_at=over_at, closed_at=over_at)
    return Episode(closed, episode.latch, over_at)


def _opened(reviewed: Finding, new: Episode) -> Iterator[Revision]:
    it = new.alert
    zone = zone_of(reviewed.course.watcher.rule.lateness, it.opened_at, reviewed.came_at)
    if new.over_at is None:
        yield Revision(new, "opened", it.opened_at, _how_late(it, reviewed))
    elif zone is Zone.HISTORICAL:
        past = _born_closed(new, new.over_at)
        of_life = reviewed.life_safety
        yield Revision(past, "opened", it.opened_at, _how_late(it, reviewed), None if of_life else False, summed=not of_life)
    elif zone is not Zone.ARCHIVE:
        is_loud = reviewed.life_safety or it.state is AlertState.OPEN
        yield Revision(new, "opened", it.opened_at, _how_late(it, reviewed), None if is_loud else False)


def _withdrawn(reviewed: Finding, old: Episode) -> Iterator[Revision]:
    it = old.alert
    if old.over_at is not None and zone_of(reviewed.course.watcher.rule.lateness, it.opened_at, reviewed.came_at) is Zone.ARCHIVE:
        return
    gone = replace(it, state=AlertState.WITHDRAWN, withdrawn_at=reviewed.came_at)
    over_at = it.opened_at if old.over_at is None else old.over_at
    yield Revision(Episode(gone, old.latch, over_at), "withdrawn", it.opened_at, "late readings show that it never was by itself")


def _how_late(alert: Alert, reviewed: Finding) -> str:
    return f"known {max((reviewed.came_at - alert.opened_at) // 60_000_000, 0)} min late"


def _what_changed(old: Episode, new: Episode) -> str:
    parts = [
        f"{what} {_when(at)}, was {_when(before)}"
        for what, before, at in (
            ("opened", old.alert.opened_at, new.alert.opened_at),
            ("over", old.over_at, new.over_at),
        )
        if before != at
    ]
    if old.alert.count != new.alert.count:
        parts.append(f"raised {new.alert.count} times, was {old.alert.count}")
    return "; ".join(parts)


def _when(at: int | None) -> str:
    return "not yet" if at is None else instant.text(at)


def known_of(connection: sa.Connection, reviewed: Finding) -> list[Episode]:
    """The episodes of the key that were not over before the late readings, or might have been reopened by them."""
    same = [alert.c[name] == value for name, value in reviewed.course.key._asdict().items()]
    begun = _reopened_from(reviewed)
    latched = alert.c.state == AlertState.OPEN.value
    open_then = sa.or_(alert.c.over_at.is_(None), alert.c.over_at >= begun, alert.c.opened_at >= reviewed.since, latched)
    rows = connection.execute(sa.select(alert).where(*same, open_then).order_by(alert.c.opened_at)).mappings()
    return [episode_of(row)[1] for row in rows]


def _reopened_from(reviewed: Finding) -> int:
    """What was over since then may be reopened by what came late."""
    return reviewed.since - max(micros(reviewed.course.watcher.rule.reopen_s), flapping.WINDOW_US)


def quiet_before(connection: sa.Connection, key: Key, start: int, lookback_us: int, reopen_us: int) -> int:
    """An instant from which a review may begin, with no alert of any discriminator of ``key`` standing, or to be reopened:
    ``start``, or so long before the alert that stood then, and so on."""
    same = [alert.c[name] == value for name, value in key._asdict().items() if name != "discriminator"]
    for _ in range(MAX_STEPS_BACK):
        stood = sa.or_(alert.c.over_at.is_(None), alert.c.over_at + reopen_us >= start)
        first = connection.scalar(sa.select(sa.func.min(alert.c.opened_at)).where(*same, alert.c.opened_at <= start, stood))
        if first is None:
            break
        start = min(start - 1, first - lookback_us)
    return start


def _with_free_id(connection: sa.Connection, reviewed: Finding, episode: Episode) -> Episode:
    """An alert that was amended may have the id that another one's beginning now gives."""
    key, salt = reviewed.course.key, 0
    it = episode.alert
    id = it.id
    while connection.scalar(sa.select(alert.c.id).where(alert.c.id == id)) is not None:
        salt += 1
        id = alert_id(key._replace(discriminator=f"{key.discriminator}\x1f{salt}"), it.opened_at)
    return episode._replace(alert=replace(it, id=id))
