"""The outbox's invariants, each by its own name, and a random walk against a plain list."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.outbox import BATCH_AGE_US, BATCH_READINGS, Outbox, OutboxUnusable
from edge.outbox.outbox import REPLAY_US
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
    with pytest.raises(ValueError, match="beyond what was sealed"):
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


def test_what_was_accepted_and_not_sealed_goes_into_the_next_epoch(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append([reading(1)], Lane.BULK, T0)
    first.close()
    second = opened(tmp_path)
    assert [sealed.epoch for sealed in second.batches(second.epoch, Lane.BULK, 0, 10)] == [second.epoch]
    assert sent(second) == [reading(1)]


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


def test_over_the_budget_the_oldest_bulk_batch_leaves_certificates_and_urgent_stays(tmp_path: Path) -> None:
    outbox = opened(tmp_path, max_bytes=4_000)
    outbox.append([reading(0, "b3-door")], Lane.URGENT, T0)
    for n in range(60):
        outbox.append([reading(10 * n + k, f"meter-{k}") for k in range(5)], Lane.BULK, T0)
        outbox.seal(T0, force=True)
    seqs = [sealed.seq for sealed in outbox.batches(outbox.epoch, Lane.BULK, 0, 100)]
    assert seqs == list(range(1, 61))  # no holes: tombstones keep the place
    everything = sent(outbox)
    certificates = [r for r in everything if r.values.get("event") == "loss"]
    lost = sum(int(r.values["loss_count"]) for r in certificates)
    assert lost == outbox.evicted > 0
    assert len(everything) - len(certificates) + lost == 301
    assert any(r.device == "b3-door" for r in everything)
    assert {r.values["loss_device"] for r in certificates} <= {f"meter-{k}" for k in range(5)}


def test_a_damaged_chunk_is_sent_as_its_certificate_and_the_rest_is_whole(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.append([reading(1), reading(2)], Lane.BULK, T0)
    outbox.append([reading(3)], Lane.BULK, T0)
    outbox.seal(T0, force=True)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("UPDATE chunk SET body = zeroblob(length(body)) WHERE n = 1 AND lane = 'bulk'")
    found = sent(outbox)
    assert [r.at for r in found if r.kind is Kind.ENERGY] == [T0 + 3]
    (certificate,) = [r for r in found if r.kind is Kind.GATEWAY]
    assert certificate.values["loss_count"] == 2


def test_a_damaged_chunk_that_is_given_up_leaves_its_certificate_too(tmp_path: Path) -> None:
    outbox = opened(tmp_path, max_bytes=600)
    outbox.append([reading(1), reading(2)], Lane.BULK, T0)
    outbox.append([reading(3)], Lane.BULK, T0)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("UPDATE chunk SET crc = crc + 1 WHERE n = 1")
    for n in range(4, 20):
        outbox.seal(T0, force=True)
        outbox.append([reading(n)], Lane.BULK, T0)
    certificates = {r.values["loss_reason"]: r for r in sent(outbox) if r.kind is Kind.GATEWAY and r.at < T0 + 2_000}
    assert certificates["outbox full"].values["loss_count"] == 1
    assert certificates["damaged on disk"].values["loss_device"] == "*"
    assert certificates["damaged on disk"].values["loss_count"] == 2


def test_certificates_never_share_an_instant(tmp_path: Path) -> None:
    outbox = opened(tmp_path, max_bytes=100)
    for n in range(30):
        outbox.append([reading(3 * n, "meter-a"), reading(3 * n + 1, "meter-b")], Lane.BULK, T0)
        outbox.seal(T0, force=True)
    outbox.append([reading(100)], Lane.BULK, T0)
    ats = [r.at for r in sent(outbox) if r.kind is Kind.GATEWAY]
    assert len(ats) == len(set(ats)) == 60


def test_room_that_cannot_be_made_does_not_refuse_what_is_durable(tmp_path: Path) -> None:
    outbox = opened(tmp_path, max_bytes=100)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("CREATE TRIGGER stuck BEFORE UPDATE ON batch BEGIN SELECT RAISE(FAIL, 'stuck'); END")
    for n in range(3):
        outbox.append([reading(n)], Lane.BULK, T0)
        outbox.seal(T0, force=True)
    assert len(sent(outbox)) == 3
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("DROP TRIGGER stuck")
    outbox.append([reading(3)], Lane.BULK, T0)
    assert outbox.evicted == 3


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


def test_a_file_of_a_newer_version_is_refused_with_the_cure(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(OutboxUnusable, match=r"version 99.*upgrade"):
        opened(tmp_path)


def test_a_file_that_takes_nothing_is_said_in_words(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("CREATE TRIGGER stuck BEFORE INSERT ON epoch BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
    with pytest.raises(OutboxUnusable, match="cannot be used: disk is full"):
        opened(tmp_path)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(Lane), st.integers(1, 40)),
        st.tuples(st.just("seal"), st.none(), st.none()),
        st.tuples(st.just("roll"), st.none(), st.none()),
        st.tuples(st.just("reopen"), st.none(), st.none()),
        st.tuples(st.just("ack"), st.integers(0, 5), st.integers(1, 5)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_order_of_events_keeps_exactly_what_was_not_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.mktemp("walk")
    outbox, expected, n = opened(path), set[int](), 0
    keys = set()
    for verb, what, amount in steps:
        if verb == "append":
            outbox.append([reading(n + k) for k in range(amount)], what, T0)
            expected |= {T0 + n + k for k in range(amount)}
            n += amount
        elif verb == "seal":
            outbox.seal(T0, force=True)
        elif verb == "roll":
            outbox.roll()
        elif verb == "reopen":
            outbox = opened(path)
        elif open_spans := [span for span in outbox.spans() if span.last >= span.first]:
            span = open_spans[what % len(open_spans)]
            upto = min(span.last, span.first + amount - 1)
            covered = [s for s in outbox.batches(span.epoch, span.lane, span.first - 1, amount) if s.seq <= upto]
            expected -= {r.at for s in covered for r in decode(s.message(T0, False)).batch.readings}
            outbox.acknowledge(span.epoch, span.lane, upto, T0)
    outbox.seal(T0, force=True)
    for span in outbox.spans():
        for sealed in outbox.batches(span.epoch, span.lane, 0, 1000):
            key = (sealed.epoch, sealed.lane, sealed.seq)
            assert key not in keys
            keys.add(key)
    ats = [r.at for r in sent(outbox)]
    assert len(ats) == len(set(ats))
    assert set(ats) == expected
