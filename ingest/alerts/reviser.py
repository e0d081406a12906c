"""Looks again at what came late: reads the past back, reviews it, and has the engine amend its alerts.

1. Nothing is looked at before the telemetry store holds it, nor while more of the same device keeps coming (``SETTLED_US``, for
   ``PATIENCE_US`` at most).
2. One device at a time, a page at a time: live readings go first.
3. Bounded: a review reads ``MAX_ROWS`` and reaches ``MAX_BACK_US`` back. What would need more is left as it is, and said once.
4. A crash loses nothing: what was noted stays until it was looked at.
5. Rules that go by all that was ever said are run on from a state that was kept (``ingest.alerts.baselines``), or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import sqlalchemy as sa
import structlog

from ingest.alerts import baselines, late
from ingest.alerts.absence_reviser import AbsenceReviser
from ingest.alerts.episode import Key
from ingest.alerts.late import Lateness
from ingest.alerts.memory import Judged
from ingest.alerts.past import AHEAD_US, MAX_BACK_US, YIELD_S, Asked, Past, at_leisure
from ingest.alerts.review import Heard, Places, Review, is_learnt, lookback_us, reach_us
from ingest.alerts.revision import Reviewed, quiet_before
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.when import micros
from ingest.database import Database
from telemetry.errors import StoreUnavailable, TooMuch
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Device

log = structlog.get_logger()

LOOK_S = 1.0
SETTLED_US = 3_000_000
PATIENCE_US = 60_000_000
GIVEN_UP_US = 24 * 3_600_000_000
MAX_WAITING = 1_000
MAX_ROWS = 200_000
TRIES = 8
KEEP_EVERY_US = 3_600_000_000


class Inventory(Places, Protocol):
    """What exists; ``inventory`` is every device of a community, with its gateway."""

    def inventory(self, community: str) -> Sequence[tuple[GatewayRef, Device]]: ...


class _Question(NamedTuple):
    """The rules of one subject that late readings concern, and from when on they are to be run; with ``states`` those alone, and
    from them."""

    subject: str
    watchers: Sequence[Watcher]
    start: int
    states: Mapping[Key, Judged] = MappingProxyType({})


class Reviser:
    """``watermarks`` are the telemetry store's, ``revise`` is the engine's, ``clock`` says UTC microseconds."""

    def __init__(
        self,
        rules: Rules,
        database: Database,
        inventory: Inventory,
        past: Past,
        watermarks: Callable[[], Awaitable[Mapping[Stream, int]]],
        revise: Callable[[Sequence[Reviewed], int], Awaitable[list[Reviewed]]],
        clock: Callable[[], int],
        absences: AbsenceReviser,
    ) -> None:
        self._rules = rules
        self._database = database
        self._inventory = inventory
        self._past = past
        self._watermarks = watermarks
        self._revise = revise
        self._clock = clock
        self._absences = absences
        self._tries: dict[tuple[GatewayRef, str, Kind], int] = {}
        self._learnt = frozenset(rule for rule, watcher in rules.watchers.items() if is_learnt(watcher.rule))
        self._keep_at = 0

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            busy = False
            try:
                await self.keep()
                busy = await self.look()
                failing = False
            except StoreUnavailable as error:
                if not failing:
                    log.error("late readings wait to be looked at", error=str(error))
                failing = True
            await asyncio.sleep(YIELD_S if busy else LOOK_S)

    async def keep(self) -> None:
        """Keeps states from which late readings may be reviewed, if it is time to. Raises ``StoreUnavailable``."""
        now = self._clock()
        if self._learnt and now >= self._keep_at:
            self._keep_at = now + KEEP_EVERY_US
            after: Key | None = None
            while True:
                keep = partial(baselines.keep, rules=self._learnt, now=now, after=after)
                if (after := await self._database.write(keep)) is None:
                    break

    async def look(self) -> bool:
        """Looks at what came late of one device, if any is ready; whether there was one. Raises ``StoreUnavailable``."""
        waiting = await self._database.read(lambda connection: late.waiting(connection, MAX_WAITING))
        if not waiting:
            return False
        marks, now = await self._watermarks(), self._clock()
        one = next((one for one in waiting if is_ready(one, marks, now)), None)
        if one is None:
            return False
        rest = await self._look_at(one)
        place = one[:3]
        self._tries[place] = self._tries.get(place, 0) + 1
        if rest and self._tries[place] < TRIES:
            return False
        if rest:
            log.warning("late readings change nothing: newer ones come too fast", gateway=str(one.ref), device=one.device)
        del self._tries[place]
        await self._database.write(lambda connection: late.settle(connection, one))
        return True

    async def _look_at(self, one: Lateness) -> list[Reviewed]:
        """What could not be revised yet."""
        if not self._past.is_exact:
            return []
        try:
            await self._absences.look_at(one)
            reviews = [found for question in await self._questions(one) for found in await self._review(one, question)]
        except TooMuch as error:
            log.warning(
                "late readings change nothing: too much to read", gateway=str(one.ref), device=one.device, error=str(error)
            )
            return []
        rest = await self._revise(reviews, self._clock())
        learnt = {one.course.key: one.since for one in reviews if one.course.watcher.rule.id in self._learnt and one not in rest}
        if learnt:
            await self._database.write(lambda connection: _overtaken(connection, learnt))
        return rest

    async def _questions(self, one: Lateness) -> list[_Question]:
        """What there is to review: rules that name the same subject together."""
        device, zone = self._inventory.find(one.ref, one.device), self._inventory.zone_of(one.ref, one.device)
        subjects: dict[str, list[Watcher]] = {}
        found = []
        for watcher in self._rules.watching(one.kind, one.ref.community, one.device, device, zone):
            subject = watcher.subject(one.ref.gateway, one.device, zone)
            if lookback_us(watcher.rule) is not None:
                subjects.setdefault(subject, []).append(watcher)
            elif states := await self._kept(one, subject, watcher):
                start = min(at for at, _ in states.values()) + 1
                if self._is_within(one, start):
                    found.append(_Question(subject, [watcher], start, {key: state for key, (_, state) in states.items()}))
        for subject, watchers in subjects.items():
            starts = [(watcher, await self._start(one, subject, watcher)) for watcher in watchers]
            kept = [(watcher, start) for watcher, start in starts if self._is_within(one, start)]
            if kept:
                found.append(_Question(subject, [watcher for watcher, _ in kept], min(start for _, start in kept)))
        return found

    async def _kept(self, one: Lateness, subject: str, watcher: Watcher) -> Mapping[Key, tuple[int, Judged]]:
        """The states that were kept of a rule before the late readings, and before any alert that stood then."""
        key, reopen = Key(watcher.rule.id, one.ref.community, subject), micros(watcher.rule.reopen_s)

        def newest(connection: sa.Connection) -> Mapping[Key, tuple[int, Judged]]:
            return baselines.find(connection, key, quiet_before(connection, key, one.earliest, 0, reopen))

        return await self._database.read(newest)

    async def _start(self, one: Lateness, subject: str, watcher: Watcher) -> int:
        rule, back = watcher.rule, lookback_us(watcher.rule) or 0
        key = Key(rule.id, one.ref.community, subject)
        start = one.earliest - reach_us(rule) - back
        return await self._database.read(lambda connection: quiet_before(connection, key, start, back, micros(rule.reopen_s)))

    def _is_within(self, one: Lateness, start: int) -> bool:
        return one.earliest - start <= MAX_BACK_US and self._past.is_kept(one.kind, start)

    async def _review(self, one: Lateness, question: _Question) -> list[Reviewed]:
        """Reads the past of all that the subject hears and runs the rules over it."""
        only = {watcher.rule.id for watcher in question.watchers}
        metrics = frozenset[str]().union(*(watcher.machine(one.ref.community).metrics for watcher in question.watchers))
        review = Review(self._rules, self._inventory, only, question.subject, question.states)
        heard = await self._heard(members(self._inventory, question.watchers[0].rule, *one[:2]), metrics, question.start)
        async for _ in at_leisure(review, heard):
            pass
        return [
            Reviewed(course, one.earliest - reach_us(course.watcher.rule), one.known_at, self._is_of_life(course.watcher))
            for key, course in review.courses.items()
            if course.seen >= one.earliest and (not question.states or key in question.states)
        ]

    def _is_of_life(self, watcher: Watcher) -> bool:
        kind = self._rules.kinds.get(watcher.rule.kind)
        return kind is not None and kind.life_safety

    async def _heard(self, members: Iterable[tuple[GatewayRef, str]], metrics: Iterable[str], start: int) -> list[Heard]:
        """In the order in which the rules judge: by instant, then device."""
        found: list[Heard] = []
        rows = MAX_ROWS
        for ref, device in members:
            found += await self._past.last_words(ref, device, metrics, start)
            asked = Asked((ref.community,), start, self._clock() + AHEAD_US, ref.gateway, device, most_rows=rows)
            async for page in self._past.readings(asked):
                found += page
                rows -= sum(len(one.reading.values) for one in page)
                await asyncio.sleep(YIELD_S)
        return sorted(found, key=lambda one: (one.reading.at, one.reading.device))


def _overtaken(connection: sa.Connection, learnt: Mapping[Key, int]) -> None:
    for key, since in learnt.items():
        baselines.overtaken(connection, key, since)


def members(inventory: Inventory, rule: Rule, ref: GatewayRef, device: str) -> list[tuple[GatewayRef, str]]:
    """Whose readings the subject of a device hears, by a rule."""
    if rule.subject == "device":
        return [(ref, device)]
    zone = inventory.zone_of(ref, device)
    there = inventory.inventory(ref.community)
    found = {(other, one.id) for other, one in there if rule.subject == "community" or one.zone == zone}
    return sorted(found | {(ref, device)})


def is_ready(one: Lateness, marks: Mapping[Stream, int], now: int) -> bool:
    """Whether the store holds what was noted, and nothing more seems to be on its way; after a day nobody waits any longer."""
    settled = now - one.known_at >= SETTLED_US or now - one.first_known_at >= PATIENCE_US
    stored = all(marks.get(stream, 0) >= seq for stream, seq in one.streams.items())
    return settled and (stored or now - one.known_at >= GIVEN_UP_US)
