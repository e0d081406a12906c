"""What people read and do: scope, filters, pages, acknowledgement, the feed of changes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alerts_world import Centre, Feed, device, instant, reading, rules_of, seconds

from ingest.alerts import AlertFilter, AlertState, Colour, Family
from ingest.alerts.ledger import retire
from ingest.alerts.rules import Rules
from ingest.alerts.statistics import By, Delay
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.paging import Cursor
from telemetry.identity import Scope
from telemetry.metric import Kind

pytestmark = pytest.mark.both_databases

RULES = """
rules:
  - id: leak
    kind: water_leak
    family: environment
    colour: yellow
    title: {zh: 水浸, en: Leak}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [safety]}
    when: {type: duration, where: {water_leak: true}}
  - id: smoke
    kind: smoke
    family: environment
    colour: red
    title: {zh: 烟, en: Smoke}
    text: {zh: "{place}", en: "{place}"}
    applies_to: {kinds: [safety]}
    when: {type: duration, where: {smoke: true}}
    latch: true
"""

EVERYONE = Scope(["41"])
ALL = AlertFilter()


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    centre = Centre(tmp_path, rules_of(tmp_path, RULES), [device(f"leak-{n}", Kind.SAFETY) for n in range(9)])
    await centre.engine.open()
    yield centre
    centre.close()


async def say(centre: Centre, feed: Feed, at_s: float, number: int, community: str = "", **values: bool) -> None:
    batch: Arrival = feed.batch(reading(at_s, f"leak-{number}", Kind.SAFETY, values))
    if community:
        batch = batch._replace(stream=batch.stream._replace(community=community))
    await centre.take(batch)


async def test_pages_are_newest_first_and_neither_skip_nor_repeat_when_alerts_come_in_between(centre: Centre) -> None:
    feed = Feed()
    for number in range(5):
        await say(centre, feed, number // 2, number, water_leak=True)
    first, after = await centre.alerts.page(EVERYONE, ALL, None, 2)
    await say(centre, feed, 100, 8, water_leak=True)
    second, then = await centre.alerts.page(EVERYONE, ALL, after, 2)
    third, end = await centre.alerts.page(EVERYONE, ALL, then, 2)
    assert [seconds(alert.opened_at) for alert in (*first, *second, *third)] == [2, 1, 1, 0, 0]
    assert len({alert.id for alert in (*first, *second, *third)}) == 5
    assert after == Cursor(first[1].opened_at, first[1].id)
    assert end is None


async def test_a_page_that_holds_exactly_the_rest_is_the_last(centre: Centre) -> None:
    feed = Feed()
    for number in range(2):
        await say(centre, feed, number, number, water_leak=True)
    found, after = await centre.alerts.page(EVERYONE, ALL, None, 2)
    assert (len(found), after) == (2, None)


@pytest.mark.parametrize(
    ("wanted", "devices"),
    [
        (AlertFilter(state=AlertState.CLEARED), ["leak-1"]),
        (AlertFilter(colour=Colour.RED), ["leak-2"]),
        (AlertFilter(family=Family.ENVIRONMENT), ["leak-2", "leak-1", "leak-0"]),
        (AlertFilter(family=Family.ACCESS), []),
        (AlertFilter(kind="smoke"), ["leak-2"]),
        (AlertFilter(device="leak-1"), ["leak-1"]),
        (AlertFilter(community="411202002001"), ["leak-2", "leak-1", "leak-0"]),
        (AlertFilter(community="411203"), []),
        (AlertFilter(since=instant(10)), ["leak-2", "leak-1"]),
        (AlertFilter(until=instant(10)), ["leak-0"]),
        (AlertFilter(since=instant(10), until=instant(20), colour=Colour.YELLOW), ["leak-1"]),
    ],
)
async def test_a_filter_leaves_what_it_names(centre: Centre, wanted: AlertFilter, devices: list[str]) -> None:
    feed = Feed()
    await say(centre, feed, 0, 0, water_leak=True)
    await say(centre, feed, 10, 1, water_leak=True)
    await say(centre, feed, 20, 2, smoke=True)
    await say(centre, feed, 30, 1, water_leak=False)
    found, _ = await centre.alerts.page(EVERYONE, wanted, None, 10)
    assert [alert.device for alert in found] == devices


async def test_nothing_outside_the_scope_is_read_counted_or_changed(centre: Centre) -> None:
    feed = Feed()
    await say(centre, feed, 0, 0, water_leak=True)
    await say(centre, feed, 5, 1, community="411203001001", water_leak=True)
    (foreign,) = [alert for alert in await centre.all() if alert.community == "411203001001"]
    for scope in (Scope(["411202"]), Scope(["411202002001"]), Scope(["4113", "411202"])):
        found, _ = await centre.alerts.page(scope, ALL, None, 10)
        assert [alert.device for alert in found] == ["leak-0"]
        assert await centre.alerts.get(scope, foreign.id) is None
        assert await centre.alerts.ack(scope, foreign.id, "x", "", instant(9)) is None
        assert [alert.device for alert in (await centre.alerts.changes(scope, 0, 10)).alerts] == ["leak-0"]
        assert await centre.alerts.counts(scope) == {("yellow", "open"): 1}
    assert await centre.alerts.get(EVERYONE, foreign.id) == foreign
    assert (await centre.alerts.page(Scope([]), ALL, None, 10))[0] == []


async def test_an_acknowledged_alert_closes_when_its_condition_is_over(centre: Centre) -> None:
    feed = Feed()
    await say(centre, feed, 0, 0, water_leak=True)
    (alert,) = await centre.all()
    acked = await centre.alerts.ack(EVERYONE, alert.id, "王师傅", "on my way", instant(5))
    assert acked is not None
    assert (acked.state, acked.acked_by, acked.note, seconds(acked.acked_at)) == ("open", "王师傅", "on my way", 5)
    await say(centre, feed, 20, 0, water_leak=False)
    closed = await centre.alerts.get(EVERYONE, alert.id)
    assert closed is not None
    assert (closed.state, seconds(closed.cleared_at), seconds(closed.closed_at)) == ("closed", 20, 20)


async def test_a_cleared_alert_closes_when_it_is_acknowledged(centre: Centre) -> None:
    feed = Feed()
    await say(centre, feed, 0, 0, water_leak=True)
    await say(centre, feed, 20, 0, water_leak=False)
    (alert,) = await centre.all()
    assert alert.state == "cleared"
    closed = await centre.alerts.ack(EVERYONE, alert.id, "王", "", instant(60))
    assert closed is not None
    assert (closed.state, seconds(closed.cleared_at), seconds(closed.closed_at)) == ("closed", 20, 60)


async def test_a_latched_alert_stays_open_until_it_is_acknowledged(centre: Centre) -> None:
    feed = Feed()
    await say(centre, feed, 0, 0, smoke=True)
    await say(centre, feed, 20, 0, smoke=False)
    (alert,) = await centre.all()
    assert (alert.state, alert.cleared_at) == ("open", None)
    closed = await centre.alerts.ack(EVERYONE, alert.id, "王", "", instant(60))
    assert closed is not None
    assert (closed.state, seconds(closed.cleared_at), seconds(closed.closed_at)) == ("closed", 20, 60)


async def test_acknowledging_twice_changes_nothing(centre: Centre) -> None:
    await say(centre, Feed(), 0, 0, water_leak=True)
    (alert,) = await centre.all()
    first = await centre.alerts.ack(EVERYONE, alert.id, "王", "one", instant(5))
    second = await centre.alerts.ack(EVERYONE, alert.id, "李", "two", instant(9))
    assert first == second
    assert first is not None and first.seq == await centre.alerts.newest_seq()
    assert await centre.alerts.ack(EVERYONE, "no-such-alert", "王", "", instant(9)) is None


async def test_every_change_has_a_higher_seq_and_the_feed_holds_each_alert_as_it_is_now(centre: Centre) -> None:
    feed = Feed()
    assert await centre.alerts.newest_seq() == 0
    await say(centre, feed, 0, 0, water_leak=True)
    await say(centre, feed, 1, 1, water_leak=True)
    start = await centre.alerts.newest_seq()
    await say(centre, feed, 2, 0, water_leak=False)
    changed, reached = await centre.alerts.changes(EVERYONE, start, 10)
    assert [(alert.device, alert.state, alert.seq) for alert in changed] == [("leak-0", "cleared", start + 1)]
    assert reached == start + 1
    everything, _ = await centre.alerts.changes(EVERYONE, 0, 10)
    assert [alert.device for alert in everything] == ["leak-1", "leak-0"]
    assert [alert.device for alert in (await centre.alerts.changes(EVERYONE, 0, 1)).alerts] == ["leak-1"]


async def test_what_people_were_told_is_counted_alike_by_either_database(centre: Centre) -> None:
    feed = Feed()
    for number in range(3):
        await say(centre, feed, number, number, water_leak=True)
    await say(centre, feed, 5, 4, community="411203001001", water_leak=True)
    for at, alert in zip((12, 20), await centre.all(), strict=False):
        await centre.alerts.ack(EVERYONE, alert.id, "王", "", alert.opened_at + at * 1_000_000)
    found = await centre.alerts.statistics(EVERYONE, instant(0), instant(60), By.STREET, lambda code: code[:6])
    assert [(group.key, group.alerts) for group in found.groups] == [("411202", 3), ("411203", 1)]
    assert (found.whole.alerts, found.whole.ack) == (4, Delay(2, 16_000_000, 16_000_000))
    assert found.rules == [("leak", 4)]
    assert sum(device.alerts for device in found.devices) == 4
    assert found.floods == {}


async def test_alerts_are_counted_by_colour_and_state(centre: Centre) -> None:
    feed = Feed()
    for number in range(3):
        await say(centre, feed, number, number, water_leak=True)
    await say(centre, feed, 5, 4, smoke=True)
    await say(centre, feed, 9, 0, water_leak=False)
    counts = {(Colour.YELLOW, AlertState.OPEN): 2, (Colour.YELLOW, AlertState.CLEARED): 1, (Colour.RED, AlertState.OPEN): 1}
    assert await centre.alerts.counts(EVERYONE) == counts


@pytest.mark.sqlite_file
async def test_what_is_open_of_rules_that_are_gone_is_found_by_what_is_open(tmp_path: Path) -> None:
    """A million alerts that were are not looked through at each start."""
    database = Database(tmp_path / "centre.db")
    asked: list[str] = []

    def watched(connection: sa.Connection) -> int:
        sa.event.listen(connection, "before_cursor_execute", lambda _c, _cursor, said, *_: asked.append(said))
        return retire(connection, Rules(), 0)

    assert await database.write(watched) == 0
    (question,) = asked
    plan = await database.read(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {question}", ("open",)).all())
    assert plan[0][-1] == "SEARCH alert USING INDEX alert_by_state (state=?)"
    database.close()
