"""What the outbox decides with: when a lane is sealed, what a chunk keeps, what a loss leaves behind."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outbox.chunk import Chunk, chunk_of, readings_of, text_of
from edge.outbox.loss import DAMAGED, FULL, OLD, THINNED, Lost, Place, certificate, given_up, lost_of, merged
from edge.outbox.tail import BATCH_AGE_US, BATCH_BYTES, BATCH_READINGS, EMPTY, Tail
from edge.outbox.thin import HOUR_US, MINUTE_US, WORTH, Tally, Thinned, thin
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading, faults_of

T0 = Micros(1_700_000_000_000_000)


def reading(n: int, device: str = "b3-meter") -> Reading:
    return Reading(device=device, kind=Kind.ENERGY, at=T0 + n, values={"voltage": 230.0 + n})


def chunk(readings: int = 1, size: int = 10, first_at: int = T0) -> Chunk:
    return Chunk(readings, first_at, size, 0, b"body")


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_a_chunk_gives_back_what_it_was_made_of(offsets: list[int]) -> None:
    readings = [reading(n) for n in offsets]
    made = chunk_of(readings)
    assert readings_of(made) == readings
    assert (made.readings, made.first_at, made.size) == (len(readings), T0 + min(offsets), len(text_of(made) or b""))


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_flipped_bit_is_found(at: int) -> None:
    made = chunk_of([reading(1)])
    body = bytearray(made.body)
    body[at] ^= 1
    assert readings_of(made._replace(body=bytes(body))) is None


def test_what_this_version_cannot_read_is_as_good_as_damaged() -> None:
    body = zlib.compress(b'{"device":7}')
    assert readings_of(Chunk(1, T0, 12, zlib.crc32(body), body)) is None


@pytest.mark.parametrize(
    ("tail", "now", "due"),
    [
        (Tail(readings=BATCH_READINGS - 1, since=T0), T0, False),
        (Tail(readings=BATCH_READINGS, since=T0), T0, True),
        (Tail(readings=1, size=BATCH_BYTES - 1, since=T0), T0, False),
        (Tail(readings=1, size=BATCH_BYTES, since=T0), T0, True),
        (Tail(readings=1, since=T0), T0 + BATCH_AGE_US - 1, False),
        (Tail(readings=1, since=T0), T0 + BATCH_AGE_US, True),
        (Tail(readings=1, since=T0), T0 - 1, True),  # the clock stepped back: nobody knows how long it waited
    ],
)
def test_a_tail_is_due_by_count_size_or_age(tail: Tail, now: int, due: bool) -> None:
    assert tail.is_due(now) is due


def test_a_tail_begins_with_its_first_chunk_and_keeps_its_earliest_instant() -> None:
    tail = EMPTY.with_chunk(7, chunk(2, 10, T0 + 5), T0 + 9).with_chunk(8, chunk(3, 20, T0 + 1), T0 + 10)
    assert tail == Tail(first=7, readings=5, size=30, first_at=T0 + 1, since=T0 + 9)


def test_a_tail_has_room_for_a_batch_and_no_more_but_always_for_a_first_chunk() -> None:
    assert EMPTY.has_room(chunk(BATCH_READINGS + 1))
    tail = EMPTY.with_chunk(1, chunk(BATCH_READINGS - 2), T0)
    assert tail.has_room(chunk(2))
    assert not tail.has_room(chunk(3))


def test_what_is_given_up_is_told_device_by_device_and_the_unreadable_after_them() -> None:
    sound = chunk_of([reading(3, "meter-b"), reading(1, "meter-a"), reading(2, "meter-b")])
    carried, lost = given_up([sound, sound._replace(crc=0)], 7, T0 + 1, T0 + 9, FULL)
    assert carried == []
    assert lost == [
        ("meter-a", T0 + 1, T0 + 1, 1, FULL),
        ("meter-b", T0 + 2, T0 + 3, 2, FULL),
        ("*", T0 + 1, T0 + 9, 4, DAMAGED),
    ]


def test_certificates_that_go_with_their_batch_are_carried_on() -> None:
    earlier = Lost("meter-a", T0 + 1, T0 + 2, 7, THINNED)
    chunk = chunk_of([reading(3), certificate(earlier, Place("gw-test", 1, T0 + 3), 0)])
    carried, lost = given_up([chunk], 2, T0, T0 + 9, FULL)
    assert carried == [earlier]
    assert lost == [("b3-meter", T0 + 3, T0 + 3, 1, FULL)]


def test_losses_of_a_device_are_put_together_by_their_reason() -> None:
    losses = [Lost("meter-a", T0, T0 + 5, 3, FULL), Lost("meter-a", T0 + 9, T0 + 9, 1, FULL), Lost("meter-a", T0, T0, 1, OLD)]
    assert merged(losses) == [("meter-a", T0, T0, 1, OLD), ("meter-a", T0, T0 + 9, 4, FULL)]
    losses.append(Lost("meter-b", T0 - 1, T0, 2, FULL))
    assert merged(losses, most=2) == [("*", T0, T0, 1, OLD), ("*", T0 - 1, T0 + 9, 6, FULL)]


def test_a_certificate_is_a_sound_reading_and_the_same_each_time_it_is_made() -> None:
    _, (lost,) = given_up([chunk_of([reading(1)])], 1, T0, T0 + 9, FULL)
    place = Place("gw-test", 7, T0 + 9)
    made = certificate(lost, place, 0)
    assert faults_of(made) == []
    assert lost_of(made) == lost
    assert made == certificate(lost, place, 0)
    others = {certificate(lost, place, 1).at, certificate(lost, place._replace(seq=8), 0).at}
    assert made.at not in others
    assert len(others) == 2


def thinned(*offsets_s: int, device: str = "b3-meter", keep_some: bool = True) -> Thinned:
    return thin([reading(s * 1_000_000, device) for s in offsets_s], {}, {}, T0, keep_some=keep_some)


def test_thinning_keeps_one_reading_a_minute_of_each_device_and_counts_the_others() -> None:
    left = 60 - T0 // 1_000_000 % 60  # seconds to the next minute
    found = thinned(0, 1, 2, left, left + 1)
    assert [one.at for one in found.kept] == [T0, T0 + left * 1_000_000]
    assert found.tallies == {"b3-meter": Tally(T0 + 1_000_000, T0 + (left + 1) * 1_000_000, 3, T0)}


def test_thinning_tells_metrics_apart_and_leaves_events_alone() -> None:
    other = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + 1, values={"current": 1.0})
    event = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + 2, values={"event": "tamper"}, event_id="e1")
    assert thin([reading(0), other, event, reading(3)], {}, {}, T0, keep_some=True).kept == [reading(0), other, event]
    assert thin([reading(0), other, event], {}, {}, T0, keep_some=False).kept == [event]


def test_thinning_goes_on_where_it_was() -> None:
    first = thin([reading(0), reading(1)], {}, {}, T0, keep_some=True)
    second = thin([reading(2)], first.tallies, first.minutes, T0 + 5, keep_some=True)
    assert second.kept == []
    assert second.tallies == {"b3-meter": Tally(T0 + 1, T0 + 2, 2, T0)}


@pytest.mark.parametrize(
    ("readings", "after_us", "crowded", "ripe"),
    [
        (1, MINUTE_US - 1, False, False),
        (1, MINUTE_US, False, True),
        (WORTH - 1, MINUTE_US, True, False),
        (WORTH, MINUTE_US, True, True),
        (WORTH, MINUTE_US - 1, True, False),
        (1, HOUR_US - 1, True, False),
        (1, HOUR_US, True, True),
        (1, -1, True, True),
    ],
)
def test_where_there_is_little_room_a_certificate_waits_until_it_stands_for_something(
    readings: int, after_us: int, crowded: bool, ripe: bool
) -> None:
    assert Tally(T0, T0, readings, T0).is_ripe(T0 + after_us, crowded=crowded) is ripe
