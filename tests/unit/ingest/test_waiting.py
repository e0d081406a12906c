"""What waits for a store: in order, fair between gateways, bounded, gaps between the batches."""

import pytest

from ingest import waiting as module
from ingest.arrival import Arrival
from ingest.sequencer import UNKNOWN, Gap
from ingest.waiting import OVERHEAD, Waiting
from telemetry.batch import Lane, Poison
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
READING = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0, values={"voltage": 230.0})
COST = OVERHEAD + 1_000


def arrival(gateway: str, seq: int, lane: Lane = Lane.BULK, readings: int = 1, size: int = 1_000) -> Arrival:
    stream = Stream("411202002001", gateway, "0123456789abcdef", lane)
    return Arrival(stream, seq, (READING,) * readings, T0, size=size)


def gap(gateway: str, last: int) -> Gap:
    return Gap(arrival(gateway, 1).stream, 1, last, UNKNOWN)


def given(waiting: Waiting) -> list[tuple[str, int]]:
    """What is done next, and is done now."""
    waiting.next()
    return [(item.stream.gateway, item.last if isinstance(item, Gap) else item.seq) for item in waiting.done()]


@pytest.fixture
def room_for_six(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 6 * COST)


def test_gateways_take_turns_and_each_keeps_its_order() -> None:
    waiting = Waiting(group_readings=8)
    for seq in (1, 2, 3):
        waiting.put(arrival("gw-flood", seq))
    waiting.put(arrival("gw-quiet", 1))
    assert given(waiting) == [("gw-flood", 1), ("gw-quiet", 1), ("gw-flood", 2), ("gw-flood", 3)]


def test_a_flood_does_not_put_a_later_gateway_off_to_a_later_group() -> None:
    waiting = Waiting(group_readings=4)
    for seq in range(1, 100):
        waiting.put(arrival("gw-flood", seq))
    waiting.put(arrival("gw-quiet", 1))
    assert given(waiting) == [("gw-flood", 1), ("gw-quiet", 1)]


def test_poison_takes_more_of_a_group_than_a_reading() -> None:
    waiting = Waiting(group_readings=10)
    poison = (Poison(b"{}", "no device"),)
    waiting.put(arrival("gw-bad", 1)._replace(poison=poison))
    waiting.put(arrival("gw-bad", 2)._replace(poison=poison))
    waiting.put(arrival("gw-good", 1))
    assert [given(waiting) for _ in range(3)] == [[("gw-bad", 1)], [("gw-good", 1)], [("gw-bad", 2)]]


def test_what_is_small_goes_past_a_batch_that_does_not_fit_which_is_first_the_next_time() -> None:
    waiting = Waiting(group_readings=10)
    waiting.put(arrival("gw-a", 1))
    waiting.put(arrival("gw-bad", 1)._replace(poison=(Poison(b"{}", "no device"),)))
    for seq in (1, 2):
        waiting.put(arrival("gw-b", seq))
    assert given(waiting) == [("gw-a", 1), ("gw-b", 1), ("gw-b", 2)]
    waiting.put(arrival("gw-a", 2))
    assert [given(waiting) for _ in range(2)] == [[("gw-bad", 1)], [("gw-a", 2)]]


def test_urgent_goes_before_bulk_of_all_gateways() -> None:
    waiting = Waiting(group_readings=4)
    for seq in (1, 2):
        waiting.put(arrival("gw-a", seq))
    assert waiting.hurries  # a whole group
    waiting.put(arrival("gw-b", 1, Lane.URGENT))
    assert waiting.hurries
    assert given(waiting) == [("gw-b", 1)]
    assert given(waiting) == [("gw-a", 1), ("gw-a", 2)]


def test_what_is_urgent_goes_alone_and_then_lets_bulk_go_with_it() -> None:
    waiting = Waiting(group_readings=6)
    for seq in (1, 2, 3):
        waiting.put(arrival("gw-a", seq))
    found = []
    for seq in range(1, 5):
        waiting.put(arrival("gw-b", seq, Lane.URGENT))
        found.append(given(waiting))
    assert found == [[("gw-b", 1)], [("gw-b", 2), ("gw-a", 1), ("gw-a", 2)], [("gw-b", 3)], [("gw-b", 4), ("gw-a", 3)]]


def test_a_flood_of_what_is_urgent_leaves_bulk_half_of_every_second_group() -> None:
    waiting = Waiting(group_readings=8)
    for seq in range(1, 40):
        waiting.put(arrival("gw-mad", seq, Lane.URGENT))
        waiting.put(arrival("gw-a", seq))
    groups = [[gateway for gateway, _ in given(waiting)] for _ in range(4)]
    assert groups == [["gw-mad"] * 4, ["gw-mad"] * 2 + ["gw-a"] * 2] * 2


def test_while_something_urgent_comes_now_and_then_bulk_is_written_in_brief_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BRIEF", 4)
    monkeypatch.setattr(module, "BRIEFLY", 2)
    waiting = Waiting(group_readings=8)
    for seq in range(1, 20):
        waiting.put(arrival("gw-a", seq))
    assert len(given(waiting)) == 4
    waiting.put(arrival("gw-b", 1, Lane.URGENT))
    assert [len(given(waiting)) for _ in range(4)] == [1, 2, 2, 4]


def test_a_gap_before_what_is_urgent_keeps_no_bulk_waiting() -> None:
    waiting = Waiting(group_readings=4)
    waiting.put_gap(gap("gw-b", 1)._replace(stream=arrival("gw-b", 1, Lane.URGENT).stream))
    waiting.put_gap(gap("gw-c", 1)._replace(stream=arrival("gw-c", 1, Lane.URGENT).stream))
    waiting.put(arrival("gw-a", 1))
    assert [given(waiting) for _ in range(3)] == [[("gw-b", 1)], [("gw-a", 1)], [("gw-c", 1)]]


def test_what_was_given_out_is_given_again_unchanged_until_it_is_done() -> None:
    waiting = Waiting(group_readings=100)
    waiting.put(arrival("gw-a", 1))
    first = waiting.next()
    waiting.put(arrival("gw-a", 2, Lane.URGENT))
    assert waiting.next() == first
    assert len(waiting.done()) == 1
    assert given(waiting) == [("gw-a", 2)]
    assert not waiting
    assert waiting.load == 0


def test_the_next_whole_group_is_foreseen_once_and_comes_next() -> None:
    waiting = Waiting(group_readings=4)
    for seq in (1, 2, 3):
        waiting.put(arrival("gw-a", seq))
    assert waiting.foresee() == []  # nothing is given out yet: what comes next is asked for
    assert [one.seq for one in waiting.next()] == [1, 2]
    assert waiting.foresee() == []  # what waits is less than a group
    for seq in (4, 5, 6):
        waiting.put(arrival("gw-a", seq))
    assert [one.seq for one in waiting.foresee()] == [3, 4]
    assert waiting.foresee() == []
    waiting.put_gap(gap("gw-a", 8))
    assert len(list(waiting)) == 7
    waiting.done()
    assert waiting.hurries
    assert [given(waiting) for _ in range(3)] == [[("gw-a", 3), ("gw-a", 4)], [("gw-a", 5), ("gw-a", 6)], [("gw-a", 8)]]
    assert not waiting
    assert waiting.load == 0


def test_what_is_urgent_comes_before_what_was_foreseen_and_no_order_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BRIEF", 2)
    waiting = Waiting(group_readings=4)
    for seq in range(1, 7):
        waiting.put(arrival("gw-a", seq))
    waiting.next()
    waiting.foresee()
    waiting.put_gap(gap("gw-a", 8))
    waiting.put(arrival("gw-b", 1, Lane.URGENT))
    waiting.done()
    assert waiting.foresee() == []
    assert given(waiting) == [("gw-b", 1)]
    assert [given(waiting) for _ in range(5)] == [[("gw-a", seq)] for seq in (3, 4, 5, 6, 8)]


def test_a_gap_has_its_turn_however_long_whole_groups_wait() -> None:
    waiting = Waiting(group_readings=4)
    for seq in range(1, 30):
        waiting.put(arrival("gw-flood", seq))
    waiting.next()
    waiting.foresee()
    for last in (8, 9):
        waiting.put_gap(gap("gw-a", last))
    told = []
    for _ in range(6):
        (first, *_rest) = waiting.done()
        told.append((first.stream.gateway, first.last if isinstance(first, Gap) else first.seq))
        waiting.next()
        waiting.foresee()
    flood = "gw-flood"
    assert told == [(flood, 1), (flood, 3), ("gw-a", 8), (flood, 5), ("gw-a", 9), (flood, 7)]


@pytest.mark.usefixtures("room_for_six")
def test_a_gateway_that_holds_its_share_is_refused_and_another_finds_room() -> None:
    waiting = Waiting(group_readings=100)
    assert [waiting.put(arrival("gw-flood", seq)) for seq in range(1, 7)] == [[]] * 6
    refused = arrival("gw-flood", 7)
    assert waiting.put(refused) == [refused]
    assert [one.seq for one in waiting.put(arrival("gw-quiet", 1))] == [6]
    assert [one.seq for one in waiting.put(arrival("gw-quiet", 2))] == [5]
    assert waiting.load == 6 * COST


@pytest.mark.usefixtures("room_for_six")
def test_room_is_bytes_whatever_the_number_of_readings() -> None:
    waiting = Waiting(group_readings=100)
    assert waiting.put(arrival("gw-a", 1, readings=500, size=5 * 1_000 + 4 * OVERHEAD)) == []
    assert waiting.is_crowded
    assert waiting.put(arrival("gw-a", 2, size=1_001)) != []
    assert waiting.put(arrival("gw-a", 2)) == []


@pytest.mark.usefixtures("room_for_six")
def test_what_a_gateway_holds_beyond_its_window_keeps_nobody_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAWFUL", 2 * COST)
    waiting = Waiting(group_readings=100)
    for seq in range(1, 6):
        waiting.put(arrival("gw-flood", seq))
    waiting.put(arrival("gw-quiet", 1))
    assert not waiting.is_crowded
    waiting.put(arrival("gw-quiet", 2))  # and the flood gives up one of its own
    assert waiting.is_crowded


@pytest.mark.usefixtures("room_for_six")
def test_what_is_being_written_is_not_taken_back() -> None:
    waiting = Waiting(group_readings=100)
    for seq in range(1, 7):
        waiting.put(arrival("gw-flood", seq))
    waiting.next()
    newcomer = arrival("gw-quiet", 1)
    assert waiting.put(newcomer) == [newcomer]


def test_a_gap_keeps_its_place_in_its_stream_and_lets_others_pass() -> None:
    waiting = Waiting(group_readings=100)
    waiting.put(arrival("gw-a", 1))
    waiting.put_gap(gap("gw-a", 8))
    waiting.put(arrival("gw-a", 9))
    waiting.put(arrival("gw-b", 1))
    assert given(waiting) == [("gw-a", 1), ("gw-b", 1)]
    assert given(waiting) == [("gw-a", 8)]
    assert given(waiting) == [("gw-a", 9)]


def test_many_gaps_of_one_gateway_delay_the_others_by_one() -> None:
    waiting = Waiting(group_readings=100)
    for last in range(1, 9):
        waiting.put_gap(gap("gw-bad", last))
    assert given(waiting) == [("gw-bad", 1)]
    waiting.put(arrival("gw-good", 1))
    assert given(waiting) == [("gw-good", 1)]
    assert given(waiting) == [("gw-bad", 2)]
