"""What every telemetry store keeps to: the embedded file, InfluxDB and VictoriaMetrics, each as it really is."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

import pytest

from ingest.arrival import Arrival
from ingest.store import HOUR_US, WHOLE, Hour, PointStore, Query, Refusal, Row
from telemetry.errors import IdentityInvalid, StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading
from tests.shelf import ALL, COMMUNITY, MS, START, STREAM, Shelf, arrival, climate

NASTY = 'a "quoted" text, with = and \\ and \\" and\nnew\r\nlines, 中文 🚪, \t tab, a#b,c=d e \\'


class Point(NamedTuple):
    device: str
    metric: str
    at: int
    value: object


def points(rows: Iterable[Row]) -> list[Point]:
    return [Point(row.device, row.metric, row.at, row.value) for row in rows]


async def test_what_was_written_is_read_back_equal(shelf: Shelf, store: PointStore) -> None:
    assert await store.write([arrival(1, climate(START, values={"temperature": -3.25, "humidity": 61.5}))]) == []
    common = (COMMUNITY, "gw-jianye-1", "garage-climate", Kind.ENVIRONMENT)
    assert await shelf.all_rows(store) == [
        Row(*common, "humidity", START, 61.5, Quality.GOOD),
        Row(*common, "temperature", START, -3.25, Quality.GOOD),
    ]


async def test_what_was_foreseen_changes_nothing_of_what_is_written(shelf: Shelf, store: PointStore) -> None:
    first, second, third = (arrival(seq, climate(START + seq * MS, float(seq))) for seq in (1, 2, 3))
    await store.write([first])
    for told in ([second], [first, second], [third], [second, third]):  # told of what comes, of what was, and of what never comes
        store.foresee(told)
    await store.write([first, second])
    store.foresee([third])
    await store.write([third])
    assert points(await shelf.all_rows(store)) == [
        Point("garage-climate", "temperature", START + seq * MS, float(seq)) for seq in (1, 2, 3)
    ]
    assert await store.watermarks() == {STREAM: 3}


async def test_a_value_keeps_the_type_that_the_vocabulary_fixes(shelf: Shelf, store: PointStore) -> None:
    values = {"temperature": 21, "running": True, "motion": False, "fault_code": -7, "level": 1.25}
    await store.write([arrival(1, climate(START, values=values))])
    found = {row.metric: row.value for row in await shelf.all_rows(store)}
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {
        "temperature": float, "running": bool, "motion": bool, "fault_code": int, "level": float,
    }  # fmt: skip


async def test_a_float_keeps_all_its_digits_where_numbers_are_exact(shelf: Shelf, store: PointStore) -> None:
    numbers = [0.1 + 0.2, 1e-300, -1.7976931348623157e308, 5e-324, 1e16, 123456789.123456789]
    await store.write([arrival(1, *(climate(START + n * MS, number) for n, number in enumerate(numbers)))])
    found = [row.value for row in await shelf.all_rows(store)]
    assert found == numbers if store.limits.text else len(found) == len(numbers)


@pytest.mark.parametrize("number", [0, 2**53 + 1, 2**63 - 1, -(2**63)])
async def test_an_integer_of_64_bits_is_exact_where_numbers_are_not_floats(shelf: Shelf, store: PointStore, number: int) -> None:
    await store.write([arrival(1, climate(START, values={"fault_code": number}))])
    (row,) = await shelf.all_rows(store)
    assert row.value == number if store.limits.text else row.value == pytest.approx(number)


async def test_an_instant_is_kept_to_the_resolution_of_the_store(shelf: Shelf, store: PointStore) -> None:
    at = START + 123_457
    await store.write([arrival(1, climate(at))])
    (row,) = await shelf.all_rows(store)
    assert row.at == at // store.limits.resolution_us * store.limits.resolution_us


@pytest.mark.parametrize(
    "text", [NASTY, "", '"', "\\", '\\"', '",temperature=9', '" 1\nenvironment evil=1', "é" * 256, "\x00\x01"]
)
async def test_text_comes_back_as_it_was_and_ends_no_line(shelf: Shelf, store: PointStore, text: str) -> None:
    swipe = Reading(device="b3-lobby-reader", kind=Kind.ACCESS, at=START, values={"reason": text, "granted": True}, event_id=text)
    assert await store.write([arrival(1, swipe, climate(START))]) == []
    found = {row.metric: row for row in await shelf.all_rows(store)}
    assert found["granted"].value is True
    assert found["temperature"].value == 21.5
    assert set(found) == {"granted", "temperature"} | ({"reason"} if store.limits.text else set())
    if store.limits.text:
        assert found["reason"].value == text
        assert found["granted"].event_id == text


async def test_a_batch_sent_again_is_stored_once(shelf: Shelf, store: PointStore) -> None:
    batches = [arrival(1, climate(START)), arrival(2, climate(START + MS))]
    await store.write(batches)
    await store.write(batches)
    await store.write([*batches, arrival(3, climate(START + 2 * MS)), *batches])
    assert [row.at for row in await shelf.all_rows(store)] == [START, START + MS, START + 2 * MS]


async def test_the_watermark_is_the_last_batch_without_a_gap_and_survives_a_reopening(shelf: Shelf) -> None:
    other = STREAM._replace(epoch="f" * 16, lane="urgent")
    async with shelf.opened() as store:
        assert await store.watermarks() == {}
        await store.write([arrival(2, climate(START + MS)), arrival(1, climate(START)), arrival(1, stream=other)])
        assert await store.watermarks() == {STREAM: 2, other: 1}
    async with shelf.opened() as store:
        assert await store.watermarks() == {STREAM: 2, other: 1}
        await store.write([arrival(2, climate(START + MS)), arrival(3, climate(START + 2 * MS))])
        assert await store.watermarks() == {STREAM: 3, other: 1}
        assert len(await shelf.all_rows(store)) == 3


async def test_a_batch_beyond_a_gap_is_not_taken_until_the_gap_is_filled(shelf: Shelf, store: PointStore) -> None:
    await store.write([arrival(1, climate(START)), arrival(3, climate(START + 2 * MS))])
    assert await store.watermarks() == {STREAM: 1}
    await store.write([arrival(2, climate(START + MS)), arrival(3, climate(START + 2 * MS))])
    assert await store.watermarks() == {STREAM: 3}
    assert len(await shelf.all_rows(store)) == 3


async def test_advance_settles_a_gap_for_good_and_never_goes_back(shelf: Shelf) -> None:
    async with shelf.opened() as store:
        await store.advance(STREAM, 7)
        await store.advance(STREAM, 5)
        await store.write([arrival(6, climate(START)), arrival(8, climate(START + MS))])
        assert await store.watermarks() == {STREAM: 8}
    async with shelf.opened() as store:
        assert await store.watermarks() == {STREAM: 8}
        assert [row.at for row in await shelf.all_rows(store)] == [START + MS]


@pytest.mark.parametrize(
    "values",
    [{"fault_code": 2**63}, {"temperature": 10**400}, {"temperature": "21"}, {"nonsense": 1.0}, {"event": "\ud800"}],
    ids=["beyond 64 bits", "beyond floats", "wrong type", "no such metric", "not Unicode"],
)
async def test_a_poisoned_reading_is_refused_and_the_rest_of_its_batch_stored(
    shelf: Shelf, store: PointStore, values: dict[str, object]
) -> None:
    batch = arrival(1, climate(START), climate(START + MS, values=values), climate(START + 2 * MS))
    (refusal,) = await store.write([batch])
    assert (refusal.stream, refusal.seq) == (STREAM, 1)
    assert str(START + MS).encode() in refusal.body
    assert refusal.reason
    assert [row.at for row in await shelf.all_rows(store)] == [START, START + 2 * MS]
    assert await store.watermarks() == {STREAM: 1}


async def test_what_is_refused_is_set_aside_before_the_watermark_passes_it(store: PointStore) -> None:
    batch = arrival(1, climate(START), climate(START + MS, values={"temperature": "21"}))
    told: list[Refusal] = []

    async def full(refusals: Sequence[Refusal]) -> None:
        told.extend(refusals)
        assert await store.watermarks() == {}
        raise StoreUnavailable("no room for letters")

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no room"):
            await store.write([batch], full)
        assert await store.watermarks() == {}
    assert await store.write([batch]) == told[:1] == told[1:]
    assert await store.watermarks() == {STREAM: 1}


async def test_a_stream_that_is_forgotten_is_as_new_as_any_and_its_points_stay(shelf: Shelf, store: PointStore) -> None:
    other = STREAM._replace(lane="urgent")
    await store.write([arrival(1, climate(START)), arrival(2, climate(START + MS)), arrival(1, stream=other)])
    await store.forget([STREAM, STREAM._replace(epoch="f" * 16)])
    assert await store.watermarks() == {other: 1}
    await store.advance(STREAM, 2)
    await store.write([arrival(2, climate(START + MS)), arrival(3, climate(START + 2 * MS))])
    assert [row.at for row in await shelf.all_rows(store)] == [START, START + MS, START + 2 * MS]
    assert await store.watermarks() == {other: 1, STREAM: 3}


async def test_a_malformed_device_id_reaches_no_tag(shelf: Shelf, store: PointStore) -> None:
    (refusal,) = await store.write([arrival(1, climate(START, device="a,community=99 x=1"))])
    assert "malformed" in refusal.reason
    assert await shelf.all_rows(store) == []


async def test_a_reading_with_only_a_fault_leaves_a_row_that_says_so(shelf: Shelf, store: PointStore) -> None:
    silent = climate(START, values={}, quality=Quality.BAD, faults={WHOLE: "bad: no answer within 1 s"})
    await store.write([arrival(1, silent)])
    (row,) = await shelf.all_rows(store)
    assert (row.metric, row.value, row.quality) == (WHOLE, None, Quality.BAD)
    assert row.reason == ("no answer within 1 s" if store.limits.text else "")


async def test_a_fault_of_one_metric_is_of_that_metric_alone(shelf: Shelf, store: PointStore) -> None:
    partial = climate(START, faults={"humidity": "bad: exception 2", "temperature": "stale: held"}, values={"temperature": 4.0, "co2": 700.0})  # noqa: E501 # fmt: skip
    await store.write([arrival(1, partial)])
    found = {row.metric: row[6:9] for row in await shelf.all_rows(store)}
    if store.limits.text:
        assert found == {
            "co2": (700.0, Quality.GOOD, ""),
            "humidity": (None, Quality.BAD, "exception 2"),
            "temperature": (4.0, Quality.STALE, "held"),
        }
    else:
        assert {metric: value for metric, (value, _, _) in found.items()} == {"co2": 700.0, "temperature": 4.0}


async def test_the_quality_of_a_reading_is_that_of_its_metrics(shelf: Shelf, store: PointStore) -> None:
    await store.write([arrival(1, *(climate(START + n * MS, quality=quality) for n, quality in enumerate(Quality)))])
    assert [row.quality for row in await shelf.all_rows(store)] == list(Quality)


@pytest.fixture
async def furnished(shelf: Shelf, store: PointStore) -> PointStore:
    """Two communities, three devices, two kinds, ten instants; all devices speak at the same instants."""
    neighbour = Stream("411203001002", "gw-other-1", "0" * 16, "bulk")
    meter = [Reading(device="b3-meter", kind=Kind.ENERGY, at=START + n * MS, values={"frequency": 50.0 + n}) for n in range(10)]
    garage = [climate(START + n * MS, n, values={"temperature": float(n), "humidity": 50.0 + n}) for n in range(10)]
    cellar = [climate(START + n * MS, n + 0.5, device="cellar-climate") for n in range(10)]
    await store.write([arrival(1, *garage), arrival(2, *meter), arrival(1, *cellar, stream=neighbour)])
    await shelf.settle()
    return store


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 40),
        ({"communities": ("411202",)}, 30),
        ({"communities": ("411203001002",)}, 10),
        ({"communities": ("411203", "411202002001")}, 40),
        ({"communities": ("12",)}, 0),
        ({"communities": ()}, 0),
        ({"device": "cellar-climate"}, 10),
        ({"device": "nobody' OR 'a'='a"}, 0),
        ({"gateway": "gw-jianye-1"}, 30),
        ({"kind": Kind.ENERGY}, 10),
        ({"kind": Kind.ACCESS}, 0),
        ({"metric": "temperature"}, 20),
        ({"metric": "humidity", "device": "garage-climate"}, 10),
        ({"metric": "hum.*|temp.*"}, 0),
        ({"metric": '" OR "'}, 0),
        ({"start": START + 9 * MS}, 4),
        ({"end": START + 2 * MS}, 8),
        ({"start": START + 2 * MS, "end": START + 4 * MS}, 8),
        ({"start": START + 4 * MS, "end": START + 4 * MS}, 0),
    ],
)
async def test_a_query_gives_what_it_asks_for(furnished: PointStore, changes: dict[str, object], expected: int) -> None:
    rows = await furnished.read(Query(**{"communities": ("41",), **changes}))
    assert len(rows) == expected
    for field in ("device", "gateway", "kind", "metric"):
        assert {getattr(row, field) for row in rows} <= {changes.get(field, getattr(row, field)) for row in rows}


@pytest.mark.parametrize(("limit", "expected"), [(-1, 4), (0, 4), (10**9, 40)])
async def test_a_limit_out_of_range_is_the_nearest_that_makes_sense(furnished: PointStore, limit: int, expected: int) -> None:
    assert len(await furnished.read(Query(("41",), limit=limit))) == expected


async def test_a_malformed_prefix_is_an_error_and_not_a_pattern(furnished: PointStore) -> None:
    with pytest.raises(IdentityInvalid):
        await furnished.read(Query(("41.*/",)))


async def test_rows_come_in_the_order_of_time_both_ways(furnished: PointStore) -> None:
    oldest = await furnished.read(ALL)
    newest = await furnished.read(Query(("41",)))
    assert [row.at for row in oldest] == sorted(row.at for row in oldest)
    assert [row.at for row in newest] == sorted((row.at for row in newest), reverse=True)
    assert sorted(oldest) == sorted(newest)
    assert [(row.device, row.metric) for row in newest[:4]] == [(row.device, row.metric) for row in oldest[:4]]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 4, 5, 9])
async def test_pages_join_to_the_whole_because_no_instant_is_split(furnished: PointStore, limit: int, newest_first: bool) -> None:
    whole = await furnished.read(Query(("41",), limit=1_000, newest_first=newest_first))
    paged: list[Row] = []
    query = Query(("41",), limit=limit, newest_first=newest_first)
    for _ in range(20):
        page = await furnished.read(query)
        if not page:
            break
        assert len(page) < limit + 4
        paged += page
        bound = {"end": page[-1].at} if newest_first else {"start": page[-1].at + 1}
        query = Query(("41",), limit=limit, newest_first=newest_first, **bound)
    assert paged == whole


async def test_reading_goes_on_while_others_write(shelf: Shelf, store: PointStore) -> None:
    async def write() -> None:
        for seq in range(1, 21):
            await store.write([arrival(seq, *(climate(START + (seq * 10 + n) * MS) for n in range(10)))])

    async def read() -> list[int]:
        return [len(await store.read(ALL)) for _ in range(20)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write(), name="write")
        reads = [tasks.create_task(read(), name="read") for _ in range(2)]
    assert all(task.result() == sorted(task.result()) for task in reads)
    assert len(await shelf.all_rows(store)) == 200


async def test_whatever_is_resent_reordered_or_reopened_every_reading_is_there_once(shelf: Shelf) -> None:
    chance = random.Random(20)
    streams = [STREAM, STREAM._replace(lane="urgent"), STREAM._replace(gateway="gw-jianye-2")]
    sent: dict[Stream, list[Arrival]] = {stream: [] for stream in streams}
    instants = count(START, MS)
    for _ in range(6):
        async with shelf.opened() as store:
            for _ in range(6):
                for stream, batches in sent.items():
                    for _ in range(chance.randint(0, 3)):
                        readings = [climate(next(instants), chance.randint(-400, 400) / 10) for _ in range(chance.randint(0, 4))]
                        batches.append(arrival(len(batches) + 1, *readings, stream=stream))
                mixed = [batch for batches in sent.values() for batch in batches[-chance.randint(3, 9) :]]
                chance.shuffle(mixed)
                await store.write(mixed)
            assert await store.watermarks() == {stream: len(batches) for stream, batches in sent.items() if batches}
    expected = [reading for batches in sent.values() for batch in batches for reading in batch.readings]
    async with shelf.opened() as store:
        rows = await shelf.all_rows(store)
    assert {(row.at, row.value) for row in rows} == {(reading.at, reading.values["temperature"]) for reading in expected}
    assert len(rows) == len(expected)


HOUR = START // HOUR_US * HOUR_US
LATER = HOUR + 3 * HOUR_US
"""Three hours of one gateway: what the tests of counting look at."""


def hourly(query: Query = ALL, **changes: object) -> Query:
    return Query(**{"communities": query.communities, "start": HOUR, "end": LATER, **changes})


async def test_readings_are_counted_by_gateway_and_hour_however_many_metrics_they_have(shelf: Shelf, store: PointStore) -> None:
    neighbour = Stream("411203001002", "gw-other-1", "0" * 16, "bulk")
    both = {"temperature": 4.0, "humidity": 50.0}
    last = HOUR + HOUR_US - MS
    here = [climate(HOUR, values=both), climate(HOUR, device="b-climate"), climate(last), climate(last + MS), climate(LATER)]
    meter = Reading(device="b3-meter", kind=Kind.ENERGY, at=last, values={"frequency": 50.0})
    silent = climate(last, device="c-climate", values={}, quality=Quality.BAD, faults={WHOLE: "bad: no answer"})
    await store.write([arrival(1, *here, meter, silent), arrival(1, climate(HOUR), stream=neighbour)])
    await shelf.settle()
    ours, theirs = Hour(COMMUNITY, STREAM.gateway, HOUR), Hour("411203001002", "gw-other-1", HOUR)
    then = ours._replace(at=HOUR + HOUR_US)
    countable = store.limits.countable
    assert await store.counts(hourly()) == ({ours: 5, then: 1, theirs: 1} if countable else {})
    assert await store.counts(hourly(gateway="gw-other-1")) == ({theirs: 1} if countable else {})
    assert await store.counts(hourly(communities=("411202",), start=HOUR + MS, end=last + MS)) == ({ours: 3} if countable else {})
    assert await store.counts(hourly(gateway="nobody' OR 'a'='a")) == {}
    assert await store.counts(hourly(communities=())) == {}


async def test_what_two_batches_say_of_one_device_and_instant_is_counted_as_often_as_it_stands(
    shelf: Shelf, store: PointStore
) -> None:
    twice = {"temperature": 4.0, "humidity": 50.0}
    await store.write(
        [arrival(1, climate(HOUR, values=twice)), arrival(2, climate(HOUR, values=twice), climate(HOUR + MS, values=twice))]
    )
    await store.write([arrival(1, climate(HOUR, values=twice), stream=STREAM._replace(epoch="f" * 16))])
    standing = len(await shelf.all_rows(store)) // 2
    assert await store.counts(hourly()) == ({Hour(COMMUNITY, STREAM.gateway, HOUR): standing} if store.limits.countable else {})


async def test_what_is_restored_twice_is_there_once_and_moves_no_watermark(shelf: Shelf, store: PointStore) -> None:
    await store.write([arrival(1, climate(START))])
    before = await store.watermarks()
    lost = arrival(7, climate(START + MS, values={"temperature": 4.0, "humidity": 50.0}), stream=STREAM._replace(epoch="f" * 16))
    assert await store.restore([lost]) == []
    assert await store.restore([lost, lost, arrival(1, climate(START))]) == []
    assert points(await shelf.all_rows(store)) == [
        Point("garage-climate", "temperature", START, 21.5),
        Point("garage-climate", "humidity", START + MS, 50.0),
        Point("garage-climate", "temperature", START + MS, 4.0),
    ]
    assert await store.watermarks() == before


async def test_what_comes_twice_in_one_restoring_is_there_once(shelf: Shelf, store: PointStore) -> None:
    await store.restore([arrival(7, climate(START)), arrival(7, climate(START)), arrival(8, climate(START), climate(START))])
    assert points(await shelf.all_rows(store)) == [Point("garage-climate", "temperature", START, 21.5)]


async def test_what_was_restored_survives_a_reopening(shelf: Shelf) -> None:
    async with shelf.opened() as store:
        await store.restore([arrival(3, climate(START))])
    async with shelf.opened() as store:
        assert [row.at for row in await shelf.all_rows(store)] == [START]
        assert await store.watermarks() == {}


async def test_an_unsound_reading_is_refused_when_it_is_restored_too(shelf: Shelf, store: PointStore) -> None:
    (refusal,) = await store.restore([arrival(4, climate(START), climate(START + MS, values={"temperature": "21"}))])
    assert (refusal.stream, refusal.seq) == (STREAM, 4)
    assert [row.at for row in await shelf.all_rows(store)] == [START]
