"""Order per stream: contiguous, once, whatever the order of arrival."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ingest.arrival import Arrival
from ingest.sequencer import HELD, ROLLED_BACK, UNKNOWN, Sequencer, Verdict
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import Span
from telemetry.reading import Micros

REF = GatewayRef("411202002001", "gw-test")
EPOCH = "0123456789abcdef"
STREAM = Stream(*REF, EPOCH, Lane.BULK)


def arrival(seq: int, stream: Stream = STREAM) -> Arrival:
    return Arrival(stream, seq, (), Micros(1_700_000_000_000_000))


def hello(first: int, last: int) -> list[Span]:
    return [Span(EPOCH, Lane.BULK, first, last)]


@given(st.lists(st.integers(1, 20), max_size=80), st.integers(0, 2**32))
def test_any_order_and_repetition_gives_each_seq_once_in_order(extra: list[int], seed: int) -> None:
    seqs = list(range(1, 21)) + extra
    random.Random(seed).shuffle(seqs)
    sequencer = Sequencer({})
    given_out = [ready.seq for seq in seqs for ready in sequencer.push(arrival(seq))[1]]
    assert given_out == list(range(1, 21))


def test_what_the_watermark_has_seen_is_a_duplicate() -> None:
    sequencer = Sequencer({STREAM: 7})
    assert sequencer.push(arrival(7)) == (Verdict.DUPLICATE, [])
    assert sequencer.push(arrival(8))[0] is Verdict.NEW


def test_no_more_than_its_bound_is_held_back() -> None:
    sequencer = Sequencer({})
    verdicts = [sequencer.push(arrival(seq))[0] for seq in range(2, HELD + 4)]
    assert verdicts == [Verdict.HELD] * HELD + [Verdict.DROPPED] * 2


def test_an_unknown_stream_starts_where_the_hello_says_and_gives_out_what_was_held() -> None:
    sequencer = Sequencer({})
    assert sequencer.push(arrival(57)) == (Verdict.HELD, [])
    gaps, ready = sequencer.hello(REF, hello(57, 60))
    assert [(gap.first, gap.last, gap.reason) for gap in gaps] == [(1, 56, UNKNOWN)]
    assert [item.seq for item in ready] == [57]


def test_a_hello_that_agrees_changes_nothing() -> None:
    sequencer = Sequencer({STREAM: 9})
    assert sequencer.hello(REF, hello(5, 12)) == ([], [])
    assert sequencer.push(arrival(10))[0] is Verdict.NEW


def test_a_gateway_that_rolled_back_behind_our_watermark_is_a_gap_and_nothing_is_taken_twice() -> None:
    sequencer = Sequencer({STREAM: 9})
    gaps, _ = sequencer.hello(REF, hello(6, 7))
    assert [(gap.first, gap.last, gap.reason) for gap in gaps] == [(8, 9, ROLLED_BACK)]
    assert sequencer.push(arrival(9))[0] is Verdict.DUPLICATE


def test_a_retained_hello_is_older_than_what_came_since_and_no_rollback() -> None:
    sequencer = Sequencer({STREAM: 9})
    assert sequencer.hello(REF, hello(6, 7), retained=True) == ([], [])
    assert sequencer.hello(REF, hello(57, 60), retained=True) == ([], [])
    assert sequencer.concede(arrival(57)) is not None  # what it holds no more is believed of it all the same


def test_streams_do_not_wait_for_each_other() -> None:
    sequencer = Sequencer({})
    other = Stream(*REF, EPOCH, Lane.URGENT)
    assert sequencer.push(arrival(2))[0] is Verdict.HELD
    assert sequencer.push(arrival(1, other))[0] is Verdict.NEW


def test_what_a_full_sink_refused_is_taken_when_it_comes_again() -> None:
    sequencer = Sequencer({})
    _, (first,) = sequencer.push(arrival(1))
    sequencer.unpush(first)
    assert sequencer.push(arrival(1))[0] is Verdict.NEW


def test_a_hello_alone_moves_nothing_however_far_ahead_it_claims_to_be() -> None:
    sequencer = Sequencer({STREAM: 5})
    assert sequencer.hello(REF, hello(10**18, 10**18)) == ([], [])
    assert sequencer.concede(arrival(6)) is None
    assert sequencer.push(arrival(6))[0] is Verdict.NEW


def test_what_the_gateway_has_forgotten_is_given_up_when_a_later_batch_comes() -> None:
    sequencer = Sequencer({})
    assert sequencer.hello(REF, hello(57, 60)) == ([], [])
    assert sequencer.concede(arrival(58)) == (STREAM, 1, 56, UNKNOWN)
    assert sequencer.push(arrival(58)) == (Verdict.HELD, [])
    assert sequencer.concede(arrival(57)) is None
    assert [item.seq for item in sequencer.push(arrival(57))[1]] == [57, 58]


def test_nothing_is_given_up_that_has_come_after_the_hello() -> None:
    sequencer = Sequencer({})
    sequencer.hello(REF, hello(3, 4))
    given_out = [item.seq for seq in (1, 2) for item in sequencer.push(arrival(seq))[1]]
    assert sequencer.concede(arrival(3)) is None
    assert given_out + [item.seq for item in sequencer.push(arrival(3))[1]] == [1, 2, 3]


def test_the_newest_hello_alone_counts() -> None:
    sequencer = Sequencer({})
    sequencer.hello(REF, hello(57, 60))
    sequencer.hello(REF, [])
    assert sequencer.concede(arrival(58)) is None


def test_a_gateway_of_many_epochs_is_held_no_more_than_one_of_few() -> None:
    sequencer = Sequencer({})
    streams = [Stream(*REF, f"{number:016x}", Lane.BULK) for number in range(HELD + 10)]
    verdicts = [sequencer.push(arrival(2, stream))[0] for stream in streams]
    assert verdicts == [Verdict.HELD] * HELD + [Verdict.DROPPED] * 10
    assert [item.seq for item in sequencer.push(arrival(1, streams[0]))[1]] == [1, 2]
    assert sequencer.push(arrival(2, streams[-1]))[0] is Verdict.HELD
