"""Which devices a topic belongs to, and which of them may say something urgent."""

import pytest

from device_profiles import Profile, load_library
from device_profiles.library import load_text
from edge.drivers.routes import Listener, Routes

LIBRARY = load_library()
PROFILE = """
id: test-meter
kind: energy
vendor: Test
model: M1
name: {{zh: 电表, en: Meter}}
confidence: confirmed
sources: [test]
mqtt: {{messages: [{{topic: "meters/{{name}}/+", values: {{voltage: v}}}}]}}
points:
  voltage: {{unit: V, urgent: {urgent}}}
examples:
  messages:
    - {{origin: computed, topic: meters/a/x, parameters: {{name: a}}, payload: {{v: 230}}, gives: [{{values: {{voltage: 230}}}}]}}
"""


def meter(*, urgent: bool = False) -> Profile:
    return load_text(PROFILE.format(urgent=str(urgent).lower()), "test-meter.yaml")


def listener(profile: Profile, device: str = "meter-a", name: str = "a") -> Listener:
    return Listener(device, profile, {"name": name})


@pytest.mark.parametrize(
    ("profile", "why"),
    [("tasmota-reader", "access"), ("zigbee2mqtt-smoke", "safety"), ("frigate", "its events"), ("milesight-ws301", "access")],
)
def test_a_device_that_may_say_something_urgent_is_urgent_as_a_whole(profile: str, why: str) -> None:
    assert listener(LIBRARY.profiles[profile]).is_urgent, why


def test_one_with_an_urgent_point_is_urgent() -> None:
    assert listener(meter(urgent=True)).is_urgent


@pytest.mark.parametrize("profile", ["zigbee2mqtt-climate", "tasmota-meter", "milesight-am319", "esphome-level"])
def test_one_that_only_measures_is_not(profile: str) -> None:
    assert not listener(LIBRARY.profiles[profile]).is_urgent
    assert not listener(meter()).is_urgent


def test_a_topic_goes_to_each_of_its_listeners_once_and_to_nobody_else() -> None:
    profile = meter()
    routes = Routes([listener(profile), listener(profile, "meter-b", "b"), listener(profile, "copy-of-a", "a")])
    assert [one.device for one in routes.of("meters/a/power")] == ["meter-a", "copy-of-a"]
    assert routes.of("meters/c/power") == routes.of("") == routes.of("$SYS/a/power") == ()


def test_unchanged_is_who_is_listened_to_as_before() -> None:
    profile, other = meter(), meter()
    before = Routes([listener(profile), listener(profile, "meter-b", "b"), listener(profile, "meter-c", "c")])
    stays, anew, elsewhere, new = (
        listener(profile),
        listener(other, "meter-b", "b"),
        listener(profile, "meter-c", "d"),
        listener(profile, "new"),
    )
    assert Routes([stays, anew, elsewhere, new]).unchanged(before) == {"meter-a"}
