"""Which arrivals are new: those that continue their stream, once."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.arrival import Arrival
from ingest.store.watermark import fresh
from telemetry.identity import Stream

ONE = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")
OTHER = ONE._replace(lane="urgent")


def arrivals(*seqs: int, stream: Stream = ONE) -> list[Arrival]:
    return [Arrival(stream, seq, (), 1) for seq in seqs]


def test_a_stream_starts_at_one() -> None:
    assert fresh(arrivals(1, 2), {}).marks == {ONE: 2}
    assert fresh(arrivals(2, 3), {}) == ((), {})


def test_what_was_seen_is_left_out() -> None:
    new, marks = fresh(arrivals(4, 5, 6), {ONE: 5})
    assert [arrival.seq for arrival in new] == [6]
    assert marks == {ONE: 6}


def test_what_lies_beyond_a_gap_is_left_out() -> None:
    assert fresh(arrivals(1, 3, 4), {}).marks == {ONE: 1}


def test_streams_do_not_know_each_other() -> None:
    assert fresh([*arrivals(8), *arrivals(3, stream=OTHER)], {ONE: 7, OTHER: 2}).marks == {ONE: 8, OTHER: 3}


@given(st.lists(st.integers(1, 12)), st.integers(0, 6))
def test_in_any_order_and_however_often_each_is_taken_once_up_to_the_first_gap(seqs: list[int], mark: int) -> None:
    new, marks = fresh(arrivals(*seqs), {ONE: mark})
    end = mark
    while end + 1 in seqs:
        end += 1
    assert [arrival.seq for arrival in new] == list(range(mark + 1, end + 1))
    assert marks == ({ONE: end} if end > mark else {})
