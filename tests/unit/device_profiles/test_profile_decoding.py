"""Answers to values and back: inverse where there is an inverse, total where there is garbage."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Answer, Decoded, Request, Table, decode, encode, load_library, plan
from device_profiles.library import load_text
from device_profiles.profile import Profile
from telemetry.metric import Value, ValueType, fault_of
from telemetry.quality import Quality

LIBRARY = load_library()

TANK = """
id: tank-1
kind: environment
vendor: V
model: M
name: {zh: 水箱, en: Tank}
confidence: single
sources: [a manual]
modbus: {}
points:
  distance:
    unit: mm
    invalid: [0xFFFF]
    modbus: {table: input, address: 0, also: [{table: holding}, {table: holding, address: 8}]}
  high: {helper: true, modbus: {table: input, address: 1}}
  low: {helper: true, scale: 0.1, modbus: {table: input, address: 2}}
  volume: {unit: m3, range: [0, 1000], formula: high * 100 + low}
  motion: {formula: distance < 0.5}
examples:
  vectors:
    - {origin: computed, point: volume, given: {high: 2, low: 5}, gives: 205.0}
    - {origin: computed, point: motion, given: {distance: 0.4}, gives: true}
"""
MODBUS = [profile for profile in LIBRARY.profiles.values() if profile.modbus]
LEVEL = LIBRARY.profiles["level-qdy30a"]

MIXED = """
id: mixed-1
kind: environment
vendor: V
model: M
name: {zh: 混合, en: Mixed}
confidence: single
sources: [a manual]
modbus: {}
points:
  temperature: {unit: degF, scale: 0.1, offset: -10, range: [-40, 212], modbus: {table: input, address: 0, type: int16}}
  pressure: {unit: hPa, invalid: [0x7FFFFFFF, -1], modbus: {table: input, address: 1, type: int32, order: CDAB}}
  running: {map: {1: true, 2: false}, modbus: {table: input, address: 3}}
  tamper: {invert: true, modbus: {table: input, address: 4, type: bit, bit: 3}}
  fault_code: {modbus: {table: input, address: 4, bits: [8, 11]}}
  state: {helper: true, map: {}, modbus: {table: input, address: 6}}
  distance: {unit: mm, range: [40, 4000], valid_when: {state: [0]}, modbus: {table: input, address: 5}}
  ratio: {helper: true, modbus: {table: input, address: 8, type: float32}}
  flow: {unit: m3/h, scale: 0.01, scale_from: {point: ratio}, modbus: {table: input, address: 7}}
  motion: {modbus: {table: discrete, address: 0, type: bit}}
examples:
  vectors: [{origin: computed, point: temperature, words: [320], gives: -5.5555555556}]
"""


@pytest.fixture(scope="module")
def mixed() -> Profile:
    return load_text(MIXED, "mixed-1.yaml")


def one(profile: Profile, point: str, *words: int, given: dict[str, tuple[int, ...]] | None = None) -> Decoded:
    answers = [_answer(profile, name, held) for name, held in (given or {}).items()]
    return decode(profile, [*answers, _answer(profile, point, words)])[-1]


def _answer(profile: Profile, point: str, words: tuple[int, ...]) -> Answer:
    register = profile.points[point].register
    assert register is not None
    return Answer(Request(register.table, register.address, register.count, (point,)), words)


def test_scale_offset_and_unit_are_exact(mixed: Profile) -> None:
    assert one(mixed, "temperature", 420).value == 0.0  # 42 - 10 degF
    assert one(mixed, "pressure", 0x03F0, 0).value == 100_800.0
    assert one(LIBRARY.profiles["xy-md02"], "temperature", 305).value == 30.5
    assert one(LIBRARY.profiles["xy-md02"], "temperature", 3).value == 0.3


def test_a_value_has_the_type_of_its_metric(mixed: Profile) -> None:
    assert isinstance(one(mixed, "pressure", 1, 0).value, float)
    assert one(mixed, "fault_code", 0x0A00).value == 10
    assert one(mixed, "running", 2).value is False
    assert one(mixed, "motion", 1).value is True


def test_an_inverted_bit_is_told_the_right_way_round(mixed: Profile) -> None:
    assert one(mixed, "tamper", 0x0008).value is False
    assert one(mixed, "tamper", 0xFFF7).value is True


@pytest.mark.parametrize(
    ("point", "words", "reason"),
    [
        ("pressure", (0xFFFF, 0x7FFF), "no value: the device says 0xFFFF7FFF"),
        ("pressure", (0xFFFF, 0xFFFF), "no value: the device says 0xFFFFFFFF"),
        ("temperature", (0x7FFF,), "1797.06 is out of range -40 to 100"),
        ("running", (7,), "7 has no meaning here"),
    ],
)
def test_what_means_nothing_is_bad_with_its_reason(mixed: Profile, point: str, words: tuple[int, ...], reason: str) -> None:
    found = one(mixed, point, *words)
    assert (found.value, found.quality, found.reason, found.words) == (None, Quality.BAD, reason, words)


def test_both_ends_of_a_range_are_inside_it(mixed: Profile) -> None:
    assert one(mixed, "temperature", 2220).value == 100.0
    assert one(mixed, "temperature", 2221).value is None


def test_a_value_stands_only_while_the_register_beside_it_says_so(mixed: Profile) -> None:
    assert one(mixed, "distance", 1803, given={"state": (0,)}).value == 1.803
    assert one(mixed, "distance", 1803, given={"state": (4,)}).reason == "not valid while state is 4"
    assert one(mixed, "distance", 1803).reason == "state is not known: it was not read"


def test_a_ratio_can_be_a_register(mixed: Profile) -> None:
    assert one(mixed, "flow", 250, given={"ratio": (0x4220, 0)}).value == 100.0
    assert one(mixed, "flow", 250, given={"ratio": (0x7FC0, 0)}).reason == "ratio is not known: not a number"


def test_scale_and_unit_can_be_registers() -> None:
    for decimals, code, value in ((3, 16, 1.234), (0, 17, 1.234), (1, 16, 123.4)):
        assert one(LEVEL, "level", 1234, given={"decimals": (decimals,), "unit_code": (code,)}).value == value
    assert one(LEVEL, "level", 1, given={"decimals": (18,), "unit_code": (16,)}).value == 1e-18
    assert "10 to the power of -19" in one(LEVEL, "level", 1, given={"decimals": (19,), "unit_code": (16,)}).reason
    assert "no unit known here" in one(LEVEL, "level", 1, given={"decimals": (1,), "unit_code": (5,)}).reason


def test_a_failed_request_makes_all_its_points_bad_and_no_other() -> None:
    requests = plan(LIBRARY.profiles["eastron-sdm630"])
    answers = [Answer(requests[0], None, "exception 2"), Answer(requests[-1], (0x449A, 0x5000))]
    found = decode(LIBRARY.profiles["eastron-sdm630"], answers)
    assert {each.reason for each in found if each.point in requests[0].points} == {"exception 2"}
    assert [each.value for each in found if each.point in requests[-1].points] == [1234.5]


def test_fewer_or_more_words_than_asked_are_never_shifted_into_values() -> None:
    request = plan(LIBRARY.profiles["renke-rs-ws-n01"])[0]
    for words in ((1,), (1, 2, 3), ()):
        assert {each.value for each in decode(LIBRARY.profiles["renke-rs-ws-n01"], [Answer(request, words)])} == {None}


@given(st.sampled_from(MODBUS), st.data())
def test_whatever_words_come_decoding_answers(profile: Profile, data: st.DataObject) -> None:
    words = st.one_of(st.integers(0, 65535), st.integers(-5, 70_000))
    answers = [
        Answer(
            request, data.draw(st.one_of(st.none(), st.tuples(*[words] * request.count), st.lists(words, max_size=3).map(tuple)))
        )
        for request in plan(profile)
    ]
    found = decode(profile, answers)
    assert {each.point for each in found} == set(profile.points)
    for each in found:
        assert (each.value is None) is (each.quality is Quality.BAD) is bool(each.reason)
        if each.value is not None and each.metric is not None:
            assert fault_of(profile.kind, each.metric, each.value) is None


@given(st.sampled_from(MODBUS), st.data())
def test_encoded_values_decode_to_themselves(profile: Profile, data: st.DataObject) -> None:
    """Every point of every model: words read, encoded and read again mean the same."""
    name = data.draw(st.sampled_from(sorted(name for name, point in profile.points.items() if point.register)))
    point = profile.points[name]
    assert point.register is not None
    bits = point.register.table in (Table.COIL, Table.DISCRETE)
    words = data.draw(st.tuples(*[st.integers(0, 1 if bits else 65535)] * point.register.count))
    given_: dict[str, Value] = {"decimals": 3, "unit_code": 16} if profile is LEVEL and name == "level" else {}
    helpers = {helper: encode(profile, helper, value) for helper, value in given_.items()}
    first = one(profile, name, *words, given=helpers)
    if first.value is not None:
        again = encode(profile, name, first.value, given_)
        assert one(profile, name, *again, given=helpers).value == first.value


@given(st.floats(-50, 120))
def test_a_value_is_encoded_to_the_nearest_the_registers_hold(celsius: float) -> None:
    sensor = LIBRARY.profiles["xy-md02"]
    found = one(sensor, "temperature", *encode(sensor, "temperature", celsius))
    if found.value is not None:
        assert found.value == pytest.approx(celsius, abs=0.0500001)


def test_what_registers_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit int16"):
        encode(LIBRARY.profiles["xy-md02"], "temperature", 4000.0)
    with pytest.raises(KeyError):
        encode(LEVEL, "level", 1.0)
    with pytest.raises(KeyError):
        encode(LIBRARY.profiles["frigate"], "label", "car")


def test_points_that_share_a_register_are_encoded_apart(mixed: Profile) -> None:
    joined = encode(mixed, "tamper", False)[0] | encode(mixed, "fault_code", 5)[0]
    assert joined == 0x0508
    assert (one(mixed, "tamper", joined).value, one(mixed, "fault_code", joined).value) == (False, 5)


def test_a_map_is_encoded_by_its_meaning(mixed: Profile) -> None:
    assert encode(mixed, "running", False) == (2,)


def test_sampling_is_told_by_metric_in_its_own_unit(mixed: Profile) -> None:
    climate = LIBRARY.profiles["zigbee2mqtt-climate"].sampling["pressure"]
    assert climate.deadband == 50.0  # 0.5 hPa
    assert LIBRARY.profiles["eastron-sdm630"].sampling["energy_import"].interval_s == 60.0
    assert "state" not in mixed.sampling and "decimals" not in LEVEL.sampling
    assert LIBRARY.profiles["zigbee2mqtt-leak"].sampling["water_leak"].urgent


@pytest.fixture(scope="module")
def tank() -> Profile:
    return load_text(TANK, "tank-1.yaml")


def test_a_point_is_worked_out_of_others_that_were_read_with_it(tank: Profile) -> None:
    (request,) = plan(tank, ("volume", "distance"))
    assert (request.address, request.count, set(request.points)) == (0, 3, {"distance", "high", "low"})
    found = {each.point: each for each in decode(tank, [Answer(request, (400, 2, 50))])}
    assert (found["volume"].value, found["volume"].metric, found["volume"].quality) == (205.0, "volume", Quality.GOOD)
    assert found["motion"].value is True
    assert (found["low"].value, found["low"].metric) == (5.0, None)


def test_what_is_worked_out_is_bad_when_a_part_of_it_is(tank: Profile) -> None:
    (request,) = plan(tank)
    found = {each.point: each for each in decode(tank, [Answer(request, (0xFFFF, 2000, 50))])}
    assert found["motion"].reason == "distance is not known: no value: the device says 0xFFFF"
    assert found["volume"].reason == "200005 is out of range 0 to 1000"


def test_what_is_worked_out_of_points_not_asked_for_is_not_told(tank: Profile) -> None:
    assert [each.point for each in decode(tank, [_answer(tank, "high", (2,))])] == ["high"]


def test_a_value_is_read_at_the_first_place_that_is_not_refused(tank: Profile) -> None:
    def place(*refused: tuple[Table, int]) -> tuple[Table, int]:
        (request,) = plan(tank, ("distance",), refused)
        return request.table, request.address

    assert place() == (Table.INPUT, 0)
    assert place((Table.INPUT, 0)) == (Table.HOLDING, 0)
    assert place((Table.INPUT, 0), (Table.HOLDING, 0)) == (Table.HOLDING, 8)
    assert plan(tank, ("distance",), [(Table.INPUT, 0), (Table.HOLDING, 0), (Table.HOLDING, 8)]) == ()


def test_a_value_is_decoded_at_whichever_place_it_was_read(tank: Profile) -> None:
    refused = Answer(Request(Table.INPUT, 0, 1, ("distance",)), None, "exception 2")
    good = Answer(Request(Table.HOLDING, 7, 2, ("distance",)), (9, 1200))
    for answers in ([refused, good], [good, refused]):
        assert [each.value for each in decode(tank, answers) if each.point == "distance"] == [1.2]


def test_a_helper_is_encoded_with_its_scale(tank: Profile) -> None:
    assert encode(tank, "low", 5.0) == (50,)


def test_every_point_knows_the_type_of_its_metric() -> None:
    assert LEVEL.points["level"].type is ValueType.FLOAT and LEVEL.points["decimals"].type is None
    assert math.isclose(LEVEL.points["level"].deadband, 0.01)
