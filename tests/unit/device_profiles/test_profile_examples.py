"""Examples are tests of a profile, so they must be able to fail: each kind, for each thing that can be wrong with it."""

import pytest

from device_profiles.examples import run
from device_profiles.library import load_text

SENSOR = """
id: sensor-1
kind: environment
vendor: V
model: M
name: {zh: 传感器, en: Sensor}
confidence: single
sources: [a manual]
parameters: {k: {meaning: a factor, default: 2}}
modbus: {max_gap: 5}
points:
  temperature: {unit: degC, scale: 0.1, modbus: {table: input, address: 1, type: int16, also: [{table: holding, address: 9}]}}
  humidity: {unit: "%RH", scale: 0.1, modbus: {table: input, address: 2}}
  dew_point: {unit: degC, range: [-50, 50], formula: temperature - k * humidity}
examples:
"""
UPLINKS = """
id: uplink-1
kind: parking
vendor: V
model: M
name: {zh: 车位, en: Bay}
confidence: single
sources: [a manual]
mqtt:
  messages:
    - {carrier: lorawan, values: {occupied: occupied}}
    - {carrier: lorawan, event: {path: kind, map: {car: plate}}, values: {plate: plate}}
points:
  occupied: {}
  plate: {personal: plate}
examples:
  uplinks:
"""


def faults(head: str, example: str) -> list[str]:
    return [fault for outcome in run(load_text(head + example, f"{head.split()[1]}.yaml")) for fault in outcome.faults]


@pytest.mark.parametrize(
    "example",
    [
        'frames: [{origin: manual, tx: "01 04 00 01 00 02 20 0B", rx: "01 04 04 01 31 02 22 2A CE", gives: {temperature: 30.5}}]',
        'frames: [{origin: manual, tx: "01 04 00 01 00 02 20 0B"}]',
        'frames: [{origin: manual, tx: "01 05 00 00 FF 00 8C 3A", rx: "01 05 00 00 FF 00 8C 3A"}]',
        'frames: [{origin: manual, tx: "01 10 00 1C 00 02 04 40 00 00 00 E7 36", rx: "01 10 00 1C 00 02 80 0E"}]',
        "vectors: [{origin: computed, point: temperature, words: [0xFF9B], gives: -10.1}]",
        "vectors: [{origin: computed, point: dew_point, given: {temperature: 20, humidity: 5}, parameters: {k: 3}, gives: 5.0}]",
        "vectors: [{origin: computed, point: dew_point, given: {temperature: 99, humidity: 5}, parameters: {k: 3}, gives: null}]",
    ],
)
def test_a_right_example_holds(example: str) -> None:
    assert faults(SENSOR, "  " + example) == []


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ('frames: [{origin: manual, tx: "01 04 00 01 00 02 20 0C"}]', "is too short or its CRC is wrong"),
        ('frames: [{origin: manual, tx: "zz"}]', "is not hexadecimal"),
        ('frames: [{origin: manual, tx: "01 03 00 00 00 02 C4 0B"}]', "plans no request of 2 holding from 0x0000"),
        (
            'frames: [{origin: manual, tx: "01 04 00 01 00 02 20 0B", rx: "01 03 04 02 92 FF 9B 5A 3D"}]',
            "rx does not answer tx",
        ),
        (
            'frames: [{origin: manual, tx: "01 05 00 00 FF 00 8C 3A", rx: "01 10 00 1C 00 02 80 0E"}]',
            "rx does not answer tx",
        ),
        (
            'frames: [{origin: manual, tx: "01 10 00 1C 00 02 04 40 00 00 00 E7 36", rx: "01 05 00 00 FF 00 8C 3A"}]',
            "rx does not answer tx",
        ),
        (
            'frames: [{origin: manual, tx: "01 05 00 00 FF 00 8C 3A", rx: "01 05 00 00 FF 00 8C 3A", gives: {humidity: 1}}]',
            "a write gives no values",
        ),
        (
            'frames: [{origin: manual, tx: "01 04 00 06 00 01 D1 CB", rx: "01 04 02 00 01 78 F0", gives: {humidity: 0.1}}]',
            "humidity is not in the answer",
        ),
        ("vectors: [{origin: computed, point: temperature, words: [305], gives: 30.6}]", "temperature gives 30.5, not 30.6"),
        ("vectors: [{origin: computed, point: temperature, words: [305], gives: null}]", "temperature gives 30.5, not None"),
        (
            "vectors: [{origin: computed, point: dew_point, given: {temperature: 20}, parameters: {k: 3}, gives: 5.0}]",
            "dew_point gives None (humidity is not known), not 5.0",
        ),
    ],
)
def test_a_wrong_example_does_not_hold(example: str, said: str) -> None:
    (fault,) = faults(SENSOR, "  " + example)
    assert said in fault


def test_a_frame_is_decoded_at_the_place_it_was_read() -> None:
    frame = 'tx: "01 03 00 09 00 01 54 08", rx: "01 03 02 01 31 78 00"'
    assert faults(SENSOR, f"  frames: [{{origin: computed, {frame}, gives: {{temperature: 30.5}}}}]") == []


def test_an_uplink_is_tried_as_each_server_brings_it() -> None:
    example = "    - {origin: computed, object: {occupied: true}, gives: [{values: {occupied: true}}]}"
    outcomes = list(run(load_text(UPLINKS + example, "uplink-1.yaml")))
    assert [outcome.name for outcome in outcomes] == ["uplinks[0] ChirpStack v4", "uplinks[0] The Things Stack v3"]
    assert [outcome.faults for outcome in outcomes] == [(), ()]


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("{origin: computed, object: {occupied: true}, gives: []}", "gives 1 observations, not 0"),
        ("{origin: computed, object: {occupied: 7}, gives: [{values: {}, quality: bad}]}", "faults are {'occupied': 'bad: 7"),
        (
            '{origin: computed, object: {occupied: true}, gives: [{values: {occupied: true}, at: "2025-03-18T02:11:08Z"}]}',
            "at gives 1742263869480000",
        ),
    ],
)
def test_a_wrong_uplink_does_not_hold(example: str, said: str) -> None:
    found = faults(UPLINKS, f"    - {example}")
    assert len(found) == 2 and all(said in fault for fault in found)


def test_an_event_of_an_uplink_is_taken_from_its_object() -> None:
    right = "{values: {event: plate, plate: 京A·****5, plate_ref: 'ref:京A12345'}}"
    assert faults(UPLINKS, f"    - {{origin: computed, object: {{kind: car, plate: 京A12345}}, gives: [{right}]}}") == []
