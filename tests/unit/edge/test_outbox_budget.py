"""What the outbox does when there is less room than readings: budget, age, full disk."""

import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from edge.outbox import Outbox, ballast
from edge.outbox.budget import REPLAY_US, STEADY_US
from edge.outbox.loss import FULL, OLD, THINNED
from edge.outbox.outbox import MAX_AGE_US
from edge.outbox.tombstones import MOST_TOMBSTONES, SENT_AHEAD
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
BUDGET = 200_000
SECOND = 1_000_000


def readings(n: int, count: int = 100, devices: int = 5) -> list[Reading]:
    """Readings that do not deflate, so that a test is short."""
    chance = random.Random(n)
    return [
        Reading(device=f"meter-{k % devices}", kind=Kind.ENERGY, at=T0 + n * 1000 + k, values={"voltage": chance.random()})
        for k in range(count)
    ]


def door(n: int) -> Reading:
    chance = random.Random(n)
    words = {"event": "opened", **{name: chance.randbytes(128).hex() for name in ("credential", "credential_ref", "person_ref")}}
    return Reading(device="b3-door", kind=Kind.ACCESS, at=T0 + n, values=words, event_id=f"e{n}")


def opened(path: Path, max_bytes: int = BUDGET, **options: int) -> Outbox:
    return Outbox.open(path / "outbox.db", gateway="gw-test", now=T0, max_bytes=max_bytes, **options)


def later(seconds: float) -> Micros:
    return Micros(T0 + int(seconds * SECOND))


def sent(outbox: Outbox) -> list[Reading]:
    found = []
    for span in outbox.spans():
        for sealed in outbox.batches(span.epoch, span.lane, span.first - 1, 100_000):
            found += decode(sealed.message(T0, False)).batch.readings
    return found


def losses(found: list[Reading]) -> Counter[str]:
    lost: Counter[str] = Counter()
    for one in found:
        if one.values.get("event") == "loss":
            lost[str(one.values["loss_reason"])] += int(one.values["loss_count"])
    return lost


def measured(found: list[Reading]) -> list[Reading]:
    return [one for one in found if one.kind is not Kind.GATEWAY]


def fill(outbox: Outbox, batches: int, count: int = 100) -> int:
    """How many readings were accepted."""
    for n in range(batches):
        outbox.append(readings(n, count), Lane.BULK, later(n))
        outbox.seal(later(n), force=True)
    return batches * count


def test_over_the_budget_bulk_is_thinned_then_the_oldest_goes_and_every_reading_is_there_or_certified(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([door(0)], Lane.URGENT, T0)
    accepted = 1 + fill(outbox, 300)
    found = sent(outbox)
    lost = losses(found)
    assert lost[FULL] > 0 and lost[THINNED] > 0
    assert len(measured(found)) + lost.total() == accepted
    assert lost.total() == outbox.lost
    assert door(0) in found
    assert (tmp_path / "outbox.db").stat().st_size < BUDGET * 1.2


def test_seqs_have_no_hole_where_batches_were_given_up(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    fill(outbox, 100)
    seqs = [sealed.seq for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 1_000)]
    assert seqs == list(range(1, len(seqs) + 1))


def test_certificates_never_share_an_instant(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    fill(outbox, 200)
    ats = [one.at for one in sent(outbox) if one.kind is Kind.GATEWAY]
    assert len(ats) == len(set(ats)) > 100


def test_what_is_acknowledged_goes_before_anything_is_thinned(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for n in range(200):
        outbox.append(readings(n), Lane.BULK, later(n))
        outbox.seal(later(n), force=True)
        outbox.acknowledge(outbox.epoch, Lane.BULK, n + 1, later(n))
    assert outbox.lost == 0
    assert 0 < len(outbox.batches(outbox.epoch, Lane.BULK, 0, 1_000)) < 200


def test_urgent_is_never_given_up_and_bulk_is_only_counted_when_urgent_alone_fills_the_budget(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    events = 0
    while outbox._file.used() < BUDGET:
        outbox.append([door(events)], Lane.URGENT, T0)
        events += 1
    outbox.append(readings(1), Lane.BULK, T0)
    found = sent(outbox)
    assert len(measured(found)) == events
    assert outbox.lost == 100
    outbox.acknowledge(outbox.epoch, Lane.URGENT, events, T0)
    outbox.append(readings(2), Lane.BULK, later(61))
    outbox.seal(later(61), force=True)
    assert losses(sent(outbox)) == {THINNED: 100}
    assert len(measured(sent(outbox))) == 100


def test_the_file_itself_ends_and_what_is_past_its_end_is_not_accepted(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for n in range(10_000):
            outbox.append([door(n)], Lane.URGENT, T0)
    accepted = len(measured(sent(outbox)))
    assert accepted == outbox.pending().readings > 0
    outbox.acknowledge(outbox.epoch, Lane.URGENT, accepted, T0)
    outbox.append([door(1)], Lane.URGENT, T0)
    assert sent(outbox) == [door(1)]


def test_counts_of_thinned_readings_outlive_a_kill(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    accepted = fill(outbox, 30)
    outbox.append(readings(50), Lane.BULK, later(30))
    again = opened(tmp_path)
    again.seal(later(30), force=True)
    found = sent(again)
    assert len(measured(found)) + losses(found).total() == accepted + 100


def test_many_tombstones_are_folded_and_lose_no_count(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    batches = MOST_TOMBSTONES * 2
    for n in range(batches):
        outbox.append(readings(n, 2, 1), Lane.BULK, T0)
        outbox.seal(T0, force=True)
    outbox._room.evict_down_to(0, FULL)
    rows = outbox.batches(outbox.epoch, Lane.BULK, 0, 10_000)
    assert [sealed.seq for sealed in rows] == list(range(1, batches + 1))
    found = sent(outbox)
    assert losses(found)[FULL] == 2 * batches
    assert len(found) <= MOST_TOMBSTONES + 1


def test_tombstones_that_were_handed_out_are_not_folded(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    for n in range(MOST_TOMBSTONES + 10):
        outbox.append(readings(n, 2, 1), Lane.BULK, T0)
        outbox.seal(T0, force=True)
    before = [sealed.parts for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 5)]
    outbox._room.evict_down_to(0, FULL)
    after = [sealed.parts for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 6)]
    assert all(after[:5]) and not after[5]
    assert before != after[:5]


def each_once(n: int, devices: int) -> list[Reading]:
    """One reading of each device: a certificate of each weighs as much as they do."""
    return readings(n, devices, devices)


def certificates(outbox: Outbox) -> list[Reading]:
    return [one for one in sent(outbox) if one.values.get("event") == "loss"]


def test_what_an_earlier_run_may_have_sent_is_not_folded(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    for n in range(SENT_AHEAD + 20):
        outbox.append(each_once(n, 40), Lane.BULK, T0)
        outbox.seal(T0, force=True)
    epoch = outbox.epoch
    outbox.acknowledge(epoch, Lane.BULK, 5, T0)
    outbox._room.evict_down_to(0, FULL)
    outbox.close()
    again = opened(tmp_path, 1_000_000)
    before = [sealed.parts for sealed in again.batches(epoch, Lane.BULK, 5, SENT_AHEAD)]
    again._room.tombstones.lighten(0)
    assert [sealed.parts for sealed in again.batches(epoch, Lane.BULK, 5, SENT_AHEAD)] == before
    assert sum(len(sealed.parts) for sealed in again.batches(epoch, Lane.BULK, 5 + SENT_AHEAD, 100)) == 1


def test_what_is_given_up_makes_room_though_each_device_said_one_thing_in_a_batch(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    batches, devices = 300, 50
    for n in range(batches):
        outbox.append(each_once(n, devices), Lane.BULK, later(60 * n))
        outbox.seal(later(60 * n), force=True)
    found = sent(outbox)
    assert len(measured(found)) + losses(found).total() == batches * devices
    rows = outbox._file.tombstone_sizes(1, Lane.BULK, 0)
    kept = sum(1 for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, batches) if sealed.parts) - len(rows)
    assert sum(rows) < BUDGET // 8
    assert kept > 50, "most of the room is for readings"
    assert {one.values["loss_device"] for one in certificates(outbox)} == {f"meter-{n}" for n in range(devices)}


def test_certificates_that_are_too_heavy_device_by_device_are_of_no_device_in_particular(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    for n in range(20):
        outbox.append(each_once(n, 200), Lane.BULK, T0)
        outbox.seal(T0, force=True)
    outbox._room.evict_down_to(0, FULL)
    outbox._room.tombstones.lighten(1_000)
    (one,) = certificates(outbox)
    assert (one.values["loss_device"], one.values["loss_count"]) == ("*", 20 * 200)


def test_tombstones_that_were_acknowledged_weigh_nothing(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    for n in range(20):
        outbox.append(each_once(n, 200), Lane.BULK, T0)
        outbox.seal(T0, force=True)
        outbox._room.evict_down_to(0, FULL)
    heavy = sum(outbox._file.tombstone_sizes(1, Lane.BULK, 19))
    before = [sealed.parts for sealed in outbox.batches(outbox.epoch, Lane.BULK, 19, 1)]
    outbox.acknowledge(outbox.epoch, Lane.BULK, 19, T0)
    outbox._room.tombstones.lighten(2 * heavy)
    assert [sealed.parts for sealed in outbox.batches(outbox.epoch, Lane.BULK, 19, 1)] == before


def steady(outbox: Outbox, seconds: float, since: float = 0) -> None:
    """Time passes as it does: somebody looks at the clock."""
    for passed in range(0, int(seconds), 1800):
        outbox.seal(later(since + passed))


def test_bulk_older_than_the_age_budget_goes_with_a_certificate_and_urgent_stays(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([door(0)], Lane.URGENT, T0)
    outbox.append(readings(0), Lane.BULK, T0)
    outbox.seal(T0, force=True)
    steady(outbox, MAX_AGE_US / SECOND)
    assert outbox.lost == 0
    steady(outbox, 3600, since=MAX_AGE_US / SECOND)
    assert losses(sent(outbox)) == {OLD: 100}
    assert measured(sent(outbox)) == [door(0)]


def test_a_clock_that_was_set_makes_nothing_old_for_a_day(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append(readings(0), Lane.BULK, T0)
    outbox.seal(T0, force=True)
    month = 30 * 86_400
    steady(outbox, STEADY_US / SECOND, since=month)
    assert outbox.lost == 0
    steady(outbox, 3600, since=month + STEADY_US / SECOND)
    assert outbox.lost == 100


def test_room_that_cannot_be_made_does_not_refuse_what_is_durable(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("CREATE TRIGGER stuck BEFORE DELETE ON chunk BEGIN SELECT RAISE(FAIL, 'stuck'); END")
    accepted, events = fill(outbox, 60), 0
    while outbox._file.used() <= BUDGET:
        outbox.append([door(events)], Lane.URGENT, later(60))
        events += 1
    assert losses(sent(outbox))[FULL] == 0
    assert len(measured(sent(outbox))) + outbox.lost == accepted + events
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("DROP TRIGGER stuck")
    outbox.append([door(events)], Lane.URGENT, later(61))
    assert losses(sent(outbox))[FULL] > 0


def test_the_ballast_is_there_once_the_outbox_is(tmp_path: Path) -> None:
    opened(tmp_path)
    assert ballast.path_beside(tmp_path / "outbox.db").stat().st_size == ballast.BYTES


def test_making_room_forgets_nothing_that_is_not_acknowledged(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for n in range(40):
        outbox.append(readings(n, 10), Lane.BULK, later(n))
        outbox.seal(later(n), force=True)
    outbox.acknowledge(outbox.epoch, Lane.BULK, 7, later(40))
    waiting = sent(outbox)
    outbox._room.forget_down_to(0)
    assert outbox.batches(outbox.epoch, Lane.BULK, 0, 1)[0].seq == 8
    assert sent(outbox) == waiting


def test_an_epoch_that_is_over_leaves_nothing_to_weigh(tmp_path: Path) -> None:
    outbox = opened(tmp_path, 1_000_000)
    outbox.append(readings(0), Lane.BULK, T0)
    outbox.seal(T0, force=True)
    over = outbox.epoch
    outbox._room.evict_down_to(0, FULL)
    outbox.batches(over, Lane.BULK, 0, 1)
    outbox.roll()
    outbox.acknowledge(over, Lane.BULK, 1, Micros(T0 + REPLAY_US + 1))
    assert over not in outbox.epochs
    tombstones = outbox._room.tombstones
    known = {n for kept in (tombstones._handed, tombstones._weights, tombstones._counts) for n, _ in kept}
    assert known <= outbox._streams.epochs.keys()


def test_what_a_clock_that_was_set_back_sealed_before_keeps_its_turn_to_go(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for n, sealed_at in enumerate((later(7200), later(0))):
        outbox.append(readings(n), Lane.BULK, sealed_at)
        outbox.seal(sealed_at, force=True)
    outbox._room.evict_older(later(3600), OLD)
    assert outbox.lost == 100
    outbox._room.evict_down_to(0, FULL)
    assert outbox.lost == 200
