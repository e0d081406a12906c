"""A profile against its own examples: real bytes in, the values its author expects out.

Frames are checked by their CRC before they are believed: manuals print wrong ones.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from device_profiles.carriers import LORAWAN, Carrier
from device_profiles.clock import as_micros
from device_profiles.decoding import Answer, Decoded, decode, helper_names
from device_profiles.format import Table
from device_profiles.format_examples import Frame, Given, MessageExample, UplinkExample, Vector
from device_profiles.messages import Keys, Message, Observation, extract
from device_profiles.payload import PayloadInvalid
from device_profiles.planner import Request, plan
from device_profiles.profile import Derivation, Point, Profile
from device_profiles.registers import BIT_TABLES, Unfit
from device_profiles.site import with_parameters
from telemetry.metric import Value
from telemetry.privacy import reference
from telemetry.quality import Quality

KEY = bytes(range(32))
_SINGLE_WRITES = (5, 6)
_WRITES = (5, 6, 15, 16)
_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
_REF = re.compile(r"(?:(?<=:)|\A)ref:([^:]*)")
_TOLERANCE = 1e-7
_UPLINK_AT = "2025-03-18T02:11:09.480000Z"


class Outcome(NamedTuple):
    """One example of a profile and everything wrong with what it gave; sound when there is nothing."""

    name: str
    origin: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _FrameInvalid(Exception):
    reason: str


def run(profile: Profile) -> Iterator[Outcome]:
    """Every example of a profile."""
    for number, frame in enumerate(profile.examples.frames):
        yield Outcome(f"frames[{number}]", frame.origin, tuple(_frame(profile, frame)))
    for number, vector in enumerate(profile.examples.vectors):
        yield Outcome(f"vectors[{number}]", vector.origin, tuple(_vector(profile, vector)))
    for number, message in enumerate(profile.examples.messages):
        yield Outcome(f"messages[{number}]", message.origin, tuple(_message(profile, message)))
    for number, uplink in enumerate(profile.examples.uplinks):
        for carrier in LORAWAN:
            yield Outcome(f"uplinks[{number}] {carrier.name}", uplink.origin, tuple(_uplink(profile, uplink, carrier)))


def crc(content: bytes) -> int:
    """The CRC-16 of Modbus RTU."""
    value = 0xFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def _frame(profile: Profile, frame: Frame) -> Iterator[str]:
    try:
        asked = _sound(frame.tx)
        if asked[1] in _WRITES:
            yield from _written(asked, _sound(frame.rx), frame)
            return
        table, address, count = _asked(asked)
        if not frame.rx:
            if all((each.table, each.address, each.count) != (table, address, count) for each in plan(profile)):
                yield f"this profile plans no request of {count} {table} from 0x{address:04X}"
            return
        words = _answered(_sound(frame.rx), table, count)
    except _FrameInvalid as error:
        yield error.reason
        return
    inside = tuple(
        point.name
        for point in profile.points.values()
        for place in point.places
        if place.table is table and address <= place.address and place.address + place.count <= address + count
    )
    answers = [Answer(Request(table, address, count, inside), words), *_given(profile, frame.given)]
    decoded = {each.point: each for each in decode(profile, answers)}
    for name, expected in frame.gives.items():
        yield from _compared(name, decoded.get(name), expected)


def _written(asked: bytes, answered: bytes, frame: Frame) -> Iterator[str]:
    """A device echoes a write of one value, and the start of a write of several."""
    same = answered == asked if asked[1] in _SINGLE_WRITES else answered[:-2] == asked[:6]
    if not same:
        yield "rx does not answer tx"
    if frame.gives:
        yield "a write gives no values"


def _sound(text: str) -> bytes:
    try:
        frame = bytes.fromhex(text)
    except ValueError:
        raise _FrameInvalid(f"{text!r} is not hexadecimal") from None
    if len(frame) < 5 or crc(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        raise _FrameInvalid(f"{text!r} is too short or its CRC is wrong")
    return frame


def _asked(frame: bytes) -> tuple[Table, int, int]:
    if len(frame) != 8 or frame[1] not in _TABLES:
        raise _FrameInvalid("tx is no read request of function 1 to 4")
    return _TABLES[frame[1]], int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")


def _answered(frame: bytes, table: Table, count: int) -> tuple[int, ...]:
    content = frame[3:-2]
    wanted = (count + 7) // 8 if table in BIT_TABLES else 2 * count
    if _TABLES.get(frame[1]) is not table or frame[2] != len(content) or len(content) != wanted:
        raise _FrameInvalid("rx does not answer tx")
    if table in BIT_TABLES:
        return tuple(content[place // 8] >> place % 8 & 1 for place in range(count))
    return tuple(int.from_bytes(content[place : place + 2], "big") for place in range(0, len(content), 2))


def _vector(profile: Profile, vector: Vector) -> Iterator[str]:
    profile = with_parameters(profile, vector.parameters)
    link = profile.points[vector.point].derivation
    if link is not None:
        yield from _worked_out(profile.points[vector.point], link, vector)
        return
    answers = [_single(profile, vector.point, vector.words), *_given(profile, vector.given)]
    decoded = {each.point: each for each in decode(profile, answers)}
    yield from _compared(vector.point, decoded.get(vector.point), vector.gives)


def _worked_out(point: Point, link: Derivation, vector: Vector) -> Iterator[str]:
    try:
        value: Value | None = point.conversion.value(link.value(vector.given))
        reason = ""
    except Unfit as error:
        value, reason = None, str(error)
    quality = Quality.BAD if value is None else Quality.GOOD
    yield from _compared(point.name, Decoded(point.name, point.metric, value, quality, reason, ()), vector.gives)


def _single(profile: Profile, name: str, words: tuple[int, ...]) -> Answer:
    register = profile.points[name].register
    if register is None:
        return Answer(Request(Table.HOLDING, 0, 0, ()), ())
    return Answer(Request(register.table, register.address, register.count, (name,)), words)


def _given(profile: Profile, given: Mapping[str, Value]) -> Iterator[Answer]:
    for name in helper_names(profile) & given.keys():
        register = profile.points[name].register
        if register is not None:
            yield _single(profile, name, register.codec.write(given[name]))


def _compared(name: str, decoded: Decoded | None, expected: Value | None) -> Iterator[str]:
    if decoded is None:
        yield f"{name} is not in the answer"
    elif not _alike(decoded.value, expected):
        why = f" ({decoded.reason})" if decoded.reason else ""
        yield f"{name} gives {decoded.value!r}{why}, not {expected!r}"


def _alike(value: Value | None, expected: Value | None) -> bool:
    """Equal and of the same type; two floats within the precision of a float32."""
    if isinstance(value, float) and isinstance(expected, int | float) and not isinstance(expected, bool):
        return abs(value - expected) <= _TOLERANCE * max(abs(value), abs(expected))
    return value == expected and isinstance(value, bool) is isinstance(expected, bool)


def _message(profile: Profile, example: MessageExample) -> Iterator[str]:
    payload = example.payload.encode() if isinstance(example.payload, str) else msgspec.json.encode(example.payload)
    message = Message(example.topic, payload, example.retained, as_micros(example.arrived_at))
    try:
        found = extract(profile, example.parameters, message, Keys(KEY))
    except PayloadInvalid as error:
        yield str(error)
        return
    yield from _all_observed(found, example.gives)


def _all_observed(found: Sequence[Observation], gives: Sequence[Given]) -> Iterator[str]:
    if len(found) != len(gives):
        yield f"gives {len(found)} observations, not {len(gives)}"
    for observation, expected in zip(found, gives, strict=False):
        yield from _observed(observation, expected)


def _uplink(profile: Profile, example: UplinkExample, carrier: Carrier) -> Iterator[str]:
    """What the server adds is checked here: its time where the device told none, and that an event has a key."""
    topic = carrier.topic.replace("{device...}", "a/device")
    payload = msgspec.json.encode(carrier.envelope(example.object, _UPLINK_AT))
    arrived_at = as_micros(_UPLINK_AT) + 200_000
    parameters = {"device": "a/device"}
    found = extract(profile, parameters, Message(topic, payload, False, arrived_at), Keys(KEY))
    if any(("event" in each.values) is (each.event_id is None) for each in found):
        yield "an event without a key, or a key without an event"
    gives = [msgspec.structs.replace(each, at=each.at or _UPLINK_AT, event_id=None) for each in example.gives]
    yield from _all_observed([each._replace(event_id=None) for each in found], gives)


def _observed(found: Observation, expected: Given) -> Iterator[str]:
    values = {name: _meant(value) for name, value in expected.values.items()}
    for name in sorted(values.keys() | found.values.keys()):
        if name not in values or not _alike(found.values.get(name), values[name]):
            yield f"{name} gives {found.values.get(name)!r}, not {values.get(name)!r}"
    if found.event_id != _meant(expected.event_id):
        yield f"event_id gives {found.event_id!r}, not {_meant(expected.event_id)!r}"
    if found.at != (None if expected.at is None else as_micros(expected.at)):
        yield f"at gives {found.at!r}, not {expected.at!r}"
    if (found.faults or {}).keys() != set(expected.faults):
        yield f"faults are {found.faults or {}}, not of {', '.join(expected.faults) or 'anything'}"
    if found.quality != expected.quality:
        yield f"quality gives {found.quality}, not {expected.quality}"


def _meant(value: Value | None) -> Value | None:
    """``ref:X`` as the hash of ``X``, also as a part of an event's key, where it ends at the next colon."""
    return _REF.sub(lambda found: reference(found[1], KEY), value) if isinstance(value, str) else value
