"""A device is stuck when it says one value while its siblings move, and not when all are calm or it is silent."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts.anomaly import MAX_SIBLINGS
from ingest.alerts.flatline import FORGOTTEN_US, Flatline
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Stillness

WINDOW = 1000
SENSE = Flatline("temperature", WINDOW, 2.0, 2)
Said = tuple[int, str, float]


def heard(said: list[Said], sense: Flatline = SENSE) -> Stillness:
    memory = sense.initial
    for at, device, value in said:
        memory = sense.hear(memory, Sample(at, device, {"temperature": value}), False)
    return memory


def hall(at: int, stuck: float, moved: float) -> list[Said]:
    return [(at, "a", stuck), (at + 1, "b", 20 + moved), (at + 2, "c", 22 - moved)]


def test_one_that_stands_still_while_two_move_is_stuck() -> None:
    said = [one for step in range(11) for one in hall(step * 100, 21.5, 0.25 * step)]
    assert not SENSE.holds(heard(said[:-3]), 1000, False)
    memory = heard([*said, *hall(1100, 21.5, 2.75)])
    assert SENSE.holds(memory, 1100, False)
    assert SENSE.shown(memory, 1100)[::3] == (21.5, "a")


def test_in_a_calm_hour_nothing_is_stuck() -> None:
    assert not SENSE.holds(heard([one for step in range(40) for one in hall(step * 100, 21.5, 0.03 * step)]), 4000, False)


def test_one_sibling_that_moves_is_not_enough() -> None:
    said = [one for step in range(30) for one in hall(step * 100, 21.5, 0.5 * step) if one[1] != "c"]
    assert not SENSE.holds(heard(said), 3000, False)


def test_one_that_falls_silent_is_not_stuck() -> None:
    calm = [one for step in range(11) for one in hall(step * 100, 21.5, 0.0)]
    others = [one for step in range(17, 60) for one in hall(step * 100, 21.5, 0.5 * step) if one[1] != "a"]
    assert not SENSE.holds(heard(calm + others), 6000, False)


def test_it_is_stuck_until_it_says_another_value_whatever_the_others_do() -> None:
    said = [one for step in range(12) for one in hall(step * 100, 21.5, 0.25 * step)]
    calm = [one for step in range(12, 60) for one in hall(step * 100, 21.5, 3.0)]
    assert SENSE.holds(heard(said + calm), 6000, True)
    assert not SENSE.holds(heard([*said, *calm, (6000, "a", 21.4)]), 6000, True)


def test_one_that_said_nothing_for_a_day_is_forgotten() -> None:
    said = [one for step in range(12) for one in hall(step * 100, 21.5, 0.25 * step)]
    assert SENSE.holds(heard([*said, (FORGOTTEN_US, "b", 20.0)]), FORGOTTEN_US, True)
    assert not SENSE.holds(heard([*said, (FORGOTTEN_US + 1200, "b", 20.0)]), FORGOTTEN_US + 1200, True)


def test_a_zone_of_many_devices_is_remembered_within_bounds() -> None:
    memory = heard([(at, f"d{at % 200}", float(at % 7)) for at in range(1000)])
    assert len(memory.devices) == MAX_SIBLINGS
    assert len(msgspec.json.encode(memory)) < 10_000


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from("abcd"), st.integers(18, 24)), min_size=1, max_size=60))
@settings(deadline=None)
def test_what_is_stuck_has_said_nothing_else_for_the_whole_window(steps: list[tuple[int, str, int]]) -> None:
    at, said = 0, list[Said]()
    for ahead, device, value in steps:
        at += ahead
        said.append((at, device, float(value)))
    for name in heard(said).stuck:
        own = [(when, value) for when, device, value in said if device == name]
        last = own[-1][1]
        changed = max((when for when, value in own if value != last), default=-1)
        since = next(when for when, value in own if when > changed)
        assert own[-1][0] - since >= WINDOW
