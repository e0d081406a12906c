"""Acceptance: what is done is on disk, and nothing waits without bound."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.accept import Accept, OutboxFull
from edge.outbox import Outbox
from telemetry.batch import Lane
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)


def reading(n: int) -> Reading:
    return Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + n, values={"voltage": 230.0})


def on_disk(path: Path) -> set[int]:
    return {found.at for found in Outbox.open(path, gateway="gw-other", now=T0).recent()}


@contextlib.asynccontextmanager
async def running(accept: Accept) -> AsyncIterator[None]:
    task = asyncio.create_task(accept.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox.open(tmp_path / "outbox.db", gateway="gw-test", now=T0)


async def test_a_future_that_is_done_means_the_reading_is_on_disk(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=0.01, clock=lambda: T0)
    async with running(accept):
        await asyncio.wait_for(accept.put([reading(1)], Lane.BULK), 5)
        assert on_disk(outbox.path) == {T0 + 1}


async def test_urgent_does_not_wait_for_the_group(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=3600, clock=lambda: T0)
    async with running(accept):
        bulk = accept.put([reading(1)], Lane.BULK)
        await asyncio.wait_for(accept.put([reading(2)], Lane.URGENT), 5)
        assert not bulk.done()
        assert outbox.news.is_set()


async def test_a_hurry_commits_bulk_before_its_group(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=3600, clock=lambda: T0)
    async with running(accept):
        bulk = accept.put([reading(1)], Lane.BULK)
        accept.hurry()
        await asyncio.wait_for(bulk, 5)
        assert on_disk(outbox.path) == {T0 + 1}


async def test_a_stop_in_the_middle_of_a_commit_keeps_every_reading_once(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=0.001, clock=lambda: T0)
    async with running(accept):
        for n in range(300):
            accept.put([reading(n)], Lane.URGENT if n % 3 else Lane.BULK)
            if n % 10 == 0:
                await asyncio.sleep(0)
    kept = [found.at for found in outbox.recent()]
    assert sorted(kept) == [T0 + n for n in range(300)]


async def test_a_clean_stop_commits_what_waits(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=3600, clock=lambda: T0)
    async with running(accept):
        waiting = accept.put([reading(1), reading(2)], Lane.BULK)
        await asyncio.sleep(0)
    assert waiting.done()
    assert on_disk(outbox.path) == {T0 + 1, T0 + 2}


async def test_a_clean_stop_seals_what_it_committed_in_the_epoch_that_it_was_read_in(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=3600, clock=lambda: T0)
    async with running(accept):
        accept.put([reading(1), reading(2)], Lane.BULK)
        await asyncio.sleep(0)
    epoch = outbox.epoch
    outbox.close()
    again = Outbox.open(outbox.path, gateway="gw-test", now=T0)
    assert [sealed.readings for sealed in again.batches(epoch, Lane.BULK, 0, 10)] == [2]
    assert again.epochs == [epoch, again.epoch]


async def test_a_large_hand_over_is_split_into_chunks_of_a_batch(outbox: Outbox) -> None:
    accept = Accept(outbox, group_s=0.01, clock=lambda: T0)
    async with running(accept):
        await asyncio.wait_for(accept.put([reading(n) for n in range(1200)], Lane.BULK), 5)
    outbox.seal(T0, force=True)
    assert [sealed.readings for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 10)] == [500, 500, 200]


async def test_past_the_capacity_it_says_full_past_twice_that_it_refuses_bulk_and_past_three_times_urgent(outbox: Outbox) -> None:
    accept = Accept(outbox, capacity=10)
    accept.put([reading(n) for n in range(9)], Lane.BULK)
    assert not accept.full
    accept.put([reading(9)], Lane.BULK)
    assert accept.full
    accept.put([reading(n) for n in range(10, 20)], Lane.BULK)
    with pytest.raises(OutboxFull):
        await accept.put([reading(20)], Lane.BULK)
    urgent = accept.put([reading(n) for n in range(20, 30)], Lane.URGENT)
    assert not urgent.done()
    with pytest.raises(OutboxFull):
        await accept.put([reading(30)], Lane.URGENT)
    assert accept.refused == 2


async def test_what_was_refused_is_certified_once_the_disk_takes_it(outbox: Outbox) -> None:
    accept = Accept(outbox, capacity=10, group_s=0.01, clock=lambda: T0)
    waiting = accept.put([reading(n) for n in range(20)], Lane.BULK)
    refused = [accept.put([reading(n)], Lane.BULK) for n in (20, 25)]
    assert all(isinstance(one.exception(), OutboxFull) for one in refused)
    async with running(accept), asyncio.timeout(5):
        await waiting
        while outbox.pending().readings + len(list(outbox.recent())) < 21:
            await asyncio.sleep(0.01)
    (certificate,) = [one for one in outbox.recent() if one.kind is Kind.GATEWAY]
    told = {name: certificate.values[f"loss_{name}"] for name in ("device", "from", "to", "count", "reason")}
    assert told == {"device": "b3-meter", "from": T0 + 20, "to": T0 + 25, "count": 2, "reason": "the disk took nothing"}


async def test_each_committed_key_is_reported_once(outbox: Outbox) -> None:
    readable, writable = os.pipe()
    accept = Accept(outbox, report=writable, group_s=0.01, clock=lambda: T0)
    async with running(accept):
        await asyncio.wait_for(accept.put([reading(1), reading(2)], Lane.BULK), 5)
    os.close(writable)
    with os.fdopen(readable) as lines:
        assert lines.read().splitlines() == [f"b3-meter {T0 + 1}", f"b3-meter {T0 + 2}"]


class Looks:
    """A clock that goes 20 s on at each look, so that every look finds the tail old enough, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Micros:
        self.count += 1
        return Micros(T0 + self.count * 20_000_000)

    async def more(self, looks: int) -> None:
        """Until it was looked at so often again: each commit and each seal looks once."""
        until = self.count + looks
        while self.count < until:
            await asyncio.sleep(0.001)


async def test_a_commit_that_fails_is_tried_again_and_nothing_is_accepted_before(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.accept._RETRY_S", 0.01)
    clock = Looks()
    accept = Accept(outbox, group_s=3600, clock=clock)
    blocker = sqlite3.connect(outbox.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # another writer holds the file: commits fail for real
    outbox._file._db.execute("PRAGMA busy_timeout=10")
    async with running(accept), asyncio.timeout(5):
        waiting = accept.put([reading(1)], Lane.URGENT)
        await clock.more(3)
        assert not waiting.done()
        assert accept.accepted == 0
        blocker.execute("ROLLBACK")
        await waiting
    assert on_disk(outbox.path) == {T0 + 1}


async def test_while_the_file_is_read_only_it_says_so_holds_what_it_can_and_accepts_it_later(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.accept._RETRY_S", 0.01)
    accept = Accept(outbox, capacity=10, group_s=0.01, clock=lambda: T0)
    outbox._file._db.execute("PRAGMA query_only=ON")
    async with running(accept), asyncio.timeout(5):
        held = accept.put([reading(n) for n in range(20)], Lane.BULK)
        while not accept.failing:
            await asyncio.sleep(0.01)
        assert isinstance(accept.put([reading(20)], Lane.BULK).exception(), OutboxFull)
        assert (held.done(), accept.accepted) == (False, 0)
        outbox._file._db.execute("PRAGMA query_only=OFF")
        await held
        while accept.failing or len(list(outbox.recent())) < 21:
            await asyncio.sleep(0.01)
    kept = list(outbox.recent())
    assert [one.at for one in kept if one.kind is Kind.ENERGY] == [T0 + n for n in reversed(range(20))]
    assert [one.values["loss_count"] for one in kept if one.kind is Kind.GATEWAY] == [1]


async def test_a_batch_that_cannot_be_sealed_now_is_sealed_later(outbox: Outbox) -> None:
    clock = Looks()
    accept = Accept(outbox, group_s=0.01, clock=clock)
    with sqlite3.connect(outbox.path) as other:
        other.execute("CREATE TRIGGER stuck BEFORE INSERT ON batch BEGIN SELECT RAISE(FAIL, 'stuck'); END")
    async with running(accept), asyncio.timeout(5):
        await accept.put([reading(1)], Lane.BULK)
        await clock.more(3)
        with sqlite3.connect(outbox.path) as other:
            other.execute("DROP TRIGGER stuck")
        while not outbox.pending().batches:
            await clock.more(1)
