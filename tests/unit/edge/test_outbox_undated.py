"""Readings of a clock that nobody vouches for: durable at once, dated anew when the true time is learned, and never after."""

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path

import pytest

from edge.accept import Accept
from edge.clock import Stamp
from edge.outbox import BATCH_READINGS, Outbox
from edge.outbox.outbox import DATED_AT_ONCE
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import EARLIEST, Micros, Reading

TRUE = Micros(1_700_000_000_000_000)
OFF = 7_200_000_000
"""The gateway believed it was two hours earlier."""
THEN = Micros(TRUE - OFF)
UNKNOWN = Stamp("boot-1", THEN, known=False)
KNOWN = Stamp("boot-1", TRUE, known=True)


def reading(n: int, kind: Kind = Kind.ENERGY) -> Reading:
    return Reading(device="b3-meter", kind=kind, at=THEN + n, values={"voltage": 230.0})


def opened(folder: Path, **options: int) -> Outbox:
    return Outbox.open(folder / "outbox.db", gateway="gw-test", now=THEN, **options)


def sendable(outbox: Outbox) -> list[Reading]:
    return [
        found
        for span in outbox.spans()
        for sealed in outbox.batches(span.epoch, span.lane, span.first - 1, 10_000)
        for found in decode(sealed.message(TRUE, False)).batch.readings
    ]


def test_what_is_held_is_durable_and_not_sealed(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.hold([reading(1), reading(2)], Lane.URGENT, UNKNOWN, THEN)
    again = opened(tmp_path)  # the first is never closed: as after a kill
    assert again.pending()[:2] == (1, 2)
    assert {found.at for found in again.recent()} == {THEN + 1, THEN + 2}
    again.seal(THEN, force=True)
    assert sendable(again) == []


def test_once_the_time_is_known_it_is_dated_anew_and_good(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.hold([reading(1)], Lane.URGENT, UNKNOWN, THEN)
    outbox.hold([reading(2)], Lane.BULK, UNKNOWN, THEN)
    assert not outbox.date(UNKNOWN, THEN)
    assert outbox.date(KNOWN, TRUE)
    outbox.seal(TRUE, force=True)
    assert [(found.at, found.quality) for found in sendable(outbox)] == [(TRUE + 1, Quality.GOOD), (TRUE + 2, Quality.GOOD)]
    assert outbox.pending().readings == 2
    assert not outbox.date(KNOWN, TRUE)


def test_a_restart_of_the_agent_does_not_lose_the_way_to_the_true_time(tmp_path: Path) -> None:
    opened(tmp_path).hold([reading(1)], Lane.URGENT, UNKNOWN, THEN)
    again = opened(tmp_path)
    assert again.date(KNOWN, TRUE)
    assert [found.at for found in sendable(again)] == [TRUE + 1]


def test_after_another_boot_nobody_can_tell_and_quality_says_so(tmp_path: Path) -> None:
    opened(tmp_path).hold([reading(1)], Lane.URGENT, UNKNOWN, THEN)
    again = opened(tmp_path)
    assert again.date(Stamp("boot-2", THEN, known=False), THEN)
    assert [(found.at, found.quality) for found in sendable(again)] == [(THEN + 1, Quality.UNCERTAIN)]


def test_a_sealed_instant_never_changes(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1)], Lane.URGENT, THEN)
    outbox.date(KNOWN, TRUE)
    assert [found.at for found in sendable(outbox)] == [THEN + 1]


def test_what_is_held_takes_a_quarter_of_the_budget_at_most(tmp_path: Path) -> None:
    outbox = opened(tmp_path, max_bytes=1 << 20)
    noise = "".join(chr(33 + n * 7 % 90) for n in range(250))
    for n in range(2_000):
        wide = [Reading(device=f"d-{n}-{k}", kind=Kind.ENERGY, at=THEN + n, values={"voltage": n * 1.7 + k}) for k in range(20)]
        outbox.hold(wide, Lane.BULK, Stamp(noise[:36], THEN, known=False), THEN)
        outbox.date(Stamp(noise[:36], THEN, known=False), THEN)
    assert outbox._file.undated_bytes() <= (1 << 20) // 4 + (1 << 14)
    outbox.seal(THEN, force=True)
    given_up = [found for found in sendable(outbox) if found.kind is Kind.ENERGY]
    assert given_up and all(found.quality is Quality.UNCERTAIN for found in given_up)


def test_a_part_is_dated_at_a_time_and_all_in_the_end(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    count = DATED_AT_ONCE + 7
    for n in range(count):
        outbox.hold([reading(n)], Lane.BULK, UNKNOWN, THEN)
    outbox.date(KNOWN, TRUE)
    assert outbox._file.undated_waiting().batches == 7
    outbox.date(KNOWN, TRUE)
    outbox.seal(TRUE, force=True)
    assert sorted(found.at for found in sendable(outbox)) == [TRUE + n for n in range(count)]


def test_damage_to_what_is_held_is_certified(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.hold([reading(1), reading(2)], Lane.BULK, UNKNOWN, THEN)
    held = outbox._file.undated(1)[0]
    outbox._file.add_undated(held._replace(body=held.body[:-1] + b"?"))
    outbox.date(KNOWN, TRUE)
    outbox.seal(TRUE, force=True)
    (told,) = sendable(outbox)
    assert (told.values["event"], told.values["loss_count"], told.values["loss_device"]) == ("loss", 2, "*")


def test_what_is_held_and_does_not_check_out_is_certified_by_a_salvage(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.hold([reading(1), reading(2)], Lane.BULK, UNKNOWN, THEN)
    outbox.hold([reading(3)], Lane.BULK, UNKNOWN, THEN)
    outbox.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.db")) as db, db:
        db.execute("UPDATE undated SET boot = 'boot-9' WHERE n = (SELECT min(n) FROM undated)")
    again = opened(tmp_path)
    assert again.salvaged == 1
    again.date(KNOWN, TRUE)
    again.seal(TRUE, force=True)
    told = [(found.values["loss_count"], found.values["loss_device"]) for found in sendable(again) if "event" in found.values]
    assert told == [(2, "*")]
    assert TRUE + 3 in [found.at for found in sendable(again)]


def test_what_is_held_outlives_damage_elsewhere_in_the_file(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.hold([reading(1)], Lane.URGENT, UNKNOWN, THEN)
    outbox.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.db")) as db, db:
        db.execute("UPDATE epoch SET crc = crc + 1")
    again = opened(tmp_path)
    assert again.salvaged == 1
    again.date(KNOWN, TRUE)
    assert TRUE + 1 in [found.at for found in sendable(again)]


def test_an_outbox_is_never_opened_before_it_was_last_sealed(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert first.opened_at == THEN
    first.append([reading(1)], Lane.URGENT, TRUE)
    again = Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=Micros(0))
    assert again.opened_at == TRUE
    (tmp_path / "new").mkdir()
    assert Outbox.open(tmp_path / "new" / "outbox.db", gateway="gw-test", now=Micros(0)).opened_at == EARLIEST


@pytest.mark.parametrize("lane", Lane)
async def test_acceptance_holds_what_is_read_under_an_unknown_clock_until_it_is_known(tmp_path: Path, lane: Lane) -> None:
    outbox = opened(tmp_path)
    now = UNKNOWN
    accept = Accept(outbox, group_s=0.01, clock=lambda: Micros(now.base), stamp=lambda: now)
    task = asyncio.create_task(accept.run())
    try:
        await asyncio.wait_for(accept.put([reading(1)], lane, UNKNOWN), 5)
        await asyncio.wait_for(accept.put([reading(2)], lane, UNKNOWN._replace(base=THEN - 500_000)), 5)
        known = accept.put([reading(OFF + 3)], lane, KNOWN)
        await asyncio.wait_for(known, 5)
        outbox.seal(THEN, force=True)
        assert [found.at for found in sendable(outbox)] == [TRUE + 3]
        now = KNOWN
        async with asyncio.timeout(5):
            while await outbox.call(lambda: outbox.held):
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait({task})
    outbox.seal(TRUE, force=True)
    assert sorted(found.at for found in sendable(outbox)) == [TRUE + 1, TRUE + 3, TRUE + 500_002]


async def test_a_group_is_of_one_stamp(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    accept = Accept(outbox, group_s=0.05, clock=lambda: THEN, stamp=lambda: UNKNOWN)
    futures = [accept.put([reading(n)], Lane.BULK, UNKNOWN._replace(base=THEN + n // 3)) for n in range(9)]
    task = asyncio.create_task(accept.run())
    await asyncio.wait_for(asyncio.gather(*futures), 5)
    task.cancel()
    await asyncio.wait({task})
    assert [(held.base - THEN, held.readings) for held in outbox._file.undated(BATCH_READINGS)] == [(0, 3), (1, 3), (2, 3)]


async def test_events_that_were_held_go_before_those_of_a_clock_that_is_known(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    now = UNKNOWN
    accept = Accept(outbox, group_s=3600, clock=lambda: Micros(now.base), stamp=lambda: now)
    task = asyncio.create_task(accept.run())
    count = DATED_AT_ONCE + 3
    for n in range(count):
        await asyncio.wait_for(accept.put([reading(n)], Lane.URGENT, UNKNOWN), 5)
    now = KNOWN
    await asyncio.wait_for(accept.put([reading(OFF + count)], Lane.URGENT, KNOWN), 5)
    task.cancel()
    await asyncio.wait({task})
    assert [found.at for found in sendable(outbox)] == [TRUE + n for n in range(count + 1)]


def by_epoch(outbox: Outbox) -> list[list[int]]:
    """The instants of what can be sent, after ``THEN``, epoch by epoch."""
    epochs = [[span for span in outbox.spans() if span.epoch == epoch] for epoch in outbox.epochs]
    found = [
        [reading.at - THEN for span in spans for sealed in outbox.batches(span.epoch, span.lane, 0, 10_000)
         for reading in decode(sealed.message(TRUE, False)).batch.readings]
        for spans in epochs
    ]  # fmt: skip
    return [sorted(instants) for instants in found if instants]


STILL = UNKNOWN._replace(known=True)
"""The clock was right all the time."""


@pytest.mark.parametrize("lane", Lane)
def test_what_an_earlier_run_held_stands_in_an_epoch_of_its_own_before_that_of_this_run(tmp_path: Path, lane: Lane) -> None:
    first = opened(tmp_path)
    first.hold([reading(1)], lane, UNKNOWN, THEN)
    first.hold([reading(2)], lane, UNKNOWN, THEN)
    again = opened(tmp_path)
    again.hold([reading(3)], lane, UNKNOWN, THEN)
    again.date(STILL, THEN)
    again.append([reading(4)], lane, THEN)
    again.seal(THEN, force=True)
    assert by_epoch(again) == [[1, 2], [3, 4]]


def test_each_earlier_run_stands_in_an_epoch_of_its_own(tmp_path: Path) -> None:
    for n in range(1, 6, 2):
        run = opened(tmp_path)
        run.hold([reading(n)], Lane.BULK, UNKNOWN, THEN)
        run.hold([reading(n + 1)], Lane.URGENT, UNKNOWN, THEN)
    last = opened(tmp_path)
    last.date(STILL, THEN)
    last.append([reading(7)], Lane.BULK, THEN)
    last.seal(THEN, force=True)
    assert by_epoch(last) == [[1, 2], [3, 4], [5, 6], [7]]


def test_what_devices_dated_themselves_stands_in_no_epoch_with_what_an_earlier_run_held(tmp_path: Path) -> None:
    opened(tmp_path).hold([reading(1)], Lane.BULK, UNKNOWN, THEN)
    again = opened(tmp_path)
    again.append([reading(2)], Lane.BULK, THEN)
    again.date(STILL, THEN)
    again.append([reading(3)], Lane.BULK, THEN)
    again.seal(THEN, force=True)
    assert by_epoch(again) == [[2], [1], [3]]


def test_an_epoch_that_comes_to_nothing_is_not_opened_for_what_an_earlier_run_held(tmp_path: Path) -> None:
    opened(tmp_path).hold([reading(1)], Lane.BULK, UNKNOWN, THEN)
    again = opened(tmp_path)
    again.date(STILL, THEN)
    again.seal(THEN, force=True)
    assert again.epochs == [again.epoch]


def test_what_is_held_makes_way_as_everything_else_does(tmp_path: Path) -> None:
    budget = 200_000
    outbox = opened(tmp_path, max_bytes=budget)
    chance = random.Random(1)
    for n in range(400):
        noise = [Reading(device=f"d-{k}", kind=Kind.ENERGY, at=THEN + n, values={"voltage": chance.random()}) for k in range(60)]
        outbox.hold(noise, Lane.BULK, UNKNOWN, THEN)
        outbox.date(UNKNOWN, THEN)
        assert outbox._file.used() <= budget
    assert outbox.lost > 0
