"""Changes pass, repetition does not, and nothing important is thinned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Decoded, Observation, Sampling
from edge.sampling import Sampler
from telemetry.metric import Value
from telemetry.quality import Quality

RULES = {
    "temperature": Sampling(deadband=0.5, heartbeat_s=60.0, urgent=False, interval_s=10.0),
    "humidity": Sampling(deadband=0.0, heartbeat_s=60.0, urgent=False, interval_s=10.0),
    "door_open": Sampling(deadband=0.0, heartbeat_s=300.0, urgent=True, interval_s=0.0),
}


def good(metric: str, value: Value) -> Decoded:
    return Decoded(metric, metric, value, Quality.GOOD, "", (1,))


def bad(metric: str, reason: str) -> Decoded:
    return Decoded(metric, metric, None, Quality.BAD, reason, ())


def passing(sampler: Sampler, now: float, *decoded: Decoded) -> dict[str, Value]:
    passed = sampler.poll(decoded, now)
    return passed.values if passed else {}


def test_a_number_passes_when_it_has_moved_by_its_deadband() -> None:
    sampler = Sampler(RULES)
    values = [20.0, 20.4, 20.5, 20.9, 21.1, 20.6]
    assert [passing(sampler, n, good("temperature", v)) for n, v in enumerate(values)] == [
        {"temperature": 20.0},
        {},
        {"temperature": 20.5},
        {},
        {"temperature": 21.1},
        {"temperature": 20.6},
    ]


def test_slow_drift_adds_up_against_what_last_passed() -> None:
    sampler = Sampler(RULES)
    passed = [n for n in range(20) if passing(sampler, n, good("temperature", 20.0 + n * 0.125))]
    assert passed == [0, 4, 8, 12, 16]


def test_without_a_deadband_any_change_passes() -> None:
    sampler = Sampler(RULES)
    assert passing(sampler, 0, good("humidity", 50.0)) and not passing(sampler, 1, good("humidity", 50.0))
    assert passing(sampler, 2, good("humidity", 50.1))


def test_true_and_one_are_told_apart_from_false_and_zero_as_states() -> None:
    sampler = Sampler(RULES)
    assert passing(sampler, 0, good("door_open", False)) == {"door_open": False}
    assert passing(sampler, 1, good("door_open", False)) == {}
    assert passing(sampler, 2, good("door_open", True)) == {"door_open": True}


def test_a_heartbeat_passes_what_has_not_changed_and_falls_on_a_poll() -> None:
    sampler = Sampler(RULES)
    assert passing(sampler, 0.0, good("temperature", 20.0))
    assert not passing(sampler, 50.1, good("temperature", 20.0))
    assert passing(sampler, 59.9, good("temperature", 20.0)), "half an interval early, not a whole one late"
    assert not passing(sampler, 70.0, good("temperature", 20.0))


def test_only_what_passes_is_in_the_reading() -> None:
    sampler = Sampler(RULES)
    sampler.poll([good("temperature", 20.0), good("humidity", 50.0)], 0)
    assert passing(sampler, 1, good("temperature", 20.0), good("humidity", 51.0)) == {"humidity": 51.0}


def test_helper_registers_make_no_values() -> None:
    assert Sampler(RULES).poll([Decoded("decimals", None, 2, Quality.GOOD, "", (2,))], 0) is None


def test_a_part_that_failed_is_a_fault_beside_the_values() -> None:
    passed = Sampler(RULES).poll([good("temperature", 20.0), bad("humidity", "exception 2")], 0)
    assert passed is not None and passed.quality is Quality.GOOD
    assert passed.values == {"temperature": 20.0} and passed.faults == {"humidity": "bad: exception 2"}


def test_a_reading_of_faults_alone_is_bad() -> None:
    passed = Sampler(RULES).poll([bad("humidity", "exception 2")], 0)
    assert passed is not None and passed.quality is Quality.BAD and passed.values == {}


def test_a_fault_passes_when_it_comes_when_it_changes_and_when_it_goes() -> None:
    sampler = Sampler(RULES)
    steps = [good("humidity", 50.0), bad("humidity", "x"), bad("humidity", "x"), bad("humidity", "y"), good("humidity", 50.0)]
    assert [sampler.poll([step], n) is not None for n, step in enumerate(steps)] == [True, True, False, True, True]


def test_a_fault_that_only_counts_differently_is_the_same_fault() -> None:
    sampler = Sampler(RULES)
    assert sampler.poll([bad("humidity", "301.5 is out of range 0 to 100")], 0)
    assert sampler.poll([bad("humidity", "302 is out of range 0 to 100")], 1) is None


def test_uncertain_after_good_passes_although_the_value_stayed() -> None:
    sampler = Sampler(RULES)
    sampler.poll([good("humidity", 50.0)], 0)
    passed = sampler.poll([good("humidity", 50.0)._replace(quality=Quality.UNCERTAIN)], 1)
    assert passed is not None and passed.quality is Quality.UNCERTAIN


def test_a_silence_passes_at_first_when_its_reason_changes_and_on_heartbeats() -> None:
    sampler = Sampler(RULES)
    reasons = [(0, "timeout"), (10, "timeout"), (20, "bus unavailable"), (79, "bus unavailable"), (80, "bus unavailable")]
    passed = [sampler.silence(reason, now) for now, reason in reasons]
    assert [one and one.faults for one in passed] == [
        {"*": "timeout"},
        None,
        {"*": "bus unavailable"},
        None,
        {"*": "bus unavailable"},
    ]
    assert all(one.quality is Quality.BAD and one.values == {} for one in passed if one)


def test_after_a_silence_every_metric_passes() -> None:
    sampler = Sampler(RULES)
    everything = [good("temperature", 20.0), good("humidity", 50.0)]
    sampler.poll(everything, 0)
    sampler.silence("timeout", 1)
    assert passing(sampler, 2, *everything) == {"temperature": 20.0, "humidity": 50.0}
    assert sampler.silence("timeout", 3) is not None, "a new silence is news again"


def test_an_event_always_passes_whole() -> None:
    sampler = Sampler(RULES)
    granted = Observation({"event": "granted", "door_open": True}, event_id="1")
    first, second = sampler.observe(granted, 0), sampler.observe(granted, 1)
    assert first is not None and second is not None and second.values == granted.values and second.urgent


def test_what_an_event_said_is_what_the_next_state_is_compared_with() -> None:
    sampler = Sampler(RULES)
    sampler.observe(Observation({"door_open": False}), 0)
    sampler.observe(Observation({"event": "door_opened", "door_open": True}), 1)
    passed = sampler.observe(Observation({"door_open": False}), 2)
    assert passed is not None and passed.values == {"door_open": False}


def test_a_state_passes_on_change_and_its_urgency_is_the_profiles() -> None:
    sampler = Sampler(RULES)
    passed = sampler.observe(Observation({"door_open": True, "temperature": 20.0}), 0)
    assert passed is not None and passed.urgent
    assert sampler.observe(Observation({"door_open": True, "temperature": 20.1}), 1) is None
    calm = sampler.observe(Observation({"door_open": True, "temperature": 25.0}), 2)
    assert calm is not None and calm.values == {"temperature": 25.0} and not calm.urgent


def test_a_stale_state_after_a_good_one_is_a_change() -> None:
    sampler = Sampler(RULES)
    sampler.observe(Observation({"door_open": True}), 0)
    passed = sampler.observe(Observation({"door_open": True}, quality=Quality.STALE), 1)
    assert passed is not None and passed.quality is Quality.STALE


@pytest.mark.parametrize("faults", [{"temperature": "not a number"}])
def test_a_wrong_field_is_a_fault_and_the_rest_passes(faults: dict[str, str]) -> None:
    sampler = Sampler(RULES)
    passed = sampler.observe(Observation({"door_open": True}, faults=faults), 0)
    assert passed is not None and passed.values == {"door_open": True} and passed.faults == faults
    assert sampler.observe(Observation({"door_open": True}, faults=faults), 1) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_what_is_kept_back_is_always_within_the_deadband_of_what_passed(values: list[float]) -> None:
    sampler = Sampler(RULES)
    last = 0.0
    for n, value in enumerate(values):
        passed = passing(sampler, n * 0.1, good("temperature", value))
        last = passed.get("temperature", last)  # type: ignore[assignment]
        assert abs(value - last) <= 0.5
