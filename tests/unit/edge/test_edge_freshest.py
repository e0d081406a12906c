"""Out of a storm the latest value of each point comes, with the instant it is of."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Observation
from edge.drivers import freshest
from edge.drivers.freshest import Freshest
from telemetry.metric import Value


def heard(at: int | None = None, faults: dict[str, str] | None = None, **values: Value) -> Observation:
    return Observation(values=values, at=at, faults=faults)


def told(those: Freshest) -> list[Mapping[str, Value]]:
    return [one.observation.values for one in those.take()]


def test_a_later_observation_takes_the_place_of_an_earlier_one() -> None:
    those = Freshest()
    gone = [those.put("meter-a", heard(voltage=float(n)), n) for n in range(5)]
    assert gone == [0, 1, 1, 1, 1]
    assert told(those) == [{"voltage": 4.0}]
    assert told(those) == []


def test_what_only_the_earlier_one_told_stays_with_its_own_instant() -> None:
    those = Freshest()
    those.put("meter-a", heard(voltage=1.0, current=2.0), 10)
    assert those.put("meter-a", heard(voltage=3.0), 20) == 0
    assert [(one.arrived_at, one.observation.values) for one in those.take()] == [
        (10, {"voltage": 1.0, "current": 2.0}),
        (20, {"voltage": 3.0}),
    ]


def test_one_that_tells_all_of_several_takes_the_place_of_them_all() -> None:
    those = Freshest()
    those.put("meter-a", heard(voltage=1.0), 10)
    those.put("meter-a", heard(current=2.0), 20)
    assert those.put("meter-a", heard(voltage=3.0, current=4.0), 30) == 2
    assert told(those) == [{"voltage": 3.0, "current": 4.0}]


def test_a_fault_is_news_of_its_metric_too() -> None:
    those = Freshest()
    those.put("meter-a", heard(voltage=1.0), 10)
    assert those.put("meter-a", heard(faults={"voltage": "bad: not a number"}), 20) == 1
    assert those.put("meter-a", heard(current=1.0), 30) == 0, "the fault of the voltage is not told by a current"


def test_the_latest_is_what_happened_last_not_what_came_last() -> None:
    those = Freshest()
    those.put("meter-a", heard(at=500, voltage=5.0), 1_000)
    assert those.put("meter-a", heard(at=400, voltage=4.0), 1_001) == 1
    assert told(those) == [{"voltage": 5.0}]


def test_devices_do_not_replace_each_other_and_can_be_taken_or_forgotten_alone() -> None:
    those = Freshest()
    for device in ("meter-a", "meter-b", "meter-c"):
        those.put(device, heard(voltage=1.0), 1)
    assert [one.device for one in those.take_of("meter-b")] == ["meter-b"]
    those.keep_only({"meter-c", "meter-d"})
    assert [one.device for one in those.take()] == ["meter-c"]


def test_it_says_when_it_is_to_be_emptied() -> None:
    those, full = Freshest(), []
    for n in range(freshest.PARKED):
        full.append(those.is_full)
        those.put(f"meter-{n}", heard(voltage=1.0), 1)
    assert not any(full) and those.is_full
    assert len(those.take()) == freshest.PARKED


def test_a_device_that_never_repeats_itself_fills_it_too() -> None:
    those, full = Freshest(), []
    for n in range(freshest.KINDS):
        full.append(those.is_full)
        those.put("meter-a", Observation({f"metric_{n}": 1.0}), 1)
    assert not any(full) and those.is_full
    those.take()
    assert not those.is_full


METRICS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 99), min_size=1)


@given(st.lists(st.tuples(st.sampled_from(("x", "y")), METRICS, st.integers(0, 9))))
def test_the_latest_value_of_each_point_is_always_there(said: list[tuple[str, dict[str, Value], int]]) -> None:
    those, latest = Freshest(), dict[tuple[str, str], tuple[int, Value]]()
    gone = 0
    for device, values, at in said:
        gone += those.put(device, Observation(values, at), 0)
        for metric, value in values.items():
            if at >= latest.get((device, metric), (0, 0))[0]:
                latest[device, metric] = (at, value)
    out = those.take()
    found: dict[tuple[str, str], tuple[int, Value]] = {}
    for one in out:
        for metric, value in one.observation.values.items():
            if one.happened_at >= found.get((one.device, metric), (0, 0))[0]:
                found[one.device, metric] = (one.happened_at, value)
    assert found == latest
    assert len(out) + gone == len(said)
