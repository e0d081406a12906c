"""What stands between a rule's word and people: suppressed, planned, shelved, flapping, folded. Nothing of it loses an alert."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alerts_world import COMMUNITY, GATEWAY, Feed, Inventory, device, instant, reading, rules_of
from sqlalchemy.dialects import sqlite

from ingest.alerts import Alert, AlertEngine, AlertFilter, Alerts, Changed
from ingest.alerts.deeds import LONGEST_US, Ended, shelved
from ingest.alerts.flood import FloodWatch
from ingest.alerts.gate import Gate
from ingest.alerts.marks import Mark, uncommon
from ingest.alerts.planned import Planned, Purpose
from ingest.alerts.releases import Releases
from ingest.alerts.standing import standing_of
from ingest.alerts.tables import alert
from ingest.database import Database
from telemetry.identity import Scope
from telemetry.metric import Kind
from tests.forger import forge

pytestmark = pytest.mark.both_databases

RULES = """
rules:
  - {id: fire, kind: fire_release, family: access, colour: red, title: {zh: 消防, en: Fire}, text: {zh: 消防, en: Fire},
     applies_to: {kinds: [safety]}, when: {type: duration, where: {smoke: true}}}
  - {id: forced, kind: door_forced, family: access, colour: yellow, title: {zh: 门, en: Door}, text: {zh: 门, en: Door},
     applies_to: {kinds: [safety]}, when: {type: duration, where: {tamper: true}}}
  - {id: leak, kind: water_leak, family: environment, colour: yellow, title: {zh: 水, en: Leak}, text: {zh: 水, en: Leak},
     applies_to: {kinds: [safety]}, when: {type: duration, where: {water_leak: true}},
     stages: [{colour: red, after_s: 900}]}
  - {id: flood, kind: alarm_flood, family: system, colour: yellow, title: {zh: 风暴, en: Flood},
     text: {zh: "{value}", en: "{value}"}, applies_to: {kinds: [gateway]}, subject: community,
     when: {type: threshold, metric: alerts_10min, unit: count, raise_at: 10, clear_at: 5}}
kinds:
  - {id: fire_release, number: 12, family: access, colour: red, title: {zh: 消防, en: Fire}, handler: [FIRE], sla: {},
     file_when: {zh: 是, en: Yes}, close_when: {zh: 是, en: Yes}, inhibits: [door_forced], inhibits_within: WITHIN}
"""
EVERYONE = Scope(["41"])


class Desk:
    """An engine with all that holds alerts back, and what people heard of it."""

    def __init__(self, folder: Path, within: str = "community") -> None:
        rules = rules_of(folder, RULES.replace("WITHIN", within))
        places = [device(f"door-{n}", Kind.SAFETY, zone="west" if n else "east") for n in range(20)]
        self.database = Database(folder / "centre.db")
        self.alerts = Alerts(self.database, self.told)
        self.standing = standing_of(self.database, self.told)
        self.engine = AlertEngine(rules, self.database, Inventory(places), lambda: None, self.told)
        self.releases = Releases(self.database, Gate(rules), lambda: None, self.told)
        self.floods = FloodWatch(self.database, self.engine.observe)
        self.heard: list[tuple[str, str]] = []
        self.feed = Feed()

    def told(self, _connection: sa.Connection, changed: Changed) -> None:
        self.heard.append((changed.alert.device, changed.transition))

    async def say(self, at_s: float, number: int, **values: bool) -> None:
        arrival = self.feed.batch(reading(at_s, f"door-{number}", Kind.SAFETY, values))
        await self.engine.take([arrival], arrival.received_at)

    async def look(self, at_s: float) -> None:
        await self.engine.tick(instant(at_s))
        await self.floods.look(instant(at_s))
        await self.releases.look(instant(at_s))

    async def all(self) -> list[Alert]:
        found, _ = await self.alerts.page(EVERYONE, AlertFilter(), None, 500)
        return found

    async def of(self, number: int) -> Alert:
        return next(one for one in await self.all() if one.device == f"door-{number}")

    async def words(self, alert: Alert) -> list[str]:
        return [line.transition for line in await self.standing.chronicle.of(EVERYONE, alert.id, 100) or []]

    async def plan(self, purpose: Purpose, from_s: float, to_s: float, **where: object) -> Planned:
        one = Planned(
            id=f"{purpose.value}-1",
            purpose=purpose,
            **{"community": COMMUNITY, **where},  # type: ignore[arg-type]  # a place is text, kinds are a tuple
            starts_at=instant(from_s),
            ends_at=instant(to_s),
            by="刘工",
            reason="检修",
            made_at=instant(from_s - 1),
        )
        return await self.standing.plans.announce(one)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    await desk.engine.open()
    yield desk
    desk.database.close()


async def test_an_alert_that_follows_from_another_is_listed_and_told_only_if_it_outlives_it_by_the_grace(desk: Desk) -> None:
    await desk.say(0, 0, smoke=True)
    await desk.say(1, 1, tamper=True)
    await desk.say(1, 2, tamper=True)
    fire, door = await desk.of(0), await desk.of(1)
    assert (door.suppressed_by, door.told, fire.suppressed_by) == (fire.id, False, "")
    await desk.say(20, 2, tamper=False)
    await desk.say(30, 0, smoke=False)
    await desk.look(89)
    assert desk.heard == [("door-0", "opened"), ("door-0", "cleared")]
    await desk.look(91)
    assert desk.heard[2:] == [("door-1", "unsuppressed")]
    assert await desk.words(door) == ["opened", "unsuppressed"]
    assert ((await desk.of(1)).suppressed_by, (await desk.of(2)).suppressed_by) == ("", fire.id)
    await desk.say(120, 1, tamper=False)
    assert desk.heard[3:] == [("door-1", "cleared")]


async def test_what_was_raised_before_its_cause_or_after_the_grace_is_told_at_once(desk: Desk) -> None:
    await desk.say(0, 1, tamper=True)
    await desk.say(10, 0, smoke=True)
    await desk.say(20, 0, smoke=False)
    await desk.say(79.9, 2, tamper=True)
    await desk.say(80, 3, tamper=True)
    assert [one for one in desk.heard if one[1] == "opened"] == [("door-1", "opened"), ("door-0", "opened"), ("door-3", "opened")]


@pytest.mark.parametrize(("within", "suppressed"), [("community", True), ("zone", False), ("gateway", True)])
async def test_an_inhibitor_reaches_as_far_as_the_catalogue_says(tmp_path: Path, within: str, suppressed: bool) -> None:
    desk = Desk(tmp_path, within)
    await desk.engine.open()
    await desk.say(0, 0, smoke=True)
    await desk.say(1, 1, tamper=True)
    assert bool((await desk.of(1)).suppressed_by) is suppressed
    desk.database.close()


async def test_planned_works_suppress_what_they_bring_about_until_they_are_over_and_never_red(desk: Desk) -> None:
    works = await desk.plan(Purpose.WORKS, 0, 1000, zone="west")
    await desk.say(1, 0, water_leak=True)
    await desk.say(2, 1, water_leak=True)
    await desk.say(3, 2, smoke=True)
    assert desk.heard == [("door-0", "opened"), ("door-2", "opened")]
    assert (await desk.of(1)).suppressed_by == works.id
    await desk.look(905)
    assert ("door-1", "graded") in desk.heard, "it has turned red, which works without kinds do not cover"
    await desk.say(950, 3, water_leak=True)
    await desk.standing.plans.end(EVERYONE, Purpose.WORKS, works.id, "刘工", instant(960))
    await desk.look(961)
    assert desk.heard[-1] == ("door-3", "unsuppressed")


async def test_a_shelved_alert_stays_listed_is_quiet_and_is_told_at_the_end_if_it_still_stands(desk: Desk) -> None:
    await desk.say(0, 1, tamper=True)
    await desk.say(0, 2, tamper=True)
    for number in (1, 2):
        one = await desk.of(number)
        deed = shelved(instant(100), False, "王师傅", "闭门器待修", instant(10))
        await desk.standing.deeds.do(EVERYONE, one.id, deed, instant(10))
    await desk.say(20, 1, tamper=False)
    await desk.say(30, 1, tamper=True)
    await desk.say(40, 2, tamper=False)
    await desk.look(99)
    assert desk.heard == [("door-1", "opened"), ("door-2", "opened")]
    both = [one for one in await desk.all() if one.device == "door-1"]
    assert [one.shelf_reason for one in both] == ["闭门器待修", "闭门器待修"], "a new episode inherits the shelf"
    await desk.look(101)
    assert sorted(set(desk.heard[2:])) == [("door-1", "unshelved"), ("door-2", "unshelved")]
    assert all(one.shelved_until is None for one in await desk.all())


async def test_a_shelf_until_normal_ends_when_the_condition_does_and_the_end_is_told(desk: Desk) -> None:
    await desk.say(0, 1, tamper=True)
    one = await desk.of(1)
    deed = shelved(instant(10**6), True, "a", "b", instant(1))
    found = await desk.standing.deeds.do(EVERYONE, one.id, deed, instant(1))
    assert found is not None
    assert found.shelved_until == instant(1) + LONGEST_US, "no shelf is longer than a day"
    await desk.say(20, 1, tamper=False)
    await desk.say(30, 1, tamper=True)
    assert desk.heard == [("door-1", "opened"), ("door-1", "cleared"), ("door-1", "opened")]


async def test_shelving_is_within_the_scope_and_not_of_what_is_closed(desk: Desk) -> None:
    await desk.say(0, 1, tamper=True)
    one = await desk.of(1)
    deed = shelved(instant(100), False, "a", "b", instant(1))
    assert await desk.standing.deeds.do(Scope(["42"]), one.id, deed, instant(1)) is None
    await desk.alerts.ack(EVERYONE, one.id, "a", "", instant(2))
    await desk.say(20, 1, tamper=False)
    with pytest.raises(Ended):
        await desk.standing.deeds.do(EVERYONE, one.id, deed, instant(30))


async def test_an_alert_that_comes_and_goes_is_one_that_flaps_and_is_told_once(desk: Desk) -> None:
    for turn in range(9):
        await desk.say(20 * turn, 1, tamper=True)
        await desk.say(20 * turn + 10, 1, tamper=False)
    assert desk.heard == [("door-1", "opened"), ("door-1", "cleared")] * 5 + [("door-1", "flapping")]
    newest = await desk.of(1)
    assert (newest.flapping, newest.count, newest.opened_at) == (True, 4, instant(100))
    await desk.look(700)
    assert (await desk.of(1)).flapping, "raised at 100 to 160: four times within the last ten minutes"
    await desk.look(741)
    assert desk.heard[11:] == [("door-1", "steady")]
    await desk.say(750, 1, tamper=True)
    assert desk.heard[12:] == [("door-1", "opened")]


async def test_a_flood_is_told_once_nothing_of_it_is_lost_and_what_outlives_it_is_told(desk: Desk) -> None:
    for number in range(15):
        await desk.say(number, number, water_leak=True)
    await desk.say(16, 16, smoke=True)
    await desk.look(17)
    flood = next(one for one in await desk.all() if one.kind == "alarm_flood")
    assert flood.value == 16
    opened = [device for device, word in desk.heard if word == "opened"]
    assert opened == [*(f"door-{n}" for n in range(10)), "door-16", GATEWAY], "red is told whatever the flood"
    assert {one.collapsed_into for one in await desk.all() if one.kind != "alarm_flood"} == {flood.id}
    await desk.say(18, 18, water_leak=True)
    assert (await desk.of(18)).collapsed_into == flood.id
    await desk.say(19, 14, water_leak=False)
    await desk.look(618)
    assert desk.heard[12:] == [(GATEWAY, "cleared"), *((f"door-{n}", "unfolded") for n in (10, 11, 12, 13, 18))]
    assert (await desk.of(14)).folded, "over meanwhile, and nobody had heard of it"


async def test_nine_alerts_are_no_flood(desk: Desk) -> None:
    for number in range(9):
        await desk.say(number, number, water_leak=True)
    await desk.look(10)
    assert all(not one.collapsed_into for one in await desk.all())
    assert len(await desk.all()) == 9


async def test_what_is_raised_in_a_drill_says_so_and_what_is_raised_after_it_is_another_alert(desk: Desk) -> None:
    await desk.plan(Purpose.DRILL, 0, 100, device="door-1")
    await desk.say(1, 1, smoke=True)
    await desk.say(1, 2, smoke=True)
    assert [(await desk.of(n)).drill for n in (1, 2)] == [True, False]
    await desk.say(50, 1, smoke=False)
    await desk.say(100, 1, smoke=True)
    assert [one.drill for one in await desk.all() if one.device == "door-1"] == [False, True]


async def test_what_still_stands_a_minute_after_a_drill_is_told_as_no_drill(desk: Desk) -> None:
    await desk.plan(Purpose.DRILL, 0, 100, device="door-1")
    await desk.say(99, 1, smoke=True)
    await desk.look(159)
    assert desk.heard == [("door-1", "opened")]
    await desk.look(161)
    assert desk.heard == [("door-1", "opened"), ("door-1", "drill over")]
    assert not (await desk.of(1)).drill


async def test_the_journal_shows_it_when_a_line_or_an_alert_is_rewritten(desk: Desk) -> None:
    await desk.say(0, 1, tamper=True)
    await desk.say(1, 1, tamper=False)
    whole = await desk.standing.chronicle.check()
    assert (whole.lines, whole.broken) == (2, None)
    for statement, why in (
        ("UPDATE alert SET colour = 'blue'", "row"),
        ("UPDATE alert SET colour = 'yellow'", ""),
        ("UPDATE alert_journal SET actor = 'me' WHERE seq = 1", "changed"),
        ("DELETE FROM alert_journal WHERE seq = 1", "missing"),
    ):
        await desk.database.write(lambda connection, statement=statement: forge(connection, sa.text(statement)))  # type: ignore[misc]
        broken = (await desk.standing.chronicle.check()).broken
        assert (broken is None) is not bool(why)
        assert broken is None or why in broken.reason


@pytest.mark.parametrize(
    ("few", "index"),
    [
        (tuple(uncommon({Mark.SHELVED}, False, None)), "alert_held"),
        (tuple(uncommon((), True, None)), "alert_drills"),
        (tuple(uncommon((), False, "6f0e5a41c2b7d9a08e13")), "alert_collapsed"),
    ],
)
async def test_what_few_alerts_are_is_found_by_an_index_of_its_own(
    tmp_path: Path, few: tuple[sa.ColumnElement[bool], ...], index: str
) -> None:
    database = Database(tmp_path / "centre.db")
    wanted = sa.select(alert.c.id).where(*few, alert.c.community.startswith("41"))
    told = str(wanted.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    plan = await database.read(lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {told}").all())
    database.close()
    assert index in str(plan)
