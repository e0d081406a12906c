"""Absences are put right by what comes late: when the device was seen again, those that never were, those that nobody saw."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from alerts_world import REF, Feed, Inventory, device, instant, reading, rules_of, seconds

from ingest.alerts import AlertEngine, Changed
from ingest.alerts import late as lateness
from ingest.alerts.absence_review import Span, absences
from ingest.alerts.absence_reviser import AbsenceReviser
from ingest.alerts.past import Asked, Past
from ingest.alerts.review import Heard
from ingest.alerts.reviser import Reviser
from ingest.alerts.tables import alert
from ingest.alerts.when import Absence
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import EmbeddedStore
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

RULES = """
rules:
  - id: silent
    kind: device_offline
    family: system
    colour: blue
    title: {zh: 离线, en: Offline}
    text: {zh: "{device}", en: "{device}"}
    applies_to: {kinds: [environment]}
    when: {type: absence, after_s: 900, failing_s: 120}
"""
SPEC = Absence(after_s=900, failing_s=120)
GARAGE = device("garage", Kind.ENVIRONMENT, "cellar")
BEGAN = -5_000
"""When the gateway's agent began."""


def warm(at: float, name: str = "garage") -> Reading:
    return reading(at, name, Kind.ENVIRONMENT, {"temperature": 20.0})


def unanswered(at: float) -> Reading:
    return reading(at, "garage", Kind.ENVIRONMENT, {}, said="silent")


def clock(first: int, last: int, began: int = BEGAN, every: int = 60) -> list[Reading]:
    """What a gateway says of itself once a minute."""
    return [reading(at + 0.5, REF.gateway, Kind.GATEWAY, {"uptime": at + 0.5 - began}) for at in range(first, last, every)]


class World:
    """A centre with one device behind one gateway."""

    def __init__(self, folder: Path, store: EmbeddedStore) -> None:
        self.database = Database(folder / "centre.db")
        self.now = instant(0)
        self.told: list[tuple[str, str]] = []
        self._store = store
        self._feed = Feed()
        rules, inventory, past = rules_of(folder, RULES), _There([GARAGE]), _Read(store, self)
        self.meanwhile: Sequence[Reading] = ()
        """What is live while the past is read."""
        self.engine = AlertEngine(rules, self.database, inventory, lambda: None, self._hear)
        mine = AbsenceReviser(rules, self.database, inventory, past, self.clock, lambda: None, self._hear)
        self._reviser = Reviser(rules, self.database, inventory, past, store.watermarks, self.engine.revise, self.clock, mine)

    def clock(self) -> int:
        return self.now

    def _hear(self, connection: sa.Connection, changed: Changed) -> None:
        self.told.append((changed.transition, changed.alert.origin))

    async def live(self, *readings: Reading) -> None:
        """In time, each in a batch of its own."""
        for one in sorted(readings, key=lambda one: one.at):
            await self._take([self._feed.batch(one)], one.at + 100_000)

    async def outage(self) -> None:
        """Over: what is sealed from now on is of a new epoch."""
        self._feed.epoch += 1

    async def backlog(self, *readings: Reading) -> None:
        """What was sealed before the newest epoch began."""
        self._feed.epoch -= 1
        await self._take([self._feed.batch(*sorted(readings, key=lambda one: one.at))], self.now)
        self._feed.epoch += 1

    async def look(self) -> None:
        self.now += lateness.LIVE_US
        while await self._reviser.look():
            pass

    async def absences(self) -> list[tuple[float | None, float | None, str, str]]:
        columns = (alert.c.opened_at, alert.c.over_at, alert.c.state, alert.c.origin)
        rows = await self.database.read(lambda one: one.execute(sa.select(*columns).order_by(alert.c.opened_at)).all())
        return [(seconds(since), seconds(until), state, origin) for since, until, state, origin in rows]

    async def _take(self, arrivals: Sequence[Arrival], at: int) -> None:
        self.now = max(self.now, at)
        arrivals = [one._replace(received_at=Micros(self.now)) for one in arrivals]
        await self.engine.take(arrivals, self.now)
        await self._store.write(arrivals)


class _Read(Past):
    def __init__(self, store: EmbeddedStore, world: World) -> None:
        super().__init__(store, lambda kind: 0)
        self._world = world

    async def readings(self, asked: Asked) -> AsyncIterator[list[Heard]]:
        async for page in super().readings(asked):
            yield page
        meanwhile, self._world.meanwhile = self._world.meanwhile, ()
        await self._world.live(*meanwhile)


class _There(Inventory):
    def inventory(self, community: str) -> Sequence[tuple[Any, Any]]:
        return [(REF, one) for one in self.devices.values()]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    found = World(tmp_path, store)
    await found.engine.open()
    yield found
    await store.close()
    found.database.close()


CUT, BACK, END = 3_000, 9_000, 12_000
"""The gateway's line is cut and comes back; the end of the story."""


async def cut_off(world: World, before: Sequence[Reading], meanwhile: Sequence[Reading], after: Sequence[Reading]) -> None:
    """``meanwhile`` comes after some of what is live again."""
    await world.live(*clock(0, CUT), *before)
    await world.outage()
    await world.live(*clock(BACK, END), *after)
    await world.backlog(*meanwhile)
    await world.look()


async def test_an_absence_ends_when_the_device_was_seen_again_behind_a_line_that_was_cut(world: World) -> None:
    await cut_off(
        world,
        [warm(0)],
        [*clock(CUT, BACK), *(warm(at) for at in range(4_000, BACK, 300))],
        [warm(at) for at in range(BACK, END, 300)],
    )
    assert await world.absences() == [(900, 4_000, "cleared", "")]
    assert [one for one, _ in world.told] == ["opened", "cleared"]


async def test_an_absence_that_nobody_saw_is_entered_closed_and_told_in_a_sum(world: World) -> None:
    talk = [*(warm(at) for at in range(CUT, 4_500, 300)), *(warm(at) for at in range(6_000, BACK, 300))]
    await cut_off(
        world, [warm(at) for at in range(0, CUT, 300)], [*clock(CUT, BACK), *talk], [warm(at) for at in range(BACK, END, 300)]
    )
    assert await world.absences() == [(4_200 + 900, 6_000, "closed", "backfill")]
    assert world.told == [("past", "backfill")]


async def test_while_the_gateway_itself_said_nothing_nothing_is_known(world: World) -> None:
    talk = [*(warm(at) for at in range(CUT, 4_500, 300)), *(warm(at) for at in range(6_000, BACK, 300))]
    word = [*clock(CUT, 4_500), *clock(5_900, BACK, began=5_900)]
    await cut_off(world, [warm(at) for at in range(0, CUT, 300)], [*word, *talk], [warm(at) for at in range(BACK, END, 300)])
    assert await world.absences() == []


async def test_a_gateway_that_began_anew_gives_its_devices_time(world: World) -> None:
    talk = [*(warm(at) for at in range(CUT, 4_500, 300)), *(warm(at) for at in range(5_500, BACK, 300))]
    word = [*clock(CUT, 4_980), *clock(4_980, BACK, began=4_975)]
    await cut_off(world, [warm(at) for at in range(0, CUT, 300)], [*word, *talk], [warm(at) for at in range(BACK, END, 300)])
    assert await world.absences() == []


async def test_a_device_that_brings_its_own_history_was_never_absent(world: World) -> None:
    await world.live(*clock(0, 3_500), warm(0), warm(3_000))
    assert await world.absences() == [(900, 3_000, "cleared", "")]
    await world.live(*(warm(at) for at in range(300, 3_000, 300)))
    await world.look()
    assert [one[2] for one in await world.absences()] == ["withdrawn"]
    assert [one for one, _ in world.told] == ["opened", "cleared", "withdrawn"]


async def test_one_that_is_raised_while_the_past_is_read_stands(world: World) -> None:
    await world.live(*clock(0, 3_500), warm(0), warm(3_000))
    await world.live(*(warm(at) for at in range(300, 3_000, 300)))
    world.meanwhile = clock(3_500, 4_000)
    await world.look()
    assert [one[:3] for one in await world.absences()] == [(900, 3_000, "withdrawn"), (3_900, None, "open")]


async def test_a_word_in_its_middle_makes_two_of_one_absence(world: World) -> None:
    await world.live(*clock(0, 5_500), warm(0), warm(5_000))
    await world.live(warm(2_000))
    await world.look()
    assert [one[:3] for one in await world.absences()] == [(900, 2_000, "cleared"), (2_900, 5_000, "closed")]


async def test_an_absence_that_still_stands_is_judged_by_the_newest_word_alone(world: World) -> None:
    await world.live(*clock(0, 6_000), warm(0), warm(1_000))
    assert await world.absences() == [(900, 1_000, "cleared", ""), (1_900, None, "open", "")]
    await world.live(warm(500))
    await world.look()
    assert [one[:3] for one in await world.absences()] == [(900, 1_000, "withdrawn"), (1_900, None, "open")]


async def test_an_absence_begins_when_the_silence_did_if_the_gateway_is_known_to_have_lived_through_it(world: World) -> None:
    meanwhile = [*clock(CUT, BACK), *(warm(at) for at in range(CUT, 8_500, 300))]
    await cut_off(world, [warm(at) for at in range(0, CUT, 300)], meanwhile, [warm(BACK + 1_500), warm(BACK + 2_300)])
    assert await world.absences() == [(8_400 + 900, BACK + 1_500, "cleared", "")]


async def test_what_late_readings_do_not_speak_of_stays_as_it_was(world: World) -> None:
    await world.live(*clock(0, 6_000), warm(0), warm(2_000), *(warm(at) for at in range(3_000, 6_000, 300)))
    before = await world.absences()
    assert before == [(900, 2_000, "cleared", ""), (2_900, 3_000, "cleared", "")]
    await world.live(warm(4_000))
    await world.look()
    assert await world.absences() == before


def test_what_a_gateway_got_no_answer_to_is_an_absence_of_its_own_time() -> None:
    said = [warm(0), *(unanswered(at) for at in range(60, 600, 60)), warm(700), *clock(0, 1_000)]
    heard = [Heard(REF, one) for one in sorted(said, key=lambda one: one.at)]
    assert absences(SPEC, REF, GARAGE, heard) == [Span(instant(60 + 120), instant(700), 120.0)]


class Silence(NamedTuple):
    name: str
    readings: list[Reading]


@pytest.mark.parametrize(
    "one",
    [
        Silence("a gap in both is of nobody", [warm(0), *clock(0, 100), warm(2_000), *clock(2_000, 2_100)]),
        Silence("fifteen minutes are not more than fifteen", [warm(0), warm(900), *clock(0, 1_000)]),
    ],
    ids=lambda one: one.name,
)
def test_a_silence_that_is_none(one: Silence) -> None:
    heard = [Heard(REF, said) for said in sorted(one.readings, key=lambda said: said.at)]
    assert absences(SPEC, REF, GARAGE, heard) == []
