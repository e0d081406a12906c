"""What can be asked of the past: what rules would have raised over stored readings, and why an alert was raised or was not.

1. Nothing is changed by asking.
2. Bounded: one rehearsal at a time, ``MOST_ROWS`` values, ``MOST_S`` seconds, ``MOST_US`` of time, ``MOST_FIRED`` alerts that
   were raised then. What would be more is refused, never cut.
3. The newest rehearsal is kept for ``KEPT_S``, up to ``MOST_KEPT`` lines, so that its pages are of one and cost one.
4. Nobody learns of what lies outside the scope of who asks.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts import baselines
from ingest.alerts.episode import Alert, Episode, Key
from ingest.alerts.explain import Limit, Reason, Traced, limit_of, phase_of, silence, traced, why, why_not
from ingest.alerts.journal import Line
from ingest.alerts.machine import Machine
from ingest.alerts.past import Asked, Past, at_leisure
from ingest.alerts.rehearsal import Keyed, Rehearsal, rehearsal
from ingest.alerts.review import Course, Heard, Review, Step, episodes, is_learnt, lookback_us
from ingest.alerts.reviser import Inventory, members
from ingest.alerts.revision import quiet_before
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.tables import alert as table
from ingest.alerts.tables import episode_of, journal, line_of
from ingest.alerts.when import Absence, micros
from ingest.database import Database
from telemetry.errors import TooMuch
from telemetry.identity import GatewayRef, Scope
from telemetry.presence import Device, Words

MOST_ROWS = 2_000_000
MOST_S = 60.0
MOST_US = 31 * 24 * 3_600_000_000
MOST_BACK_US = 7 * 24 * 3_600_000_000
MOST_FIRED = 10_000
MOST_KEPT = 50_000
KEPT_S = 600.0
EXPLAINED_ROWS = 100_000
AFTER_US = 60_000_000


class Where(NamedTuple):
    """Which devices: ``communities`` are prefixes within the scope of who asks."""

    communities: tuple[str, ...]
    gateway: str | None = None
    device: str | None = None


class _Asked(NamedTuple):
    """What a rehearsal was of: the texts of its rules, and of what time where."""

    versions: tuple[tuple[str, str], ...]
    where: Where
    start: int
    end: int


class _Kept(NamedTuple):
    """``until`` is by the loop's clock."""

    asked: _Asked
    found: Rehearsal
    until: float


class Busy(Exception):
    """Somebody else's rehearsal is under way."""


class Explanation(NamedTuple):
    """``rule`` is the rule's text of today, JSON, and ``version`` names it; empty when the rule is gone. ``journal`` is what was
    written of the alert."""

    alert: Alert
    sentence: Words
    rule: bytes
    version: str
    limit: Limit | None
    trace: Sequence[Traced]
    journal: Sequence[Line]


class Silence(NamedTuple):
    """Why no alert, or which: ``phase`` is the rule's at the instant asked about, ``heard`` the newest reading it had gone by."""

    rule: bytes
    version: str
    phase: str
    heard: int | None
    reasons: Sequence[Reason]
    limit: Limit | None
    trace: Sequence[Traced]


class Hindsight:
    def __init__(self, rules: Rules, database: Database, inventory: Inventory, past: Past) -> None:
        self.rules = rules
        self._database = database
        self._inventory = inventory
        self._past = past
        self._busy = asyncio.Lock()
        self._kept: _Kept | None = None

    async def rehearse(self, rules: Rules, where: Where, start: int, end: int, *, anew: bool = True) -> Rehearsal:
        """What ``rules`` would have raised from ``start`` until before ``end``, UTC microseconds; unless ``anew``, as it was told
        last if that is known still.

        Raises ``Busy``, ``TooMuch`` (also when it takes too long), ``StoreUnavailable``.
        """
        versions = tuple((rule, watcher.version) for rule, watcher in rules.watchers.items())
        asked, loop = _Asked(versions, where, start, end), asyncio.get_running_loop()
        kept = self._kept
        if not anew and kept is not None and kept.asked == asked and loop.time() < kept.until:
            return kept.found
        if self._busy.locked():
            raise Busy
        async with self._busy:
            try:
                async with asyncio.timeout(MOST_S):
                    found = await self._rehearse(rules, where, start, end)
            except TimeoutError as error:
                raise TooMuch(f"it took more than {MOST_S:g} s") from error
            self._kept = _Kept(asked, found, loop.time() + KEPT_S) if len(found.lines) <= MOST_KEPT else None
            return found

    async def _rehearse(self, rules: Rules, where: Where, start: int, end: int) -> Rehearsal:
        watched = [one.rule for one in rules.watchers.values()]
        back = max((min(lookback_us(rule) or MOST_BACK_US, MOST_BACK_US) for rule in watched), default=0)
        kinds = {kind for rule in watched for kind in rule.applies_to.kinds}
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        asked = Asked(where.communities, start - back, end, where.gateway, where.device, kind, MOST_ROWS)
        review = Review(rules, self._inventory)
        readings = 0
        async for page in self._past.readings(asked):
            readings += sum(one.reading.at >= start for one in page)
            async for _ in at_leisure(review, page):
                pass
        review.fire(end - 1)
        would = [
            (course.key, episode)
            for course in review.courses.values()
            for episode in episodes(course.moves)
            if start <= episode.alert.opened_at < end
        ]
        return rehearsal(would, await self._fired({rule.id for rule in watched}, where, start, end), start, end, readings)

    async def _fired(self, rules: Iterable[str], where: Where, start: int, end: int) -> list[Keyed]:
        wanted = sa.select(table).where(
            _within(where.communities), table.c.rule.in_(list(rules)), table.c.opened_at >= start, table.c.opened_at < end
        )
        for name in ("gateway", "device"):
            if (value := getattr(where, name)) is not None:
                wanted = wanted.where(table.c[name] == value)
        wanted = wanted.order_by(table.c.opened_at, table.c.id).limit(MOST_FIRED + 1)
        rows = await self._database.read(lambda connection: connection.execute(wanted).mappings().all())
        if len(rows) > MOST_FIRED:
            raise TooMuch(f"more than {MOST_FIRED} alerts were raised in that time")
        return [episode_of(row) for row in rows]

    async def explain(self, scope: Scope, id: str) -> Explanation | None:
        """Why an alert was raised; ``None`` when there is none within the scope. Raises ``StoreUnavailable``."""
        found = await self._database.read(lambda connection: _found(connection, scope, id))
        if found is None:
            return None
        key, episode, lines = found
        alert, ref = episode.alert, GatewayRef(key.community, episode.alert.gateway)
        watcher = self.rules.watchers.get(alert.rule)
        if watcher is None:
            return Explanation(alert, alert.text, b"", "", None, (), lines)
        watcher = watcher.variant(key.community, alert.device, alert.zone)
        until = min(alert.opened_at + AFTER_US, alert.cleared_at or alert.opened_at + AFTER_US)
        _, steps = await self._course(watcher, key, ref, alert.device, alert.opened_at, until)
        trace = traced(steps, self._metrics(watcher, key.community))
        sentence = why(alert.text, watcher.rule, alert.rule_version, alert.opened_at, trace)
        return Explanation(alert, sentence, watcher.text, watcher.version, limit_of(watcher.rule, alert.opened_at), trace, lines)

    async def explain_silence(self, rule: str, ref: GatewayRef, device: str, at: int) -> Silence | None:
        """Why a rule had raised nothing at an instant, or what it had; ``None`` when there is no such rule."""
        plain = self.rules.watchers.get(rule)
        if plain is None:
            return None
        found, zone = self._inventory.find(ref, device), self._inventory.zone_of(ref, device)
        watcher = self._watching(plain, ref, device, found, zone)
        if watcher is None:
            reasons = why_not(None, plain.rule, found, zone, device, ref.community)
            return Silence(plain.text, plain.version, "clear", None, reasons, None, ())
        key = Key(rule, ref.community, watcher.subject(ref.gateway, device, zone))
        course, steps = await self._course(watcher, key, ref, device, at, at)
        phase = phase_of(course.state) if course else "clear"
        metrics = self._metrics(watcher, ref.community)
        reasons = [silence(watcher.rule, course, phase, at, metrics)]
        heard = course.seen if course else None
        return Silence(watcher.text, watcher.version, phase, heard, reasons, limit_of(watcher.rule, at), traced(steps, metrics))

    def _watching(self, plain: Watcher, ref: GatewayRef, name: str, device: Device | None, zone: str) -> Watcher | None:
        """The rule with the numbers that count for a device; ``None`` when it does not look at it."""
        to = plain.rule.applies_to
        if device is not None and to.kinds and device.kind not in to.kinds:
            return None
        return plain.variant(ref.community, name, zone) if plain.applies(ref.community, name, device, zone) else None

    def _metrics(self, watcher: Watcher, community: str) -> frozenset[str]:
        machine = _machine(watcher, community)
        return machine.metrics if machine else frozenset()

    async def _course(
        self, watcher: Watcher, key: Key, ref: GatewayRef, device: str, at: int, until: int
    ) -> tuple[Course | None, list[Step]]:
        """How the rule went at a subject up to ``until``, from before what stood at ``at``."""
        rule = watcher.rule
        machine = _machine(watcher, key.community)
        if machine is None:
            return None, []
        back = min(lookback_us(rule) or MOST_BACK_US, MOST_BACK_US)
        reopen = micros(rule.reopen_s)
        start = await self._database.read(lambda connection: quiet_before(connection, key, at - back, back, reopen))
        kept = await self._database.read(lambda connection: baselines.find(connection, key, at)) if is_learnt(rule) else {}
        start = max(min((last + 1 for last, _ in kept.values()), default=start), at - MOST_BACK_US)
        states = {mine: state for mine, (_, state) in kept.items()}
        review = Review(Rules([self.rules.watchers[rule.id]]), self._inventory, subject=key.subject, states=states)
        steps: list[Step] = []
        for heard in await self._heard(rule, ref, device, machine.metrics, start, until + 1):
            for course, step in review.hear(heard):
                if course.key.discriminator == key.discriminator or not key.discriminator:
                    steps.append(step)
        mine = [one for one in review.courses.values() if one.key.discriminator == key.discriminator or not key.discriminator]
        if not mine:
            return None, steps
        newest = max(mine, key=lambda one: one.seen)
        ended = newest.fire(until, self._inventory)
        return newest, steps if ended is None else [*steps, ended]

    async def _heard(
        self, rule: Rule, ref: GatewayRef, device: str, metrics: Iterable[str], start: int, end: int
    ) -> Sequence[Heard]:
        found: list[Heard] = []
        for there, name in members(self._inventory, rule, ref, device):
            found += await self._past.last_words(there, name, metrics, start)
            asked = Asked((there.community,), start, end, there.gateway, name, most_rows=EXPLAINED_ROWS)
            async for page in self._past.readings(asked):
                found += page
        return sorted(found, key=lambda one: (one.reading.at, one.reading.device))


def _machine(watcher: Watcher, community: str) -> Machine[object] | None:
    return None if isinstance(watcher.rule.when, Absence) else watcher.machine(community)


def _found(connection: sa.Connection, scope: Scope, id: str) -> tuple[Key, Episode, list[Line]] | None:
    row = connection.execute(sa.select(table).where(table.c.id == id)).mappings().one_or_none()
    if row is None or not scope.covers(row["community"]):
        return None
    lines = connection.execute(sa.select(journal).where(journal.c.alert == id).order_by(journal.c.seq)).mappings()
    return (*episode_of(row), [line_of(line) for line in lines])


def _within(communities: Sequence[str]) -> sa.ColumnElement[bool]:
    ranges = [sa.and_(table.c.community >= one, table.c.community < f"{one}:") for one in communities]
    return sa.or_(sa.false(), *ranges)
