"""Values of a message that are not simply a field of it: worked out, in the topic, or not there."""

import json
from typing import Any

from device_profiles import Keys, Message, Observation, extract, with_parameters
from device_profiles.library import load_text

WORKED_OUT = """
id: tank-2
kind: environment
vendor: V
model: M
name: {zh: 水箱, en: Tank}
confidence: single
sources: [a manual]
parameters:
  height: {meaning: sensor above the floor in m}
mqtt:
  messages:
    - topic: "tanks/+/{tank}"
      absent: unknown
      values: {distance: {path: d, unit: cm}, humidity: {path: h, absent: unchanged}, speed: {path: "#1", encoding: number}}
points:
  distance: {unit: m}
  humidity: {unit: "%RH"}
  speed: {unit: rpm}
  level: {unit: m, range: [0, 10], formula: height - distance}
examples:
  messages:
    - origin: computed
      topic: tanks/7/a
      parameters: {tank: a}
      payload: {d: 120}
      gives: [{values: {distance: 1.2, speed: 7.0}, faults: [level]}]
"""


def heard(payload: Any, topic: str = "tanks/7/a", height: float = 3) -> Observation:
    profile = with_parameters(load_text(WORKED_OUT, "tank-2.yaml"), {"height": height})
    message = Message(topic, json.dumps(payload).encode(), False, 1_742_263_870_000_000)
    (found,) = extract(profile, {"tank": "a"}, message, Keys(b"k" * 32))
    return found


def test_a_message_gives_what_is_worked_out_of_it() -> None:
    assert heard({"d": 120, "h": 50}).values == {"distance": 1.2, "humidity": 50.0, "speed": 7.0, "level": 1.8}
    assert heard({"d": 120}, height=1).faults == {"level": "bad: -0.2 is out of range 0 to 10"}


def test_a_level_of_the_topic_can_be_a_value() -> None:
    assert heard({"d": 120}, "tanks/12/a").values["speed"] == 12.0


def test_a_value_that_is_not_there_may_be_told_as_unknown() -> None:
    assert heard({}).faults == {"distance": "bad: it was not told"}
