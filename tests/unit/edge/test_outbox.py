"""The outbox's invariants, each by its own name."""

import sqlite3
from pathlib import Path

import pytest

from edge.outbox import BATCH_AGE_US, BATCH_READINGS, EpochUnknown, MarkBeyond, Outbox, OutboxUnusable
from edge.outbox.budget import REPLAY_US
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
LATER = Micros(T0 + 60_000_000)


def reading(n: int, device: str = "b3-meter") -> Reading:
    return Reading(device=device, kind=Kind.ENERGY, at=T0 + n, values={"voltage": 230.0 + n})


def opened(path: Path, **options: int) -> Outbox:
    return Outbox.open(path / "outbox.db", gateway="gw-test", now=T0, **options)


def sent(outbox: Outbox) -> list[Reading]:
    """Every reading that the outbox would send, in the order of its streams."""
    found = []
    for span in outbox.spans():
        for sealed in outbox.batches(span.epoch, span.lane, span.first - 1, 10_000):
            found += decode(sealed.message(T0, False)).batch.readings
    return found


def test_append_is_durable_without_a_clean_stop(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1), reading(2)], Lane.BULK, T0)
    first.append([reading(3)], Lane.URGENT, T0)
    second = opened(tmp_path)  # the first is never closed: as after a kill
    assert sorted(r.at for r in sent(second)) == [T0 + 1, T0 + 2, T0 + 3]


def test_urgent_is_sealed_at_once_and_bulk_by_age(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.append([reading(1)], Lane.URGENT, T0)
    assert not outbox.append([reading(2)], Lane.BULK, T0)
    assert not outbox.seal(Micros(T0 + BATCH_AGE_US - 1))
    assert outbox.seal(Micros(T0 + BATCH_AGE_US))


def test_a_batch_never_holds_more_than_its_limit(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for start in range(0, 1200, 300):
        outbox.append([reading(start + n) for n in range(300)], Lane.BULK, T0)
    outbox.seal(T0, force=True)
    counts = [sealed.readings for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 10)]
    assert sum(counts) == 1200
    assert max(counts) <= BATCH_READINGS


def test_reading_does_not_remove_and_only_an_acknowledgement_forgets(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1)], Lane.URGENT, T0)
    assert sent(outbox) == sent(outbox) == [reading(1)]
    outbox.acknowledge(outbox.epoch, Lane.URGENT, 1, T0)
    assert sent(outbox) == []


@pytest.mark.parametrize(("epoch", "seq"), [("0" * 16, 1), (None, 2)])
def test_a_mark_of_another_epoch_or_beyond_the_last_seq_deletes_nothing(tmp_path: Path, epoch: str | None, seq: int) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1)], Lane.URGENT, T0)
    with pytest.raises(EpochUnknown if epoch else MarkBeyond):
        outbox.acknowledge(epoch or outbox.epoch, Lane.URGENT, seq, T0)
    assert sent(outbox) == [reading(1)]


def test_acknowledged_batches_stay_for_the_replay_window(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1)], Lane.URGENT, T0)
    outbox.acknowledge(outbox.epoch, Lane.URGENT, 1, T0)
    assert len(outbox.batches(outbox.epoch, Lane.URGENT, 0, 10)) == 1
    after = Micros(T0 + REPLAY_US + 1)
    outbox.append([reading(2)], Lane.URGENT, after)
    outbox.acknowledge(outbox.epoch, Lane.URGENT, 2, after)
    assert [sealed.seq for sealed in outbox.batches(outbox.epoch, Lane.URGENT, 0, 10)] == [2]


def test_every_start_opens_a_new_epoch_that_names_the_one_before(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1)], Lane.URGENT, T0)
    epoch = first.epoch
    first.close()
    second = opened(tmp_path)
    assert second.epoch != epoch
    current = [span for span in second.spans() if span.epoch == second.epoch and span.lane is Lane.URGENT]
    assert [(span.before, span.before_last) for span in current] == [(epoch, 1)]


def test_what_a_run_had_not_sealed_comes_in_an_epoch_between_its_own_and_that_of_the_next_run(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(n) for n in range(BATCH_READINGS)], Lane.BULK, T0)
    first.append([reading(500), reading(501)], Lane.BULK, T0)
    first.append([reading(502)], Lane.BULK, T0)
    second = opened(tmp_path)  # as after a kill
    second.append([reading(503)], Lane.BULK, LATER)
    second.seal(LATER, force=True)
    sealed = {span.epoch: [span.last, span.before, span.before_last] for span in second.spans() if span.lane is Lane.BULK}
    _, between, _ = sealed
    assert sealed == {first.epoch: [1, None, 0], between: [1, first.epoch, 1], second.epoch: [1, between, 1]}
    assert [found.at - T0 for found in sent(second)] == list(range(504))
    (left,) = second.batches(between, Lane.BULK, 0, 10)
    assert left.readings == 3


def test_a_start_that_finds_everything_sealed_opens_one_epoch(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1)], Lane.BULK, T0)
    first.seal(T0, force=True)
    first.close()
    second = opened(tmp_path)
    assert second.epochs == [first.epoch, second.epoch]


def test_a_card_that_forgot_what_was_sent_gives_no_key_to_other_readings(tmp_path: Path) -> None:
    """The centre would take them for what it has."""
    first = opened(tmp_path)
    first.append([reading(1)], Lane.BULK, T0)
    rolled_back = tmp_path / "rolled-back"
    rolled_back.mkdir()
    with sqlite3.connect(tmp_path / "outbox.db") as now, sqlite3.connect(rolled_back / "outbox.db") as then:
        now.backup(then)
    first.append([reading(2)], Lane.BULK, T0)
    first.seal(T0, force=True)
    assert {(span.epoch, span.last) for span in first.spans() if span.lane is Lane.BULK} == {(first.epoch, 1)}
    again = opened(rolled_back)
    assert sent(again) == [reading(1)]
    assert first.epoch not in {span.epoch for span in again.spans() if span.last}


def copied(folder: Path, name: str) -> Path:
    """A copy of a card, as it is now."""
    (folder / name).mkdir()
    with sqlite3.connect(folder / "outbox.db") as card, sqlite3.connect(folder / name / "outbox.db") as copy:
        card.backup(copy)
    return folder / name


def test_what_was_left_unsealed_has_the_same_key_on_each_copy_of_a_card_and_what_is_read_then_has_not(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(n) for n in range(300)], Lane.BULK, T0)
    first.append([reading(n) for n in range(300, 600)], Lane.BULK, T0)
    one, other = (opened(copied(tmp_path, name)) for name in ("one", "other"))
    left, its = ([span for span in copy.spans() if span.lane is Lane.BULK and span.last] for copy in (one, other))
    assert left == its and left
    assert all(one.batches(*key)[0].parts == other.batches(*key)[0].parts for key in [(left[-1].epoch, Lane.BULK, 0, 1)])
    assert one.epoch != other.epoch


def test_what_was_left_unsealed_has_another_key_where_it_is_not_the_same(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1)], Lane.BULK, T0)
    before = opened(copied(tmp_path, "before"))
    first.append([reading(2)], Lane.BULK, T0)
    after = opened(copied(tmp_path, "after"))
    epochs = [{span.epoch for span in copy.spans() if span.last} for copy in (before, after)]
    assert all(epochs) and not epochs[0] & epochs[1]


def test_chunks_after_everything_older_was_forgotten_are_not_mistaken_for_sealed(tmp_path: Path) -> None:
    first = opened(tmp_path)
    for n in range(5):
        first.append([reading(n)], Lane.URGENT, T0)
    first.acknowledge(first.epoch, Lane.URGENT, 5, Micros(T0 + REPLAY_US + 1))
    first.close()
    second = opened(tmp_path)
    second.append([reading(9)], Lane.URGENT, LATER)
    second.close()
    assert sent(opened(tmp_path)) == [reading(9)]


def test_a_batch_sent_again_is_the_same_but_for_its_marks(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1), reading(2)], Lane.URGENT, T0)
    (sealed,) = outbox.batches(outbox.epoch, Lane.URGENT, 0, 1)
    once, again = decode(sealed.message(T0, False)).batch, decode(sealed.message(LATER, True)).batch
    assert once.readings == again.readings
    assert (again.sent_at, again.resent, again.seq) == (LATER, True, once.seq)


def test_a_rolled_back_file_takes_the_mark_of_an_epoch_it_knows_only_the_beginning_of(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1)], Lane.URGENT, T0)
    epoch = first.epoch
    first.close()
    second = opened(tmp_path)
    assert second.acknowledge(epoch, Lane.URGENT, 9, T0) == 1
    assert second.acknowledge(epoch, Lane.URGENT, 9, T0) == 0
    assert sent(second) == []


def test_recent_readings_come_back_newest_first(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1), reading(2, "b3-door")], Lane.BULK, T0)
    first.append([reading(3)], Lane.BULK, T0)
    assert list(opened(tmp_path).recent()) == [reading(3), reading(2, "b3-door"), reading(1)]


def test_pending_tells_batches_readings_and_the_oldest_instant(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.pending() == (0, 0, 0)
    outbox.append([reading(5)], Lane.BULK, T0)
    outbox.append([reading(2), reading(9)], Lane.URGENT, T0)
    assert outbox.pending() == (1, 3, T0 + 2)
    outbox.acknowledge(outbox.epoch, Lane.URGENT, 1, T0)
    assert outbox.pending() == (0, 1, T0 + 5)


def test_a_file_that_takes_nothing_is_said_in_words(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("CREATE TRIGGER stuck BEFORE INSERT ON epoch BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
    with pytest.raises(OutboxUnusable, match="cannot be used: disk is full"):
        opened(tmp_path)


def test_what_can_be_sent_again_goes_back_to_the_oldest_that_was_not_forgotten(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.kept_since() is None
    outbox.append([reading(1)], Lane.URGENT, T0)
    outbox.append([reading(2)], Lane.URGENT, LATER)
    outbox.acknowledge(outbox.epoch, Lane.URGENT, 2, LATER)
    assert outbox.kept_since() == 0
    assert [sealed.seq for sealed in outbox.kept(T0, LATER, (0, Lane.BULK, 0), 10)] == [1]
    assert [sealed.seq for sealed in outbox.kept(T0, LATER + 1, (1, Lane.URGENT, 1), 10)] == [2]
    outbox.seal(Micros(T0 + REPLAY_US + 1))
    assert outbox.kept_since() == LATER
