"""Looks again at absences of a device whose readings came late, by what the telemetry store then holds of it and its gateway.

An absence that is over is a matter of the table alone: no state goes by it, and one that stands is judged live. What becomes of
them is decided within the transaction that changes them: one that was raised while the past was read is not taken back.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts import absence, revision
from ingest.alerts.absence import UNHEARD_US
from ingest.alerts.absence_review import CLOCK, Lived, Span, absences, moves_of, put_right, span_of
from ingest.alerts.episode import AlertState, Episode, Key
from ingest.alerts.gate import Gate
from ingest.alerts.late import Lateness
from ingest.alerts.past import AHEAD_US, MAX_BACK_US, Asked, Past
from ingest.alerts.review import MARGIN_US, Heard, Places
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.tables import Told, episode_of, untold
from ingest.alerts.tables import alert as table
from ingest.alerts.when import Absence, micros
from ingest.database import Database
from telemetry.metric import Kind
from telemetry.presence import Device


class _Found(NamedTuple):
    """As ``Reviewed`` says it."""

    course: Lived
    since: int
    came_at: int
    life_safety: bool


class AbsenceReviser:
    """``told`` hears of what people shall hear within its transaction, ``on_change`` is called after it; ``clock`` says UTC
    microseconds, the wall's."""

    def __init__(
        self,
        rules: Rules,
        database: Database,
        places: Places,
        past: Past,
        clock: Callable[[], int],
        on_change: Callable[[], None],
        told: Told = untold,
    ) -> None:
        self._rules = rules
        self._database = database
        self._places = places
        self._past = past
        self._clock = clock
        self._on_change = on_change
        self._told = told
        self._gate = Gate(rules)

    async def look_at(self, one: Lateness) -> None:
        """Raises ``StoreUnavailable``, and ``TooMuch`` when there is too much to read."""
        device = self._places.find(one.ref, one.device)
        if device is not None and device.kind is not Kind.GATEWAY:
            for watcher in self._rules.missing(one.ref.community, device):
                if isinstance(watcher.rule.when, Absence):
                    await self._look_at(one, watcher, watcher.rule.when, device)

    async def _look_at(self, one: Lateness, watcher: Watcher, spec: Absence, device: Device) -> None:
        key = Key(watcher.rule.id, one.ref.community, f"{one.ref.gateway}/{one.device}")
        start = await self._start(one, key, watcher, longest_us(spec, device))
        if one.earliest - start > MAX_BACK_US or not self._past.is_kept(one.kind, start):
            return
        heard = await self._heard(one, start)
        there = absences(spec, one.ref, device, heard)
        good = [it.reading.at for it in heard if it.reading.device == one.device and absence.is_good(it.reading)]

        def change(connection: sa.Connection) -> int | None:
            known = _known(connection, key, start)
            if any(episode.alert.count > 1 for episode in known):
                return None  # when it was over in between is not known
            right = put_right(there, known, good, (one.earliest, one.newest))
            changed = set(right) ^ set(map(span_of, known))
            if not changed:
                return None
            lived = Lived(key, watcher, moves_of(key, watcher, one.ref, device, right, self._places))
            return self._settled(
                connection, _Found(lived, min(one.earliest, _first(changed)), one.known_at, self._is_of_life(watcher))
            )

        if await self._database.write(change):
            self._on_change()

    async def _start(self, one: Lateness, key: Key, watcher: Watcher, longest: int) -> int:
        """From when on device and gateway are heard again: by the late readings every silence before has come to its end."""
        back, reopen = 2 * longest + UNHEARD_US + MARGIN_US, micros(watcher.rule.reopen_s)
        start = one.earliest - back
        return await self._database.read(lambda connection: revision.quiet_before(connection, key, start, back, reopen))

    async def _heard(self, one: Lateness, start: int) -> Sequence[Heard]:
        """In the order of their instants, up to now: an absence whose end is not read would stand."""
        end, ref = self._clock() + AHEAD_US, one.ref
        found: list[Heard] = []
        for device, metric in ((one.device, None), (ref.gateway, CLOCK)):
            asked = Asked((ref.community,), start, end, ref.gateway, device, metric=metric)
            async for page in self._past.readings(asked):
                found += page
        return sorted(found, key=lambda it: (it.reading.at, it.reading.device))

    def _settled(self, connection: sa.Connection, found: _Found) -> int | None:
        known = revision.known_of(connection, found)
        return revision.settled(connection, found, known, self._clock(), self._gate, self._told)

    def _is_of_life(self, watcher: Watcher) -> bool:
        kind = self._rules.kinds.get(watcher.rule.kind)
        return kind is not None and kind.life_safety


def longest_us(spec: Absence, device: Device) -> int:
    """The longest silence that it may take to raise one."""
    return micros(max(absence.limit_s(spec, device.interval_s) or 0.0, spec.failing_s or 0.0))


def _first(spans: set[Span]) -> int:
    return min(span.opened_at for span in spans)


def _known(connection: sa.Connection, key: Key, start: int) -> list[Episode]:
    """The alerts of a rule at a device that stood after ``start`` and were not withdrawn."""
    same = [table.c[name] == value for name, value in key._asdict().items()]
    since = sa.or_(table.c.over_at.is_(None), table.c.over_at >= start)
    wanted = sa.select(table).where(*same, since, table.c.state != AlertState.WITHDRAWN.value).order_by(table.c.opened_at)
    return [episode_of(row)[1] for row in connection.execute(wanted).mappings()]
