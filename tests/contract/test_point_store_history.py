"""What every telemetry store keeps to when history is thinned and dropped by age."""

import random
from collections.abc import Iterable

import pytest

from ingest.store import Level, PointStore, Query, Summary
from ingest.store.summary import Sample, merged, summarised
from telemetry.errors import IdentityInvalid
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.shelf import ALL, COMMUNITY, MS, STREAM, Shelf, arrival, climate

FIVE, HOUR = Level.FIVE_MINUTES, Level.HOUR
BEGIN = HOUR.start(1_790_000_000_000_000)
SECOND = 1_000_000
NEIGHBOUR = Stream("411203001002", "gw-other-1", "0" * 16, "bulk")
EVERYBODY = (STREAM.ref, NEIGHBOUR.ref)


def wandering(seed: int, device: str, span_s: int = 3600, step_s: int = 20) -> list[Reading]:
    """An hour of a device whose values wander, each instant on a whole second."""
    chance = random.Random(seed)
    return [
        climate(
            BEGIN + second * SECOND, device=device, values={"temperature": round(chance.gauss(20, 5), 2), "fault_code": second}
        )
        for second in range(chance.randrange(step_s), span_s, step_s)
    ]


def samples(stream: Stream, readings: Iterable[Reading]) -> list[Sample]:
    return [
        Sample(*stream.ref, reading.device, reading.kind, metric, reading.at, float(value))
        for reading in readings
        for metric, value in reading.values.items()
    ]


def close(summaries: Iterable[Summary]) -> list[tuple[object, ...]]:
    """Summaries ready to compare: two stores may differ in a mean's last digits."""
    return [(*summary[:9], pytest.approx(summary.mean, rel=1e-12), summary.last) for summary in sorted(summaries)]


async def roll_up_all(shelf: Shelf, store: PointStore, gateways: tuple[GatewayRef, ...] = EVERYBODY) -> None:
    for start in range(BEGIN, BEGIN + HOUR.width_us, FIVE.width_us):
        await shelf.settle()
        await store.roll_up(FIVE, start, gateways)
    await shelf.settle()
    await store.roll_up(HOUR, BEGIN, gateways)
    await shelf.settle()


async def test_summaries_are_those_of_the_readings_and_a_rerun_overwrites_them(shelf: Shelf, store: PointStore) -> None:
    here, there = wandering(1, "garage-climate") + wandering(2, "cellar-climate"), wandering(3, "garage-climate")
    await store.write([arrival(1, *here), arrival(1, *there, stream=NEIGHBOUR)])
    expected = summarised(samples(STREAM, here) + samples(NEIGHBOUR, there), FIVE)
    for _ in range(2):
        await roll_up_all(shelf, store)
        assert sorted(await store.summaries(FIVE, ALL)) == close(expected)
        assert sorted(await store.summaries(HOUR, ALL)) == close(merged(expected, HOUR))


async def test_late_readings_change_their_window_alone_when_it_is_computed_again(shelf: Shelf, store: PointStore) -> None:
    first = wandering(4, "garage-climate", 600)
    await store.write([arrival(1, *first)])
    await roll_up_all(shelf, store)
    late = [climate(BEGIN + 7 * SECOND + MS, 99.0), climate(BEGIN + 11 * SECOND + MS, -99.0, device="late-climate")]
    await store.write([arrival(2, *late)])
    await shelf.settle()
    await store.roll_up(FIVE, BEGIN, [STREAM.ref])
    await store.roll_up(FIVE, BEGIN, [STREAM.ref])
    await shelf.settle()
    assert sorted(await store.summaries(FIVE, ALL)) == close(summarised(samples(STREAM, first + late), FIVE))


async def test_only_the_gateways_asked_for_are_computed(shelf: Shelf, store: PointStore) -> None:
    sound = climate(BEGIN)
    await store.write([arrival(1, sound), arrival(1, sound, stream=NEIGHBOUR)])
    await shelf.settle()
    await store.roll_up(FIVE, BEGIN, [NEIGHBOUR.ref])
    await store.roll_up(FIVE, BEGIN, [])
    await shelf.settle()
    assert await store.summaries(FIVE, ALL) == summarised(samples(NEIGHBOUR, [sound]), FIVE)


async def test_a_window_holds_its_first_instant_and_not_its_last(shelf: Shelf, store: PointStore) -> None:
    edges = [
        climate(BEGIN - MS, 1.0),
        climate(BEGIN, 2.0),
        climate(BEGIN + FIVE.width_us - MS, 3.0),
        climate(BEGIN + FIVE.width_us, 4.0),
    ]
    await store.write([arrival(1, *edges)])
    await roll_up_all(shelf, store)
    found = [(summary.at, summary.samples, summary.minimum, summary.last) for summary in await store.summaries(FIVE, ALL)]
    assert found == [(BEGIN, 2, 2.0, 3.0), (BEGIN + FIVE.width_us, 1, 4.0, 4.0)]


async def test_bad_and_stale_values_and_what_is_no_number_do_not_count(shelf: Shelf, store: PointStore) -> None:
    qualities = [climate(BEGIN + n * SECOND, float(n), quality=quality) for n, quality in enumerate(Quality)]
    other = climate(BEGIN + 9 * SECOND, values={"running": True, "mode": "auto"})
    await store.write([arrival(1, *qualities, other)])
    await roll_up_all(shelf, store)
    (summary,) = await store.summaries(FIVE, ALL)
    counted = [n for n, quality in enumerate(Quality) if quality in (Quality.GOOD, Quality.UNCERTAIN)]
    assert (summary.metric, summary.samples, summary.maximum) == ("temperature", len(counted), max(counted))


async def test_what_a_discrete_event_says_does_not_count_where_events_are_told_apart(shelf: Shelf, store: PointStore) -> None:
    swipe = Reading(device="b3-reader", kind=Kind.ACCESS, at=BEGIN, values={"event": "granted", "battery": 5.0}, event_id="e-1")
    await store.write([arrival(1, swipe)])
    await roll_up_all(shelf, store)
    assert len(await store.summaries(FIVE, ALL)) == (0 if store.limits.text else 1)


async def test_large_values_have_a_mean(shelf: Shelf, store: PointStore) -> None:
    await store.write([arrival(1, climate(BEGIN, 1.7e308), climate(BEGIN + SECOND, 1.7e308))])
    await roll_up_all(shelf, store)
    for level in (FIVE, HOUR):
        (summary,) = await store.summaries(level, ALL)
        assert summary.mean == pytest.approx(1.7e308)


async def test_summaries_are_asked_for_as_readings_are(shelf: Shelf, store: PointStore) -> None:
    here = wandering(5, "garage-climate", 900) + wandering(6, "cellar-climate", 900)
    await store.write([arrival(1, *here), arrival(1, *wandering(7, "garage-climate", 900), stream=NEIGHBOUR)])
    await roll_up_all(shelf, store)
    later = BEGIN + FIVE.width_us
    for changes, expected in (
        ({}, 18),
        ({"communities": ("411202",)}, 12),
        ({"communities": ()}, 0),
        ({"gateway": "gw-other-1"}, 6),
        ({"device": "cellar-climate"}, 6),
        ({"device": "nobody' OR 'a'='a"}, 0),
        ({"kind": Kind.ENERGY}, 0),
        ({"metric": "temperature", "device": "cellar-climate"}, 3),
        ({"start": later}, 12),
        ({"end": later}, 6),
        ({"limit": 1}, 6),
    ):
        assert len(await store.summaries(FIVE, Query(**{"communities": ("41",), **changes}))) == expected, changes
    newest = await store.summaries(FIVE, Query(("41",), limit=1))
    assert {summary.at for summary in newest} == {BEGIN + 2 * FIVE.width_us}
    with pytest.raises(IdentityInvalid):
        await store.summaries(FIVE, Query(("41.*/",)))


async def test_readings_of_some_kinds_are_dropped_by_age_and_their_summaries_stay(shelf: Shelf, store: PointStore) -> None:
    meter = [Reading(device="b3-meter", kind=Kind.ENERGY, at=BEGIN + n * SECOND, values={"frequency": 50.0}) for n in (0, 1, 2)]
    garage = [climate(BEGIN + n * SECOND, float(n)) for n in (0, 1, 2)]
    await store.write([arrival(1, *meter, *garage)])
    await roll_up_all(shelf, store)
    before = await store.summaries(FIVE, ALL)
    await store.drop_before(Level.RAW, BEGIN + 2 * SECOND, [Kind.ENVIRONMENT, Kind.ACCESS])
    left = [(row.device, row.at) for row in await shelf.all_rows(store)]
    dropped = 2 if store.limits.deletes else 0
    assert sorted(left) == sorted(
        [("b3-meter", one.at) for one in meter] + [("garage-climate", one.at) for one in garage[dropped:]]
    )
    assert await store.summaries(FIVE, ALL) == before


@pytest.mark.parametrize("level", [FIVE, HOUR])
async def test_each_level_is_dropped_by_itself(shelf: Shelf, store: PointStore, level: Level) -> None:
    await store.write([arrival(1, *wandering(8, "garage-climate"))])
    await roll_up_all(shelf, store)
    other = HOUR if level is FIVE else FIVE
    held = await store.summaries(other, ALL)
    await store.drop_before(level, BEGIN, list(Kind))
    assert await store.summaries(level, ALL) != []
    await store.drop_before(level, BEGIN + 2 * HOUR.width_us, list(Kind))
    assert (await store.summaries(level, ALL) == []) is store.limits.deletes
    assert await store.summaries(other, ALL) == held
    assert await shelf.all_rows(store) != []


async def test_a_watermark_outlives_what_was_dropped(shelf: Shelf, store: PointStore) -> None:
    await store.write([arrival(1, climate(BEGIN))])
    await store.drop_before(Level.RAW, BEGIN + SECOND, list(Kind))
    assert await store.watermarks() == {STREAM: 1}
    await store.write([arrival(1, climate(BEGIN)), arrival(2, climate(BEGIN + 2 * SECOND))])
    assert len(await shelf.all_rows(store)) == (1 if store.limits.deletes else 2)


async def test_thinned_history_survives_a_reopening(shelf: Shelf) -> None:
    async with shelf.opened() as store:
        await store.write([arrival(1, climate(BEGIN))])
        await roll_up_all(shelf, store)
        held = await store.summaries(HOUR, ALL)
    async with shelf.opened() as store:
        assert await store.summaries(HOUR, ALL) == held
        assert [(summary.community, summary.samples) for summary in held] == [(COMMUNITY, 1)]
