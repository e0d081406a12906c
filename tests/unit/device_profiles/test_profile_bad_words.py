"""Words that are no measurement become a reason, never a number: the values of the bad-input matrix for Modbus."""

import struct

import pytest

from device_profiles import Answer, Decoded, Profile, Request, Table, decode
from device_profiles.library import load_text
from telemetry.metric import Value
from telemetry.quality import Quality

PROFILE = """
id: test-words
kind: energy
vendor: Test
model: W1
name: {zh: 测试, en: Test}
confidence: confirmed
sources: [test]
modbus: {max_gap: 50}
points:
  frequency: {unit: Hz, range: [45, 65], modbus: {table: input, address: 4, type: float32}}
  energy_total: {unit: kWh, modbus: {table: input, address: 0, type: float32}}
  energy_import: {unit: kWh, modbus: {table: input, address: 10, type: float64}}
  energy_export: {unit: kWh, modbus: {table: input, address: 20, type: bcd, registers: 2}}
  current_l1: {unit: A, scale: 0.1, invalid: [0x7FFF, 0x8000, 0xFFFF], modbus: {table: input, address: 30}}
examples:
  vectors: [{origin: computed, point: current_l1, words: [25], gives: 2.5}]
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_text(PROFILE, "test-words.yaml")


def decoded(profile: Profile, point: str, *words: int) -> Decoded:
    place = profile.points[point].places[0]
    (found,) = decode(profile, [Answer(Request(Table.INPUT, place.address, place.count, (point,)), words)])
    return found


def words_of(form: str, number: float) -> tuple[int, ...]:
    content = struct.pack(form, number)
    return struct.unpack(f">{len(content) // 2}H", content)


@pytest.mark.parametrize("pattern", ["7FC00000", "FFC00001", "7F800001", "7FFFFFFF"])
def test_nan(profile: Profile, pattern: str) -> None:
    found = decoded(profile, "energy_total", int(pattern[:4], 16), int(pattern[4:], 16))
    assert found.value is None and found.quality is Quality.BAD and found.reason == "not a number"


@pytest.mark.parametrize("number", [float("inf"), float("-inf")])
@pytest.mark.parametrize(("point", "form"), [("energy_total", ">f"), ("energy_import", ">d")])
def test_infinity(profile: Profile, point: str, form: str, number: float) -> None:
    found = decoded(profile, point, *words_of(form, number))
    assert found.value is None and found.quality is Quality.BAD and found.reason == "infinite"


@pytest.mark.parametrize(("point", "form"), [("energy_total", ">f"), ("energy_import", ">d")])
def test_negative_zero_is_zero(profile: Profile, point: str, form: str) -> None:
    found = decoded(profile, point, *words_of(form, -0.0))
    assert str(found.value) == "0.0" and found.quality is Quality.GOOD


@pytest.mark.parametrize("words", [(0, 1), (0x7F, 0xFFFF), (0x8000, 1)])
def test_a_denormal_is_no_measurement(profile: Profile, words: tuple[int, int]) -> None:
    found = decoded(profile, "energy_total", *words)
    assert found.value is None and found.quality is Quality.BAD and "too small to be measured" in found.reason
    assert decoded(profile, "energy_import", 0x000F, 0, *words).value is None
    assert decoded(profile, "energy_total", 0x80, 0).value == pytest.approx(2.0**-126), "the least that is none"


@pytest.mark.parametrize("hertz", [45.0, 49.98, 50.0, 50.02, 60.0])
def test_flipped_words_fall_out_of_the_range(profile: Profile, hertz: float) -> None:
    right = words_of(">f", hertz)
    assert decoded(profile, "frequency", *right).value == pytest.approx(hertz)
    flipped = decoded(profile, "frequency", *right[::-1])
    assert flipped.value is None and flipped.quality is Quality.BAD and flipped.reason


@pytest.mark.parametrize("words", [(0xA000, 0), (0, 0x000A), (0x1234, 0x56F8), (0xFFFF, 0xFFFF)])
def test_bcd_with_letters(profile: Profile, words: tuple[int, int]) -> None:
    found = decoded(profile, "energy_export", *words)
    assert found.value is None and found.quality is Quality.BAD and found.reason.endswith("is not BCD")
    assert decoded(profile, "energy_export", 0x1234, 0x5678).value == 12_345_678


@pytest.mark.parametrize("word", [0x7FFF, 0x8000, 0xFFFF])
def test_a_sentinel(profile: Profile, word: int) -> None:
    found = decoded(profile, "current_l1", word)
    assert found.value is None and found.quality is Quality.BAD and found.reason == f"no value: the device says 0x{word:04X}"


@pytest.mark.parametrize(("word", "value"), [(0x7FFE, 3276.6), (0x8001, 3276.9), (0, 0.0)])
def test_what_stands_beside_a_sentinel_is_a_value(profile: Profile, word: int, value: Value) -> None:
    assert decoded(profile, "current_l1", word).value == value


@pytest.mark.parametrize("words", [(), (1,), (1, 2, 3)])
def test_fewer_or_more_words_than_asked(profile: Profile, words: tuple[int, ...]) -> None:
    found = decoded(profile, "energy_total", *words)
    assert found.value is None and found.quality is Quality.BAD and found.reason == f"{len(words)} words for 2 asked"
