"""A mean over a window: what counts for how long, and when too little is known."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts.condition import Condition
from ingest.alerts.level import Limit
from ingest.alerts.machine import Sample
from ingest.alerts.mean import SLOTS, Mean
from ingest.alerts.memory import Averaged
from ingest.alerts.when import Test as Wanted
from telemetry.metric import Value

STEP = 100
WINDOW = SLOTS * STEP
NEVER = Condition({})


def mean(average: str = "plain", gap: int = WINDOW, covered: float = 0.75, unless: Condition = NEVER, *limits: Limit) -> Mean:
    found = limits or (Limit(60, 55),)
    return Mean("noise", found, "above", average, WINDOW, gap, covered, unless)  # type: ignore[arg-type]


def heard(sense: Mean, said: list[tuple[int, dict[str, Value]]]) -> Averaged:
    memory = sense.initial
    for at, values in said:
        memory = sense.hear(memory, Sample(at, "square", values), False)
    return memory


def shown(sense: Mean, memory: Averaged, at: int) -> Value | None:
    return sense.shown(memory, at).value


def test_a_value_counts_for_as_long_as_it_stood() -> None:
    memory = heard(mean(), [(0, {"noise": 40.0}), (WINDOW // 4, {"noise": 80.0})])
    assert shown(mean(), memory, WINDOW) == 70.0


def test_of_sound_levels_the_energy_is_averaged() -> None:
    """Half the time at 60 dB and half at 50 dB is 57.4 dB, not 55."""
    sense = mean("energy")
    memory = heard(sense, [(0, {"noise": 60.0}), (WINDOW // 2, {"noise": 50.0})])
    assert shown(sense, memory, WINDOW) == 57.4


def test_nothing_is_judged_before_enough_of_the_window_was_told() -> None:
    memory = heard(mean(), [(0, {"noise": 90.0})])
    assert [mean().holds(memory, at, False) for at in (0, 17 * STEP, 18 * STEP - 1, 18 * STEP)] == [None, None, None, True]


def test_silence_is_no_value() -> None:
    """What was said counts for the gap and no longer, however late the next word comes."""
    sense = mean(gap=2 * STEP, covered=0.1)
    memory = heard(sense, [(0, {"noise": 90.0}), (20 * STEP, {"noise": 50.0})])
    assert shown(sense, memory, 24 * STEP) == 70.0
    assert sense.holds(memory, 60 * STEP, True) is None
    assert sense.turns(memory, 60 * STEP, True) is None


def test_what_is_said_while_something_excuses_it_does_not_count() -> None:
    sense = mean(unless=Condition({"wind_speed": Wanted(at_least=5)}), covered=0.2)
    said: list[tuple[int, dict[str, Value]]] = [
        (0, {"noise": 50.0, "wind_speed": 1.0}),
        (6 * STEP, {"noise": 90.0, "wind_speed": 8.0}),
        (12 * STEP, {"noise": 91.0}),
        (18 * STEP, {"wind_speed": 2.0}),
        (19 * STEP, {"noise": 60.0, "wind_speed": 2.0}),
    ]
    assert shown(sense, heard(sense, said), WINDOW) == pytest.approx((6 * 50 + 91 + 5 * 60) / 12, abs=0.05)


def test_the_limit_is_the_one_in_force_when_the_newest_value_was_said() -> None:
    sense = mean("plain", WINDOW, 0.5, NEVER, Limit(75, 70, 0, WINDOW, "old"), Limit(60, 55, WINDOW, 1 << 62, "new"))
    memory = heard(sense, [(0, {"noise": 65.0})])
    assert (sense.holds(memory, WINDOW, False), sense.shown(memory, WINDOW)[1:3]) == (False, (75, "old"))
    memory = sense.hear(memory, Sample(WINDOW, "square", {"noise": 65.0}), False)
    assert (sense.holds(memory, WINDOW, False), sense.shown(memory, WINDOW)[1:3]) == (True, (60, "new"))


def test_a_stale_value_and_a_text_say_nothing() -> None:
    sense = mean()
    for sample in (Sample(1, "square", {"noise": 90.0}, fresh=False), Sample(1, "square", {"noise": "loud"})):
        assert sense.hear(sense.initial, sample, False) is sense.initial


def test_what_remembers_only_what_went_past_the_limit_begins_and_ends_with_it() -> None:
    sense = Mean("noise", (Limit(60, 55),), "above", "plain", WINDOW, WINDOW, 0.5, NEVER, since_past=True)
    calm = heard(sense, [(0, {"noise": 50.0}), (STEP, {"noise": 59.9})])
    assert calm is sense.initial
    loud = heard(sense, [(0, {"noise": 50.0}), (STEP, {"noise": 70.0}), (2 * STEP, {"noise": 56.0})])
    assert [sense.holds(loud, at, False) for at in (12 * STEP, 13 * STEP)] == [None, False]
    ended = heard(sense, [(STEP, {"noise": 70.0}), *((at * STEP, {"noise": 56.0}) for at in range(2, 26))])
    assert ended is not sense.initial
    assert sense.hear(ended, Sample(26 * STEP, "square", {"noise": 56.0}), False) == sense.initial


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(40, 80)), min_size=1, max_size=200))
@settings(deadline=None)
def test_it_is_what_adding_up_every_instant_gives_and_stays_bounded(steps: list[tuple[int, int]]) -> None:
    sense, at, said = mean(gap=500, covered=0.01), 0, list[tuple[int, dict[str, Value]]]()
    for ahead, value in steps:
        at += ahead
        said.append((at, {"noise": float(value)}))
    memory = heard(sense, said)
    assert len(memory.slots) <= SLOTS
    assert len(msgspec.json.encode(memory)) < 2000
    last = at // STEP * STEP
    ends = [*(when for when, _ in said[1:]), at]
    told = [
        value["noise"]
        for (when, value), end in zip(said, ends, strict=True)
        for _ in range(max(when, last - WINDOW), min(end, when + 500, last))
    ]
    expected = sum(map(float, told)) / len(told) if len(told) >= 0.01 * WINDOW else None
    assert shown(sense, memory, at) == (None if expected is None else pytest.approx(expected, rel=1e-3))


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(40, 80)), min_size=1, max_size=40), st.booleans())
@settings(deadline=None)
def test_between_two_samples_it_changes_at_no_instant_that_it_did_not_tell(steps: list[tuple[int, int]], raised: bool) -> None:
    sense, at, memory = mean(gap=700, covered=0.3), 0, Averaged()
    for ahead, value in steps:
        at += ahead
        memory = sense.hear(memory, Sample(at, "square", {"noise": float(value)}), raised)
    instants = [at, *range((at // 50 + 1) * 50, at + 4 * WINDOW, 50)]
    first = next((now for now in instants if sense.holds(memory, now, raised) == (not raised)), None)
    turn: int | None = at
    while turn is not None and first is not None and turn < first:
        turn = sense.turns(memory, turn, raised)
    assert first is None or turn == first
