"""A wrong profile is refused with everything wrong with it, each with its path and, where there is one, a cure."""

import pytest

from device_profiles.library import load_text
from device_profiles.profile import Profile
from telemetry.errors import ConfigInvalid

SENSOR = """
id: sensor-1
kind: environment
vendor: V
model: M
name: {zh: 传感器, en: Sensor}
confidence: single
sources: [a manual]
modbus: {max_registers: 10}
points:
  temperature: {unit: degC, scale: 0.1, modbus: {table: input, address: 1, type: int16}}
  POINT
examples:
  vectors: [{origin: computed, point: temperature, words: [305], gives: 30.5}]
"""

SPEAKER = """
id: speaker-1
kind: access
vendor: V
model: M
name: {zh: 门, en: Door}
confidence: single
sources: [a manual]
mqtt:
  messages:
    - {topic: "doors/{name}", values: {door_open: open}}
    - MESSAGE
points:
  door_open: {}
  POINT
examples:
  messages:
    - {origin: computed, topic: doors/a, parameters: {name: a}, payload: {open: true}, gives: [{values: {door_open: true}}]}
"""


def sensor(point: str = "humidity: {unit: '%RH', modbus: {table: input, address: 2}}", **change: str) -> Profile:
    text = SENSOR.replace("POINT", point)
    for old, new in change.items():
        text = text.replace(f"{old}:", f"{new}", 1)
    return load_text(text, "sensor-1.yaml")


def speaker(message: str, point: str = "tamper: {}") -> Profile:
    also = '{topic: "doors/{name}/case", values: {tamper: $}}\n    - '
    return load_text(SPEAKER.replace("MESSAGE", also + message).replace("POINT", point), "speaker-1.yaml")


def problems(make: object, *arguments: str) -> str:
    assert callable(make)
    with pytest.raises(ConfigInvalid) as caught:
        make(*arguments)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_the_patterns_of_these_tests_are_good() -> None:
    assert set(sensor().points) == {"temperature", "humidity"}
    assert set(speaker("{topic: x, event: exit_button}").points) == {"door_open", "tamper"}


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("humidty: {unit: '%RH', modbus: {table: input, address: 2}}", "no metric 'humidty' (did you mean 'humidity'?)"),
        ("humidity: {unit: '%', modbus: {table: input, address: 2}}", "'%' does not convert to the metric's '%RH'"),
        ("pressure: {unit: hPaa, modbus: {table: input, address: 2}}", "no unit 'hPaa' (did you mean 'hPa'?)"),
        ("humidity: {modbus: {table: input, address: 2}}", "points.humidity.unit: is missing"),
        ("humidity: {unit: '%RH', scale: 0, modbus: {table: input, address: 2}}", "points.humidity.scale: 0.0 cannot be used"),
        (
            "humidity: {unit: '%RH', scale: .inf, modbus: {table: input, address: 2}}",
            "points.humidity.scale: is not a finite number",
        ),
        ("humidity: {unit: '%RH', range: [9, 1], modbus: {table: input, address: 2}}", "points.humidity.range"),
        ("motion: {modbus: {table: input, address: 2}}", "a number, but the metric is a bool (name the bit"),
        ("humidity: {unit: '%RH', modbus: {table: coil, address: 2, type: bit}}", "one bit, but the metric is a float"),
        ("fault_code: {scale: 0.5, modbus: {table: input, address: 2}}", "the metric is an integer (give a whole scale"),
        ("motion: {map: {0: off}, modbus: {table: input, address: 2}}", "points.motion.map.0: 'off' is no bool"),
        ("humidity: {unit: '%RH', map: {0: true}, modbus: {table: input, address: 2}}", "map.0: True is no float"),
        ("fault_code: {map: {0: 1.5}, modbus: {table: input, address: 2}}", "map.0: 1.5 is no int"),
        ("motion: {range: [0, 1], modbus: {table: coil, address: 2, type: bit}}", "points.motion.range: the metric is a bool"),
        ("humidity: {unit: '%RH', invert: true, modbus: {table: input, address: 2}}", "only a bool can be inverted"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 1}}", "overlaps 'humidity' at input 1"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 0, type: uint32}}", "overlaps 'humidity' at input 1"),
        ("also: {metric: temperature, unit: degC, modbus: {table: input, address: 9}}", "already point 'temperature'"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 65535, type: float32}}", "end past 65535"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 70000}}", "points.humidity.modbus.address"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 4, type: bcd}}", "goes with bcd and ascii"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 4, type: ascii, registers: 11}}", "one request reads 10"),
        ("motion: {modbus: {table: input, address: 4, type: bit}}", "points.motion.modbus.bit: is missing"),
        ("motion: {modbus: {table: input, address: 4, type: bit, bit: 16}}", "is not inside 16 bits"),
        ("motion: {modbus: {table: coil, address: 4, type: bit, bit: 1}}", "a coil is one bit"),
        ("fault_code: {modbus: {table: input, address: 4, type: int16, bits: [0, 3]}}", "bits of int16"),
        ("fault_code: {modbus: {table: input, address: 4, bits: [3, 0]}}", "write [lowest, highest]"),
        ("humidity: {unit: '%RH', invalid: [65536], modbus: {table: input, address: 4}}", "65536 is not a raw value"),
        ("humidity: {unit: '%RH', invalid: [none], modbus: {table: input, address: 4}}", "'none' is not a raw value"),
        ("humidity: {unit: '%RH'}", "points.humidity: nothing fills it"),
        ("level: {scale_from: {point: digits}, unit: m, modbus: {table: input, address: 4}}", "'digits', which is no point"),
        ("level: {unit_from: {point: temperature, units: {1: V}}, modbus: {table: input, address: 4}}", "'V' does not convert"),
        ("humidity: {helper: true}", "a helper is read from registers"),
        ("humidity: {unit: '%RH', personal: plate, modbus: {table: input, address: 4}}", "no metric 'humidity_ref'"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 2, oder: CDAB}}", "unknown key 'oder' (did you mean 'order'?)"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 2, plc: 30002}}", "30002 is not input 2 (that is 30003)"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 2, plc: 40003}}", "40003 is not input 2"),
        ("humidity: {unit: '%RH', modbus: {table: input, address: 2, also: [{table: coil}]}}", "a coil does not hold what"),
        ("humidity: {unit: '%RH', wrap: 65537, modbus: {table: input, address: 2}}", "65537 is more than 1 registers count"),
        ("motion: {wrap: 2, map: {0: true}, modbus: {table: input, address: 2}}", "points.motion.wrap: the metric is a bool"),
        ("humidity: {unit: '%RH', wrap: 65536, offset: 1, modbus: {table: input, address: 2}}", "does not start again at zero"),
        ("humidity: {unit: '%RH', wrap: 65536, scale: -1, modbus: {table: input, address: 2}}", "does not start again at zero"),
        ("humidity: {unit: '%RH', wrap: 65536}", "points.humidity.wrap: it is not read from registers"),
        (
            "level: {wrap: 65536, unit_from: {point: temperature, units: {1: m}}, modbus: {table: input, address: 4}}",
            "points.level.wrap: its unit hangs on another register",
        ),
        ("humidity: {unit: '%RH', times: [ct], modbus: {table: input, address: 2}}", "no parameter 'ct'"),
        ("humidity: {unit: '%RH', formula: temperature, modbus: {table: input, address: 2}}", "it stands in registers too"),
        ("dew_point: {unit: degC, formula: temprature - 2}", "'temprature' is neither a point nor a parameter (did you"),
        ("dew_point: {unit: degC, formula: 1 + }", "points.dew_point.formula: 'the end'"),
        ("dew_point: {unit: degC, formula: 1 + 1}", "names no point"),
        ("humidity: {unit: '%RH', deadband: -1, modbus: {table: input, address: 2}}", "points.humidity.deadband"),
    ],
)
def test_a_wrong_point_is_refused(point: str, said: str) -> None:
    assert said in problems(sensor, point)


@pytest.mark.parametrize(
    ("modbus", "said"),
    [
        ("max_gap: -1", "modbus.max_gap"),
        ("max_registers: 126", "modbus.max_registers"),
        ("max_registers: 9, align: 2", "is not a multiple of align 2"),
        ("align: 3", "modbus.align"),
        ("max_registers: 2, align: 2}\nnote: {a: b", "unknown key 'note'"),
        ("gap_ms: fast", "modbus.gap_ms"),
    ],
)
def test_wrong_limits_are_refused(modbus: str, said: str) -> None:
    text = SENSOR.replace("POINT", "").replace("max_registers: 10", modbus)
    assert said in problems(load_text, text, "sensor-1.yaml")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{topic: 'a/#', event: exit_button}", "has a # or a NUL"),
        ("{topic: 'a/{Name}', event: exit_button}", "has a brace that is no parameter"),
        ("{topic: 'a/x+', event: exit_button}", "+ stands for a whole level"),
        ("{topic: x}", "it says nothing"),
        ("{event: exit_button}", "give either a topic or a carrier"),
        ("{topic: x, carrier: lorawan, event: exit_button}", "give either a topic or a carrier"),
        ("{topic: x, values: {door_open: '#a'}}", "is no level of a topic"),
        ("{topic: x, values: {door_open: {path: a, unit: V}}}", "'V' does not convert to the metric's 'plain number'"),
        ("{topic: x, values: {door_open: {path: a, unit: Vv}}}", "no unit 'Vv'"),
        ("{topic: x, values: {dor_open: a}}", "no point 'dor_open' (did you mean 'door_open'?)"),
        ("{topic: x, values: {door_open: 'a..b'}}", "'a..b' is not a path"),
        ("{topic: x, values: {door_open: {path: a, value: true}}}", "give either a path or a value"),
        ("{topic: x, when: {'.a': 1}, event: exit_button}", "'.a' is not a path"),
        ("{topic: x, any_changed: {a: 'b['}, event: exit_button}", "'b[' is not a path"),
        ("{topic: x, each: '[x]', event: exit_button}", "'[x]' is not a path"),
        ("{topic: x, event: exit_button, event_id: ['']}", "an empty path"),
        ("{topic: x, event_id: [a], values: {door_open: a}}", "there is no event"),
        ("{topic: x, event: exit_button, retained: current}", "a retained copy is never an event"),
        ("{topic: x, event: exit_button, require: [tamper]}", "'tamper' is not among the values"),
        ("{topic: x, event: exit_button, time: {path: t, format: iso, zone: Asia/Atlantis}}", "no time zone 'Asia/Atlantis'"),
        ("{topic: x, event: exit_button, time: {path: t, format: unix}}", "time.format"),
        ("{topic: 'a/{other}', event: exit_button}", "examples.messages[0].parameters: do not fill the topics"),
    ],
)
def test_a_wrong_message_is_refused(message: str, said: str) -> None:
    assert said in problems(speaker, message)


def test_the_points_of_a_formula_are_read_together() -> None:
    point = """humidity: {unit: "%RH", interval_s: 60, modbus: {table: input, address: 2}}
  dew_point: {unit: degC, formula: temperature - (100 - humidity) / 5}"""
    assert "read at different times (give them one interval_s)" in problems(sensor, point)
    assert "dew_point" in sensor(point.replace("60", "10")).points
    assert "'dew_point' is worked out itself" in problems(sensor, point + "\n  distance: {unit: m, formula: dew_point}")


def test_a_number_of_a_manual_is_taken_in_five_or_six_digits() -> None:
    for table, plc in (("input", 30003), ("input", 300003), ("holding", 40003), ("holding", 400003)):
        assert "humidity" in sensor(f"humidity: {{unit: '%RH', modbus: {{table: {table}, address: 2, plc: {plc}}}}}").points


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("{k: {meaning: a factor}}", "parameters.k: nothing uses it"),
        ("{humidity: {meaning: a factor}}", "parameters.humidity: a point has this name"),
        ("{k: {meaning: a factor, default: 5, range: [6, 9]}}", "[6, 9] does not hold the default"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: str, said: str) -> None:
    text = SENSOR.replace("POINT", "humidity: {unit: '%RH', modbus: {table: input, address: 2}}")
    assert said in problems(load_text, text.replace("points:", f"parameters: {parameters}\npoints:"), "sensor-1.yaml")


def test_a_helper_that_depends_on_another_is_refused() -> None:
    point = """one: {helper: true, modbus: {table: input, address: 4}}
  two: {helper: true, scale_from: {point: one}, modbus: {table: input, address: 5}}
  level: {unit: m, scale_from: {point: two}, modbus: {table: input, address: 6}}"""
    assert "which depends on others" in problems(sensor, point)


def test_a_person_is_told_by_a_hash_alone() -> None:
    assert "a person's metric ends in _ref" in problems(speaker, "{topic: x, values: {reason: a}}", "reason: {personal: person}")


def test_the_last_register_of_all_may_be_read() -> None:
    assert "humidity" in sensor("humidity: {unit: '%RH', modbus: {table: input, address: 65534, type: float32}}").points


def test_a_point_that_no_aligned_request_can_hold_is_refused() -> None:
    odd = "pressure: {unit: Pa, modbus: {table: holding, address: 1, type: float32}}"
    text = SENSOR.replace("POINT", odd).replace("max_registers: 10", "max_registers: 2, align: 2")
    assert "points.pressure.modbus: takes 4 registers, but one request reads 2" in problems(load_text, text, "sensor-1.yaml")
    assert "pressure" in load_text(text.replace("max_registers: 2", "max_registers: 4"), "sensor-1.yaml").points


def test_two_parts_of_one_register_may_not_share_a_bit() -> None:
    bit = "tamper: {modbus: {table: input, address: 4, type: bit, bit: 0}}"
    part = "fault_code: {modbus: {table: input, address: 4, bits: %s}}"
    whole = "whole: {helper: true, modbus: {table: input, address: 4}}"
    assert set(sensor("\n  ".join((bit, part % "[1, 3]", whole))).points) == {"temperature", "tamper", "fault_code", "whole"}
    assert "overlaps" in problems(sensor, "\n  ".join((bit, part % "[0, 3]", whole)))


def test_a_profile_says_all_its_problems_in_one_pass() -> None:
    text = SENSOR.replace("POINT", "humidty: {unit: x, modbus: {table: input, address: 1}}").replace(
        "words: [305]", "words: [1, 2]"
    )
    said = problems(load_text, text, "sensor-1.yaml")
    for part in ("no metric 'humidty'", "overlaps", "temperature has 1 words"):
        assert part in said


def test_a_profile_needs_a_bus_or_a_broker_and_an_example() -> None:
    text = SENSOR.replace("POINT", "").replace("modbus: {max_registers: 10}\n", "")
    text = text[: text.index("examples:")] + "examples: {}\n"
    said = problems(load_text, text, "sensor-1.yaml")
    for part in ("neither Modbus nor MQTT", "the profile has no modbus section", "give at least one, with real bytes"):
        assert part in said
