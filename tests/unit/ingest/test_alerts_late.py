"""What came late is noted with what passes it over, one row a device, and taken away when it was looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alerts_world import REF, Centre, Feed, device, instant, reading, rules_of

from ingest.alerts import late
from ingest.alerts.late import Lateness
from telemetry.metric import Kind
from telemetry.reading import Reading

pytestmark = pytest.mark.both_databases

RULES = """
rules:
  - {id: warm, kind: warm, family: environment, colour: yellow, title: {zh: 热, en: Warm}, text: {zh: 热, en: Warm},
     applies_to: {kinds: [environment]},
     when: {type: threshold, metric: temperature, unit: degC, raise_at: 30, for_s: 60}}
  - {id: cold_and_wet, kind: cold, family: environment, colour: yellow, title: {zh: 热, en: Warm}, text: {zh: 热, en: Warm},
     subject: zone,
     applies_to: {kinds: [environment]},
     when: {type: correlation, within_s: 60, of: [{temperature: {at_most: 0}}, {humidity: {at_least: 90}}]}}
"""


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    places = [device("cellar", Kind.ENVIRONMENT, "down"), device("shaft", Kind.ENVIRONMENT, "down")]
    found = Centre(tmp_path, rules_of(tmp_path, RULES), places)
    yield found
    found.close()


async def noted(centre: Centre) -> list[Lateness]:
    return await centre.database.read(lambda connection: late.waiting(connection, 10))


def said(at_s: float, name: str = "cellar", metric: str = "temperature") -> Reading:
    return reading(at_s, name, Kind.ENVIRONMENT, {metric: 21.0})


async def test_what_came_in_its_turn_is_not_late(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(1)), feed.batch(said(2)))
    await centre.take(feed.batch(said(3)))
    assert await noted(centre) == []


async def test_a_reading_older_than_the_newest_judged_is_noted_with_the_batch_that_holds_it(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(100)))
    older = feed.batch(said(40), said(50))
    await centre.take(older)
    [one] = await noted(centre)
    assert (one.ref, one.device, one.kind) == (REF, "cellar", Kind.ENVIRONMENT)
    assert (one.earliest, one.newest, one.readings) == (instant(40), instant(50), 2)
    assert one.streams == {older.stream: older.seq}


async def test_lateness_is_still_known_after_a_restart(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(100)))
    await centre.restart()
    await centre.take(feed.batch(said(40)))
    assert [one.earliest for one in await noted(centre)] == [instant(40)]


async def test_what_comes_late_again_widens_what_was_noted(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(100)))
    await centre.take(feed.batch(said(50)))
    feed.epoch = 2
    await centre.take(feed.batch(said(20), said(70)))
    [one] = await noted(centre)
    assert (one.earliest, one.newest, one.readings) == (instant(20), instant(70), 3)
    assert sorted((stream.epoch, seq) for stream, seq in one.streams.items()) == [(f"{1:016x}", 2), (f"{2:016x}", 1)]
    assert one.first_known_at < one.known_at


async def test_two_devices_of_a_zone_may_cross_on_the_way(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(10, "cellar", "humidity")))
    await centre.take(feed.batch(said(9, "shaft", "humidity")))
    assert await noted(centre) == []
    await centre.take(feed.batch(said(8, "shaft", "humidity"), delay_us=late.LIVE_US + 1))
    assert [one.device for one in await noted(centre)] == ["shaft"]


async def test_what_was_looked_at_stays_when_more_came_meanwhile(centre: Centre) -> None:
    feed = Feed()
    await centre.take(feed.batch(said(100)))
    await centre.take(feed.batch(said(50)))
    [before] = await noted(centre)
    await centre.take(feed.batch(said(60)))
    assert not await centre.database.write(lambda connection: late.settle(connection, before))
    [after] = await noted(centre)
    assert await centre.database.write(lambda connection: late.settle(connection, after))
    assert await noted(centre) == []
