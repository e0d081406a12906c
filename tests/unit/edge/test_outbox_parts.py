"""What the outbox decides with: when a lane is sealed, what a chunk keeps, what a loss leaves behind."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outbox.chunk import Chunk, chunk_of, readings_of, text_of
from edge.outbox.loss import DAMAGED, FULL, Place, certificate, given_up
from edge.outbox.tail import BATCH_AGE_US, BATCH_BYTES, BATCH_READINGS, EMPTY, Tail
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
    assert tail == Tail(first=7, readings=5, size=30, stored=8, first_at=T0 + 1, since=T0 + 9)


def test_a_tail_has_room_for_a_batch_and_no_more_but_always_for_a_first_chunk() -> None:
    assert EMPTY.has_room(chunk(BATCH_READINGS + 1))
    tail = EMPTY.with_chunk(1, chunk(BATCH_READINGS - 2), T0)
    assert tail.has_room(chunk(2))
    assert not tail.has_room(chunk(3))


def test_what_is_given_up_is_told_device_by_device_and_the_unreadable_after_them() -> None:
    sound = chunk_of([reading(3, "meter-b"), reading(1, "meter-a"), reading(2, "meter-b")])
    lost = given_up([sound, sound._replace(crc=0, readings=4)], T0 + 9)
    assert lost == [
        ("meter-a", T0 + 1, T0 + 1, 1, FULL),
        ("meter-b", T0 + 2, T0 + 3, 2, FULL),
        ("*", T0 + 1, T0 + 9, 4, DAMAGED),
    ]


def test_a_certificate_is_a_sound_reading_and_the_same_each_time_it_is_made() -> None:
    (lost,) = given_up([chunk_of([reading(1)])], T0 + 9)
    place = Place("gw-test", 7, T0 + 9)
    made = certificate(lost, place, 0)
    assert faults_of(made) == []
    assert made == certificate(lost, place, 0)
    others = {certificate(lost, place, 1).at, certificate(lost, place._replace(seq=8), 0).at}
    assert made.at not in others
    assert len(others) == 2
