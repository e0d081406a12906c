"""The engine's promises: one transaction, watermarks, isolation, timers, restarts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from alerts_world import REF, Centre, Feed, device, instant, reading, rules_of, seconds

from ingest.alerts import Alert, AlertState, Rules
from ingest.alerts.machine import Sample
from ingest.alerts.tables import journal, rule_state
from ingest.database import Database, metadata
from telemetry.identity import Scope
from telemetry.metric import Kind
from telemetry.quality import Quality

pytestmark = pytest.mark.both_databases

RULES = """
rules:
  - id: held_open
    kind: door_held_open
    family: access
    colour: yellow
    title: {zh: 开门超时, en: Held open}
    text: {zh: "{place} {seconds} 秒", en: "{place} for {seconds} s"}
    applies_to: {kinds: [access]}
    when: {type: duration, where: {door_open: true}, for_s: 10}
  - id: sump_high
    kind: sump_high
    family: environment
    colour: yellow
    title: {zh: 高水位, en: High water}
    text: {zh: "{place} {value} {unit}", en: "{place} at {value} {unit}, limit {limit} {unit}"}
    applies_to: {kinds: [environment]}
    when: {type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0, for_s: 3}
  - id: leak
    kind: water_leak
    family: environment
    colour: yellow
    title: {zh: 水浸, en: Leak}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [safety]}
    when: {type: duration, where: {water_leak: true}}
    reopen_s: 30
  - id: lane
    kind: fire_lane_occupied
    family: camera
    colour: yellow
    title: {zh: 占用, en: Occupied}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [camera]}
    discriminator: object
    when: {type: duration, where: {label: car}, for_s: 5}
  - id: seen_often
    kind: loitering
    family: camera
    colour: blue
    title: {zh: 徘徊, en: Seen often}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [camera]}
    discriminator: object
    when: {type: count, where: {label: person}, count: 9, within_s: 60}
"""

DEVICES = (
    device("door", Kind.ACCESS, "lobby"),
    device("sump", Kind.ENVIRONMENT),
    device("leak", Kind.SAFETY),
    device("lane", Kind.CAMERA),
)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return rules_of(tmp_path, RULES)


@pytest.fixture
async def centre(tmp_path: Path, rules: Rules) -> AsyncIterator[Centre]:
    centre = Centre(tmp_path, rules, DEVICES)
    await centre.engine.open()
    yield centre
    centre.close()


def wet(at_s: float, is_wet: bool = True) -> Any:
    return reading(at_s, "leak", Kind.SAFETY, {"water_leak": is_wet})


def opened(at_s: float, is_open: bool = True) -> Any:
    return reading(at_s, "door", Kind.ACCESS, {"door_open": is_open})


async def kept(centre: Centre, feed: Feed, at_s: float = 600) -> list[tuple[str, str]]:
    """Subject and discriminator of the states that are written down when their readings are on the trail no more."""
    await centre.engine.take([feed.batch(lane="bulk")], instant(at_s))
    names = sa.select(rule_state.c.subject, rule_state.c.discriminator)
    rows = await centre.database.read(lambda connection: connection.execute(names).all())
    return [(row.subject, row.discriminator) for row in rows]


async def only(centre: Centre) -> Alert:
    (alert,) = await centre.all()
    return alert


async def test_an_alert_carries_its_words_its_place_and_what_was_measured(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(reading(0, "sump", Kind.ENVIRONMENT, {"level": 1.31})))
    await centre.take(feed.batch(reading(3, "sump", Kind.ENVIRONMENT, {"level": 1.38})))
    alert = await only(centre)
    assert (alert.text.zh, alert.text.en) == ("sump处 1.31 m", "the sump at 1.31 m, limit 1.2 m")
    assert (alert.place.en, alert.device, alert.gateway, alert.community) == ("the sump", "sump", *reversed(REF))
    assert (alert.value, alert.limit, alert.metric, alert.unit) == (1.31, 1.2, "level", "m")
    assert (alert.kind, alert.family, alert.colour, alert.state) == ("sump_high", "environment", "yellow", "open")


async def test_a_batch_at_or_below_its_watermark_changes_nothing(centre: Centre) -> None:
    feed = Feed()
    first, second = feed.batch(wet(0)), feed.batch(wet(1, False))
    await centre.take(first, second)
    before = await only(centre)
    await centre.take(first)
    await centre.restart()
    await centre.take(first, second)
    assert await only(centre) == before
    assert await centre.engine.watermarks() == {first.stream: 2}


async def test_a_batch_without_readings_moves_the_watermark(centre: Centre) -> None:
    empty = Feed().batch()
    await centre.take(empty)
    assert await centre.engine.watermarks() == {empty.stream: 1}


async def test_advance_passes_over_what_will_never_come_and_is_durable(centre: Centre) -> None:
    feed = Feed()
    poisoned, sound = feed.batch(wet(0)), feed.batch(wet(1))
    await centre.engine.advance(poisoned.stream, 1)
    await centre.engine.advance(poisoned.stream, 0)
    await centre.restart()
    assert await centre.engine.watermarks() == {poisoned.stream: 1}
    await centre.take(poisoned)
    assert await centre.all() == []
    await centre.take(sound)
    assert (await only(centre)).opened_at == instant(1)


async def test_readings_of_one_take_are_judged_in_the_order_of_their_instants(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(wet(9, False), wet(4)))
    alert = await only(centre)
    assert (seconds(alert.opened_at), seconds(alert.cleared_at), alert.state) == (4.0, 9.0, AlertState.CLEARED)


class Failing(Database):
    """A disk that is full at one commit: the transaction is rolled back by an error in it."""

    fail = False

    async def write(self, change: Callable[[sa.Connection], Any]) -> Any:
        def then_fail(connection: sa.Connection) -> Any:
            change(connection)
            raise OSError("no space left on device")

        failing, self.fail = self.fail, False
        return await super().write(then_fail if failing else change)


async def test_when_the_commit_fails_nothing_has_changed_and_the_same_batch_may_come_again(tmp_path: Path, rules: Rules) -> None:
    centre = Centre(tmp_path, rules, DEVICES)
    centre.database.close()
    centre.database = database = Failing(tmp_path / "centre.db")
    await centre.restart()
    batch = Feed().batch(opened(0), opened(30, False))
    database.fail = True
    with pytest.raises(OSError, match="no space"):
        await centre.take(batch)
    assert await centre.engine.watermarks() == {}
    await centre.take(batch)
    found = await database.read(lambda connection: connection.execute(sa.select(journal.c.transition)).scalars().all())
    database.close()
    assert found == ["opened", "cleared"]


async def test_a_take_that_is_cancelled_while_it_commits_is_not_evaluated_twice(centre: Centre) -> None:
    feed = Feed()
    batch = feed.batch(wet(0))
    task = asyncio.create_task(centre.take(batch))
    while not centre.database._writer._work_queue.qsize() and not task.done():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await centre.take(batch)
    assert (await only(centre)).count == 1


async def test_a_rule_that_raises_an_error_is_counted_and_the_others_go_on(centre: Centre) -> None:
    class Broken:
        initial = None
        metrics = frozenset(("door_open",))

        def advance(self, state: None, sample: Sample) -> Any:
            raise ZeroDivisionError

    centre.rules.watchers["held_open"].__dict__["_machine"] = Broken()
    await centre.take(Feed().batch(opened(0), wet(1), opened(2)))
    assert centre.engine.failures == 2
    assert (await only(centre)).rule == "leak"


async def test_a_tick_fires_a_timer_with_the_time_at_which_it_was_due(centre: Centre) -> None:
    await centre.take(Feed().batch(opened(0)))
    await centre.tick(10.05)
    assert await centre.all() == []
    await centre.tick(14)
    assert seconds((await only(centre)).opened_at) == 10.0
    assert centre.changes == 1


async def test_a_timer_waits_while_its_gateway_is_late(centre: Centre) -> None:
    """What came an hour late may be followed by what ended it: the timer has to wait as long for it."""
    feed = Feed()
    late_us = 3_600_000_000
    await centre.take(feed.batch(opened(0), delay_us=late_us))
    await centre.tick(3605)
    assert await centre.all() == []
    await centre.take(feed.batch(opened(5, False), delay_us=late_us))
    await centre.tick(3700)
    assert await centre.all() == []


async def test_a_device_whose_clock_is_wrong_gets_its_full_time(centre: Centre) -> None:
    """The door's clock is 30 s behind; the gateway's own is right and says so by its bulk readings."""
    feed = Feed()
    await centre.take(feed.batch(opened(0), delay_us=30_000_000))
    await centre.take(feed.batch(reading(31, "meter", Kind.ENERGY, {"frequency": 50.0})))
    await centre.tick(35)
    assert await centre.all() == []
    await centre.tick(40.2)
    assert seconds((await only(centre)).opened_at) == 10.0


async def test_a_device_whose_clock_is_ahead_does_not_hold_its_timer_back(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(30), delay_us=-30_000_000))
    await centre.tick(9)
    assert await centre.all() == []
    await centre.tick(11)
    assert seconds((await only(centre)).opened_at) == 40.0


async def test_a_timer_of_the_bulk_lane_waits_for_the_batch_that_may_still_be_filled(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(reading(0, "sump", Kind.ENVIRONMENT, {"level": 1.5})))
    await centre.tick(4)
    assert await centre.all() == []
    await centre.take(feed.batch(reading(4, "other", Kind.ENERGY, {"frequency": 50.0})))
    await centre.tick(4.2)
    assert seconds((await only(centre)).opened_at) == 3.0


async def test_after_a_start_timers_wait_for_their_gateways_first_word(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(0)))
    await centre.restart()
    await centre.tick(100)
    await centre.tick(159)
    assert await centre.all() == []
    await centre.take(feed.batch(opened(4, False)))
    await centre.tick(200)
    assert await centre.all() == []


async def test_after_a_start_a_gateway_that_stays_silent_is_judged_by_what_was_known(centre: Centre) -> None:
    await centre.take(Feed().batch(opened(0)))
    await centre.restart()
    await centre.tick(100)
    await centre.tick(160)
    assert seconds((await only(centre)).opened_at) == 10.0


async def test_raised_again_within_reopen_it_is_the_same_episode_and_after_it_another(centre: Centre) -> None:
    feed = Feed()
    for at_s, is_wet in ((0, True), (10, False), (39, True), (50, False), (80, True)):
        await centre.take(feed.batch(wet(at_s, is_wet)))
    newest, first = await centre.all()
    assert (seconds(first.opened_at), seconds(first.cleared_at), first.count, first.state) == (0.0, 50.0, 2, AlertState.CLEARED)
    assert (seconds(newest.opened_at), newest.count) == (80.0, 1)


async def test_an_episode_closed_by_a_person_is_never_reopened(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(wet(0)), feed.batch(wet(10, False)))
    await centre.alerts.ack(Scope(["41"]), (await only(centre)).id, "王", "", instant(12))
    await centre.take(feed.batch(wet(15)))
    newest, first = await centre.all()
    assert (first.state, newest.state, seconds(newest.opened_at)) == (AlertState.CLOSED, AlertState.OPEN, 15.0)


async def test_the_id_follows_from_what_was_read(tmp_path: Path, rules: Rules) -> None:
    ids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        centre = Centre(tmp_path / name, rules, DEVICES)
        await centre.engine.open()
        await centre.take(Feed().batch(wet(7)))
        ids.append((await only(centre)).id)
        centre.close()
    assert ids[0] == ids[1]


async def test_the_episodes_of_a_rule_that_is_gone_are_cleared(centre: Centre) -> None:
    await centre.take(Feed().batch(wet(0)))
    centre.rules = Rules(one for one in centre.rules.watchers.values() if one.rule.id != "leak")
    await centre.restart()
    await centre.tick(100)
    alert = await only(centre)
    assert (alert.state, seconds(alert.cleared_at)) == (AlertState.CLEARED, 100.0)


async def test_the_states_of_objects_that_went_a_day_ago_are_forgotten_and_no_others(centre: Centre) -> None:
    day = 24 * 3600
    feed = Feed()
    parked = reading(0, "lane", Kind.CAMERA, {"event": "appeared", "object": "parked", "label": "car"})
    left = reading(1, "lane", Kind.CAMERA, {"event": "gone", "object": "left", "label": "person"})
    await centre.take(feed.batch(parked, left, opened(2)))
    assert ("gw-test-1/lane", "left") in await kept(centre, feed)
    await centre.tick(day + 3)
    assert sorted(await kept(centre, feed, day + 600)) == [("gw-test-1/door", ""), ("gw-test-1/lane", "parked")]


async def test_a_state_is_written_once_in_a_while_and_follows_what_was_heard_after_it(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(0)))
    names = sa.select(sa.func.count()).select_from(rule_state)
    assert await centre.database.read(lambda connection: connection.execute(names).scalar_one()) == 0
    await centre.restart()
    await centre.take(feed.batch(opened(10)))
    assert seconds((await only(centre)).opened_at) == 10.0


async def test_the_names_of_a_gateways_devices_are_written_when_there_is_a_new_one(centre: Centre) -> None:
    feed, table = Feed(), metadata.tables["alert_presence"]
    at = iter(range(100))

    async def written(*devices: str) -> bool:
        """Whether their readings made somebody write down names."""
        names = table.c.part == "names"
        await centre.database.write(lambda connection: connection.execute(table.delete().where(names)))
        await centre.take(feed.batch(*(reading(next(at), name, Kind.SAFETY, {"water_leak": False}) for name in devices)))
        count = sa.select(sa.func.count()).select_from(table).where(names)
        return bool(await centre.database.read(lambda connection: connection.scalar(count)))

    assert [await written(*devices) for devices in (["leak"], ["leak"], ["leak", "door"], ["door"])] == [True, False, True, False]


def rule(name: str, kind: str, when: str, subject: str = "device") -> str:
    return f"""  - id: {name}
    kind: test
    family: environment
    colour: yellow
    title: {{zh: 试, en: Test}}
    text: {{zh: "{{place}}", en: "{{place}}"}}
    applies_to: {{kinds: [{kind}]}}
    subject: {subject}
    when: {when}
"""


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_too_late_for_a_rule_is_so_after_a_restart_though_another_took_it(tmp_path: Path, restarted: bool) -> None:
    lasting = rule("lasting", "safety", "{type: duration, where: {water_leak: true}, for_s: 60}")
    again = rule("again", "safety", "{type: count, where: {water_leak: true}, count: 3, within_s: 600}")
    centre, feed = Centre(tmp_path, rules_of(tmp_path, f"rules:\n{lasting}{again}"), [device("leak", Kind.SAFETY)]), Feed()
    await centre.engine.open()
    await centre.take(feed.batch(wet(10, False)))
    await centre.take(feed.batch(wet(5)))
    if restarted:
        await centre.restart()
    await centre.tick(69)
    await centre.take(feed.batch(wet(70, False)))
    await centre.tick(80)
    assert await centre.all() == []
    centre.close()


@pytest.mark.parametrize("restarted", [False, True])
async def test_after_a_restart_no_timer_waits_for_what_came_late_and_changed_nothing(tmp_path: Path, restarted: bool) -> None:
    sequence = "{type: sequence, happens: {door_open: true}, without: [{event: granted}], before_s: 10, settle_s: 3}"
    forced = rule("forced", "access", sequence, subject="zone")
    doors = [device(name, Kind.ACCESS, "lobby") for name in ("door", "other")]
    centre, feed = Centre(tmp_path, rules_of(tmp_path, f"rules:\n{forced}"), doors), Feed()
    await centre.engine.open()
    other = [reading(at_s, "other", Kind.ACCESS, {"door_open": is_open}) for at_s, is_open in ((-1, False), (102, True))]
    await centre.take(feed.batch(opened(-1, False), other[0]))
    await centre.take(feed.batch(reading(0, "door", Kind.ACCESS, {"event": "granted"}), delay_us=60_000_000))
    await centre.take(feed.batch(opened(100)), feed.batch(other[1]))
    await centre.tick(104.2)
    await centre.take(feed.batch(opened(104.3, False)))
    if restarted:
        await centre.restart()
    await centre.take(feed.batch(reading(105.5, "stranger", Kind.ACCESS, {"door_open": False})))
    await centre.tick(106)
    assert [(seconds(one.opened_at), seconds(one.cleared_at)) for one in await centre.all()] == [(100, None)]
    centre.close()


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_came_late_raised_is_over_in_its_time_after_a_restart(tmp_path: Path, restarted: bool) -> None:
    denied = rule("denied", "access", "{type: count, where: {event: denied}, count: 3, within_s: 60}")
    granted = rule("granted", "access", "{type: count, where: {event: granted}, count: 9, within_s: 60}")
    centre, feed = Centre(tmp_path, rules_of(tmp_path, f"rules:\n{denied}{granted}"), [device("door", Kind.ACCESS)]), Feed()
    await centre.engine.open()
    for at_s, event, delay_s in ((0, "denied", 0), (20, "denied", 0), (120, "granted", 0), (30, "denied", 100)):
        await centre.take(feed.batch(reading(at_s, "door", Kind.ACCESS, {"event": event}), delay_us=delay_s * 1_000_000 + 1))
    assert (await only(centre)).cleared_at is None
    if restarted:
        await centre.restart()
    await centre.take(feed.batch(reading(200, "door", Kind.ACCESS, {"event": "granted"})))
    assert seconds((await only(centre)).cleared_at) == 90
    centre.close()


async def test_a_state_that_is_as_it_began_is_not_kept(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(0, False), wet(0, False)))
    assert await kept(centre, feed) == []
    await centre.take(feed.batch(opened(1), wet(1)))
    assert sorted(await kept(centre, feed)) == [("gw-test-1/door", ""), ("gw-test-1/leak", "")]
    await centre.take(feed.batch(opened(2, False), wet(2, False)))
    assert await kept(centre, feed) == []


async def test_states_of_another_version_are_forgotten(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(0)))
    assert await kept(centre, feed)
    await centre.database.write(lambda connection: connection.execute(rule_state.update().values(version=0)))
    await centre.restart()
    await centre.take(feed.batch(reading(20, "door", Kind.ACCESS, {"door_open": True})))
    assert await centre.all() == []


async def test_every_change_is_journalled_with_when_it_was_and_when_it_was_known(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(opened(0)), feed.batch(opened(15, False)))
    rows = await centre.database.read(lambda connection: connection.execute(sa.select(journal).order_by(journal.c.seq)).all())
    assert [(row.transition, seconds(row.event_at), seconds(row.known_at), row.actor) for row in rows] == [
        ("opened", 10.0, 15.1, "machine"),
        ("cleared", 15.0, 15.1, "machine"),
    ]


async def test_profiles_zones_devices_and_communities_restrict_a_rule(tmp_path: Path) -> None:
    base = RULES.split("  - id: sump_high")[0]
    for restriction in ("profiles: [other]", "zones: [roof]", "devices: [roof-door]", 'communities: ["4101"]'):
        folder = tmp_path / restriction[:4]
        folder.mkdir()
        rules = rules_of(folder, base.replace("kinds: [access]", f"kinds: [access], {restriction}"))
        centre = Centre(folder, rules, DEVICES)
        await centre.engine.open()
        await centre.take(Feed().batch(opened(0), opened(20)))
        assert await centre.all() == [], restriction
        centre.close()


async def test_a_stranger_to_the_inventory_is_judged_by_rules_that_ask_for_no_profile(centre: Centre) -> None:
    stranger = reading(0, "unknown-leak", Kind.SAFETY, {"water_leak": True})
    await centre.take(Feed().batch(stranger))
    alert = await only(centre)
    assert (alert.device, alert.text.en) == ("unknown-leak", "unknown-leak")


async def test_what_is_bad_is_not_judged_even_when_it_carries_a_value(centre: Centre) -> None:
    await centre.take(Feed().batch(msgspec.structs.replace(wet(0), quality=Quality.BAD)))
    assert await centre.all() == []


async def test_an_absence_watches_the_kinds_it_names_and_never_a_gateway(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        """
rules:
  - id: offline
    kind: device_offline
    family: system
    colour: blue
    title: {zh: 离线, en: Offline}
    text: {zh: "{device}", en: "{device} for {seconds} s"}
    applies_to: {kinds: [environment, gateway]}
    when: {type: absence, after_s: 10}
""",
    )
    kinds = {"sump": Kind.ENVIRONMENT, "door": Kind.ACCESS, "gate": Kind.GATEWAY}
    centre = Centre(tmp_path, rules, [device(name, kind) for name, kind in kinds.items()])
    await centre.engine.open()
    feed = Feed()
    words = {Kind.ENVIRONMENT: {"level": 0.1}, Kind.ACCESS: {"door_open": False}, Kind.GATEWAY: {"unsent": 0}}
    for name, kind in (*kinds.items(), ("unknown", Kind.ENVIRONMENT)):
        await centre.take(feed.batch(reading(0, name, kind, words[kind])))
    await centre.take(feed.batch(reading(60, "gate", Kind.GATEWAY, {"unsent": 0})))
    alert = await only(centre)
    assert (alert.device, alert.text.en, alert.limit, alert.unit) == ("sump", "sump for 10 s", 10.0, "s")
    centre.close()
