"""Passages, surpluses and balances: what is counted one by one, in whatever order it comes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts.balance import MAX_RECENT, Balance
from ingest.alerts.condition import Condition
from ingest.alerts.machine import Sample
from ingest.alerts.repeat import MAX_PASSAGES, Repeat
from ingest.alerts.sense import Sense
from ingest.alerts.surplus import MAX_ENTRIES, Surplus
from ingest.calendar import PLAIN
from telemetry.metric import Value

IN, OUT = Condition({"event": "plate", "direction": "in"}), Condition({"event": "plate", "direction": "out"})
SECOND = 1_000_000
MIDNIGHT = PLAIN.instant(PLAIN.local(1_790_000_000_000_000).date(), 0)

INSIDE_TWICE = Repeat(IN, OUT, 60, 1000, show="plate")
TAILGATING = Surplus(None, "entered", Condition({"event": "granted"}), 3, 2.0, 100)
CROSSED = Surplus(IN, None, OUT, 2, 1.0, 100)
CENSUS = Balance(IN, OUT, "present", 0.03, 3)


def said(at: int, device: str = "gate", **values: Value) -> Sample:
    return Sample(at, device, values)


def came(at: int, device: str = "gate", plate: str = "A") -> Sample:
    return said(at, device, event="plate", direction="in", plate=plate)


def went(at: int, device: str = "gate") -> Sample:
    return said(at, device, event="plate", direction="out")


def heard(sense: Sense[Any], *samples: Sample) -> Any:
    memory = sense.initial
    for sample in samples:
        memory = sense.hear(memory, sample, False)
    return memory


def holds(sense: Sense[Any], at: int, *samples: Sample) -> bool | None:
    return sense.holds(heard(sense, *samples), at, False)


crossings = st.builds(
    lambda at, device, way: came(at, device) if way else went(at, device),
    st.integers(1, 300),
    st.sampled_from(["gate", "ramp"]),
    st.booleans(),
)
others = st.builds(
    lambda at, count: said(at, "door", entered=count, present=count, event="granted"), st.integers(1, 300), st.integers(0, 9)
)
totals = st.builds(lambda at, count: said(at, "beam", entered=count), st.integers(1, 300), st.integers(0, 9))
worlds = st.lists(crossings | others | totals, max_size=25, unique_by=lambda sample: (sample.at, sample.device))


@pytest.mark.parametrize("sense", [INSIDE_TWICE, TAILGATING, CROSSED], ids=["repeat", "counter", "events"])
@given(found=worlds, chance=st.randoms())
@settings(max_examples=80, deadline=None)
def test_neither_order_nor_repetition_changes_what_holds(sense: Sense[Any], found: list[Sample], chance: Any) -> None:
    shuffled = [*found, *found[::2]]
    chance.shuffle(shuffled)
    at = max((sample.at for sample in found), default=1)
    assert holds(sense, at, *shuffled) == holds(sense, at, *sorted(found))


@pytest.mark.parametrize("sense", [INSIDE_TWICE, TAILGATING, CROSSED, CENSUS], ids=["repeat", "counter", "events", "balance"])
@given(found=worlds)
@settings(max_examples=80, deadline=None)
def test_what_holds_changes_at_the_told_instants_alone(sense: Sense[Any], found: list[Sample]) -> None:
    memory = heard(sense, *sorted(found))
    at = max((sample.at for sample in found), default=1)
    turn = sense.turns(memory, at, False)
    for later in range(at, min(turn or at + 400, at + 400)):
        assert sense.holds(memory, later, False) == sense.holds(memory, at, False)


@pytest.mark.parametrize(
    ("samples", "is_inside_twice"),
    [
        ([came(0), came(200)], True),
        ([came(0), went(100), came(200)], False),
        ([came(0), came(200), went(100)], False),  # the way out is told late
        ([came(0), came(200), went(300)], False),
        ([came(0), came(50), came(100), came(150)], False),  # a car that waits at the gate, and is read again and again
        ([came(0), came(50), came(100), came(161)], True),
        ([came(0), came(60)], False),
        ([came(0), came(61)], True),
        ([came(0), went(10), came(50), came(120)], True),  # what ended it also ended the passage that was told again
        ([came(0), came(5, "other")], True),
        ([came(0), came(50, "other"), came(55)], True),
        ([went(0), came(100), went(150), went(200)], False),
    ],
)
def test_in_and_in_again_without_out_is_inside_twice(samples: list[Sample], is_inside_twice: bool) -> None:
    assert holds(INSIDE_TWICE, 300, *samples) is is_inside_twice


def test_a_passage_is_forgotten_after_its_time_and_at_the_time_of_day_that_resets() -> None:
    nightly = Repeat(IN, OUT, 60 * SECOND, 12 * 3600 * SECOND, resets=4 * 60)
    four, hour = MIDNIGHT + 4 * 3600 * SECOND, 3600 * SECOND
    assert holds(nightly, four + 2 * hour, came(four - hour), came(four + hour)) is False
    assert holds(nightly, four + 2 * hour, came(four + 1), came(four + hour)) is True
    memory = heard(nightly, came(four - 2 * hour), came(four - hour))
    assert nightly.turns(memory, four - hour, False) == four
    assert (nightly.holds(memory, four - 1, True), nightly.holds(memory, four, True)) == (True, False)
    memory = heard(INSIDE_TWICE, came(1), came(200))
    assert INSIDE_TWICE.turns(memory, 200, True) == 1001
    assert INSIDE_TWICE.turns(heard(INSIDE_TWICE, came(1), came(200), came(400)), 400, True) == 1200
    assert (INSIDE_TWICE.holds(memory, 1000, True), INSIDE_TWICE.holds(memory, 1001, True)) == (True, False)


def test_a_reset_counts_from_the_day_before_until_the_day_after() -> None:
    nightly = Repeat(IN, OUT, 60 * SECOND, 40 * 3600 * SECOND, resets=4 * 60)
    four, hour = MIDNIGHT + 4 * 3600 * SECOND, 3600 * SECOND
    assert holds(nightly, four - hour, came(four - 25 * hour), came(four - 2 * hour)) is False
    assert holds(nightly, four - hour, came(four - 23 * hour), came(four - 2 * hour)) is True
    assert nightly.turns(heard(nightly, came(four + hour), came(four + 2 * hour)), four + 2 * hour, True) == four + 24 * hour


def test_the_newest_passage_in_is_shown() -> None:
    shown = INSIDE_TWICE.shown(heard(INSIDE_TWICE, came(0, "gate", "A"), came(9, "ramp", "B"), went(12)), 12)
    assert (shown.value, shown.device) == ("B", "ramp")


def beam(at: int, total: int) -> Sample:
    return said(at, "beam", entered=total)


@pytest.mark.parametrize(
    ("samples", "tailgated"),
    [
        ([beam(1, 10), beam(50, 13)], True),
        ([beam(1, 10), beam(50, 12)], False),
        ([beam(1, 10), beam(50, 14), said(40, event="granted"), said(41, event="granted")], False),  # not three more
        ([beam(1, 10), beam(50, 15), said(40, event="granted"), said(41, event="granted")], True),
        ([beam(1, 10), beam(50, 17), *(said(at, event="granted") for at in (40, 41, 42, 43))], False),  # not twice as many
        ([beam(1, 10), beam(50, 16), *(said(at, event="granted") for at in (40, 41, 42))], True),
        ([beam(0, 10), beam(50, 13)], False),  # the window is past where it began
        ([beam(1, 10), beam(101, 90)], False),  # silent for a whole window: nobody knows when they came
        ([beam(1, 10), beam(50, 0), beam(60, 2)], False),  # counts from zero again
        ([beam(1, 90), beam(50, 0), beam(60, 3)], True),
    ],
)
def test_more_came_in_than_were_granted(samples: list[Sample], tailgated: bool) -> None:
    assert holds(TAILGATING, 100, *samples) is tailgated


def test_a_surplus_is_over_when_its_window_has_passed() -> None:
    memory = heard(CROSSED, came(10), came(20), went(30))
    assert CROSSED.holds(memory, 30, False) is False
    memory = heard(CROSSED, came(10), came(20))
    assert (CROSSED.turns(memory, 20, False), CROSSED.turns(memory, 20, True)) == (110, 120)  # less than half of two
    assert (CROSSED.holds(memory, 119, True), CROSSED.holds(memory, 120, True)) == (True, False)
    assert CROSSED.turns(memory, 120, True) is None
    assert CROSSED.turns(heard(CROSSED, came(10), came(20), came(30)), 110, False) == 120
    assert CROSSED.turns(heard(CROSSED, went(5), came(10), came(20)), 20, False) == 105  # what allowed one of them is gone
    assert CROSSED.turns(heard(CROSSED, went(10), came(10), came(20)), 20, False) is None
    assert CROSSED.shown(heard(CROSSED, came(10), came(20, "ramp"), went(30)), 30) == (2, 1, "", "ramp")


def census(at: int, count: int) -> Sample:
    return said(at, "round", event="census", present=count)


@pytest.mark.parametrize(
    ("samples", "off"),
    [
        ([came(1), came(2), came(3), came(4), census(10, 4)], None),  # the first census has nothing to be held against
        ([census(10, 100), *(came(20 + n) for n in range(4)), census(50, 104)], False),
        ([census(10, 100), *(came(20 + n) for n in range(4)), census(50, 100)], True),
        ([census(10, 100), *(came(20 + n) for n in range(3)), census(50, 100)], False),  # 3 of 100 are not more than 3 %
        ([census(10, 10), came(20), came(21), census(50, 10)], False),  # two are fewer than three
        ([census(10, 10), went(20), went(21), went(22), census(50, 10)], True),
        ([census(10, 10), came(20), came(21), came(60), census(50, 10)], False),  # came after the census, told before it
        ([census(10, 10), came(20), came(21), census(50, 10), came(40)], True),  # came before it, told after it
        ([census(10, 10), came(20), came(21), came(50), census(50, 10)], True),  # of the same instant: it counts
        ([census(10, 10), came(20), came(21), census(50, 10), came(50)], True),
        ([census(10, 10), came(20), came(21), census(50, 10), came(10)], False),  # of the first census: that counted it
        ([census(10, 10), came(60), came(61), came(62), census(50, 10), census(70, 10)], True),
        ([census(10, 10), came(20), came(21), came(22), census(50, 10), census(60, 10)], False),
        ([census(10, 10), came(20), came(21), came(22), census(50, 10), census(40, 13)], True),  # an older one changes nothing
        ([census(10, 10), came(20), came(21), came(21), census(50, 10)], False),  # told twice
    ],
)
def test_a_census_tells_how_far_the_gates_are_off(samples: list[Sample], off: bool | None) -> None:
    assert holds(CENSUS, 100, *samples) is off


def test_memory_is_bounded_however_much_is_heard() -> None:
    many = [came(at) for at in range(0, 3000, 2)]
    assert len(heard(Repeat(IN, OUT, 0, 10_000), *many).passages) == MAX_PASSAGES
    assert len(heard(Surplus(IN, None, OUT, 2, 1.0, 10_000), *many).more) == MAX_ENTRIES
    assert (
        len(heard(Surplus(None, "entered", OUT, 2, 1.0, 10_000), *(beam(at, at) for at in range(0, 3000, 2))).totals)
        == MAX_ENTRIES
    )
    assert len(heard(CROSSED, *many).more) == 100  # what two windows have passed over is gone
    assert len(heard(CENSUS, *many).recent) == MAX_RECENT


@pytest.mark.parametrize("sense", [INSIDE_TWICE, TAILGATING, CROSSED, CENSUS])
def test_what_says_nothing_new_leaves_the_memory_as_it_was(sense: Sense[Any]) -> None:
    told = [census(5, 3), came(10), went(20), beam(30, 4), said(40, event="granted")]
    memory = heard(sense, *told)
    for sample in (*told, said(50, battery=3.0), came(60)._replace(fresh=False), beam(70, 9)._replace(fresh=False)):
        assert sense.hear(memory, sample, True) is memory
