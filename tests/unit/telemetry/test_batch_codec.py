"""Batches: encode and decode are inverse, decoding is bounded, poison is set apart."""

import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import MAX_BYTES, MAX_READINGS, SAID_TWICE, Batch, Lane, decode, encode, encode_readings, head_of, join
from telemetry.errors import BatchInvalid
from telemetry.metric import METRICS, Kind, ValueType
from telemetry.quality import Quality
from telemetry.reading import EARLIEST, LATEST, Reading, all_sound, faults_of

T0 = 1_700_000_000_000_000
_VALUES = {
    ValueType.BOOL: st.booleans(),
    ValueType.INT: st.integers(-(2**63), 2**63 - 1),
    ValueType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    ValueType.TEXT: st.text(max_size=256),
}


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    kind = draw(st.sampled_from(Kind))
    names = draw(st.lists(st.sampled_from(sorted(METRICS[kind])), max_size=5, unique=True))
    return Reading(
        device=draw(st.from_regex(r"[a-z0-9-]{3,64}", fullmatch=True)),
        kind=kind,
        at=draw(st.integers(EARLIEST, LATEST)),
        values={name: draw(_VALUES[METRICS[kind][name].type]) for name in names},
        quality=draw(st.sampled_from(Quality)),
        event_id=draw(st.none() | st.text(max_size=20)),
    )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    return Batch(
        gateway=draw(st.from_regex(r"[a-z0-9-]{3,64}", fullmatch=True)),
        epoch=draw(st.from_regex(r"[0-9a-f]{16}", fullmatch=True)),
        lane=draw(st.sampled_from(Lane)),
        seq=draw(st.integers(1, 2**63 - 1)),
        sealed_at=draw(st.integers(EARLIEST, LATEST)),
        sent_at=draw(st.integers(EARLIEST, LATEST)),
        resent=draw(st.booleans()),
        readings=draw(st.lists(readings(), max_size=8, unique_by=lambda reading: (reading.device, reading.at))),
    )


@given(batches())
def test_decode_is_the_inverse_of_encode(batch: Batch) -> None:
    decoded = decode(encode(batch))
    assert decoded.batch == batch
    assert decoded.poison == ()
    assert all_sound(batch.readings)


@given(batches())
def test_joining_stored_readings_gives_the_same_batch(batch: Batch) -> None:
    head = Batch(**{name: getattr(batch, name) for name in batch.__struct_fields__ if name != "readings"}, readings=[])
    halves = [batch.readings[:3], batch.readings[3:]]
    assert decode(join(head, [encode_readings(half) for half in halves])).batch == batch


@given(st.binary(max_size=300))
def test_any_bytes_are_either_a_batch_or_refused(message: bytes) -> None:
    for body in (message, b"{" + message, b"x" + message):
        try:
            decode(body)
        except BatchInvalid:
            continue


def valid() -> dict[str, object]:
    reading = {"device": "b3-meter", "kind": "energy", "at": T0, "values": {"voltage": 230.5}}
    batch = {"v": 1, "gateway": "gw-test", "epoch": "0" * 16, "lane": "bulk", "seq": 1, "sealed_at": T0, "sent_at": T0}
    return batch | {"readings": [reading]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "v"),
        ({"epoch": "0" * 15}, "regex"),
        ({"epoch": "0" * 16 + "\n"}, "regex"),
        ({"seq": 0}, ">= 1"),
        ({"seq": 2**63}, "<= 9223372036854775807"),
        ({"seq": "1"}, "Expected `int`"),
        ({"gateway": "GW"}, "regex"),
        ({"lane": "middle"}, "Invalid enum value"),
        ({"readings": [{}] * (MAX_READINGS + 1)}, f"length <= {MAX_READINGS}"),
        ({"sealed_at": 1_700_000_000}, ">="),
    ],
)
def test_a_bad_head_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BatchInvalid, match=reason):
        decode(json.dumps(valid() | change).encode())


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        ({"device": "b3-meter", "kind": "energy", "at": T0, "values": {"voltage": "230"}}, "finite number"),
        ({"device": "b3-meter", "kind": "energy", "at": T0, "values": {"sparkle": 1}}, "no metric 'sparkle'"),
        ({"device": "b3-meter", "kind": "energy", "at": T0, "values": {"voltage": 10**400}}, "finite number"),
        ({"device": "b3-meter", "kind": "gateway", "at": T0, "values": {"unsent": 2**63}}, "64 bits"),
        ({"device": "b3-meter", "kind": "weather", "at": T0, "values": {}}, "Invalid enum value"),
        ({"device": "B3 meter", "kind": "energy", "at": T0, "values": {}}, "malformed"),
        ({"device": "b3-meter", "kind": "energy", "at": 1.5, "values": {}}, "Expected `int`"),
        ({"device": "b3-meter", "kind": "access", "at": T0, "values": {"event": "x" * 257}}, "longer than 256"),
        ("nonsense", "Expected `object`"),
    ],
)
def test_one_bad_reading_is_set_apart_and_the_others_stay(reading: object, reason: str) -> None:
    body = valid()
    body["readings"] = [reading, *body["readings"]]  # type: ignore[misc]
    decoded = decode(json.dumps(body).encode())
    assert [kept.values for kept in decoded.batch.readings] == [{"voltage": 230.5}]
    assert len(decoded.poison) == 1
    assert reason in decoded.poison[0].reason


METER = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0, values={"voltage": 230.5})


def saying(*readings: Reading) -> bytes:
    return encode(
        Batch(gateway="gw-test", epoch="0" * 16, lane=Lane.BULK, seq=1, sealed_at=T0, sent_at=T0, readings=list(readings))
    )


def test_of_what_a_device_says_twice_at_one_instant_the_first_stays_and_the_others_are_set_apart() -> None:
    others = [msgspec.structs.replace(METER, values={"voltage": volts}) for volts in (231.0, 232.0)]
    decoded = decode(saying(METER, *others, METER))
    assert decoded.batch.readings == [METER]
    assert [msgspec.json.decode(poison.body)["values"] for poison in decoded.poison] == [
        {"voltage": 231.0},
        {"voltage": 232.0},
        {"voltage": 230.5},
    ]
    assert {poison.reason for poison in decoded.poison} == {SAID_TWICE}


@pytest.mark.parametrize("change", [{"at": T0 + 1}, {"device": "b4-meter"}])
def test_another_instant_or_another_device_is_no_twin(change: dict[str, Any]) -> None:
    decoded = decode(saying(METER, msgspec.structs.replace(METER, **change)))
    assert (len(decoded.batch.readings), decoded.poison) == (2, ())


def test_what_cannot_be_taken_does_not_stand_in_the_way_of_what_can_at_its_instant() -> None:
    decoded = decode(saying(msgspec.structs.replace(METER, values={"sparkle": 1.0}), METER, METER))
    assert decoded.batch.readings == [METER]
    assert ["sparkle" in poison.reason for poison in decoded.poison] == [True, False]


def test_a_small_message_cannot_unpack_into_a_large_one() -> None:
    bomb = zlib.compress(b"{" + b" " * (MAX_BYTES * 4))
    assert len(bomb) < 10_000
    with pytest.raises(BatchInvalid, match="larger than"):
        decode(bomb)


@pytest.mark.parametrize(
    "message", [b"", b"[1]", b"\x00\x01", b"{" + b"[" * 100_000, b'{"v": 1' + b"0" * 400 + b"}", b"{\xff\xfe}"]
)
def test_hostile_bytes_are_refused(message: bytes) -> None:
    with pytest.raises(BatchInvalid):
        decode(message)


def test_a_batch_with_too_many_readings_can_still_be_rejected_by_its_key() -> None:
    message = json.dumps(valid() | {"seq": 7, "readings": [{}] * (MAX_READINGS + 1)}).encode()
    head = head_of(message)
    assert head is not None
    assert (head.gateway, head.seq) == ("gw-test", 7)
    assert head_of(b"{nonsense") is None


@given(readings())
def test_a_reading_of_the_declared_types_has_no_fault(reading: Reading) -> None:
    assert faults_of(reading) == []


@pytest.mark.parametrize(
    "change",
    [
        {"device": "B3 meter"},
        {"values": {"voltage": float("nan")}},
        {"values": {"voltage": float("-inf")}},
        {"values": {"voltage": True}},
        {"values": {"voltage": "230"}},
        {"values": {"sparkle": 1.0}},
    ],
)
def test_one_unsound_reading_makes_a_batch_unsound(change: dict[str, Any]) -> None:
    sound = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0, values={"voltage": 230, "power_factor": 0.5})
    assert all_sound([sound, sound])
    unsound = msgspec.structs.replace(sound, **change)
    assert faults_of(unsound) and not all_sound([sound, unsound])
