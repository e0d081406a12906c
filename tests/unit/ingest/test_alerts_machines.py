"""The machines by themselves: ticks, restarts and duplicates change nothing that they say."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts.anomaly import MAX_SIBLINGS, SIBLING_US, Drift, Peers, Spread
from ingest.alerts.balance import Balance
from ingest.alerts.change import Change as Course
from ingest.alerts.condition import Condition
from ingest.alerts.count import Count
from ingest.alerts.flatline import Flatline
from ingest.alerts.forecast import Holt, Outlook, TheilSen
from ingest.alerts.hold import Hold
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.level import Level, Limit, Met, Samples
from ingest.alerts.machine import Change, Machine, Sample, Transition
from ingest.alerts.mean import Mean
from ingest.alerts.occurrence import Occurrence
from ingest.alerts.repeat import Repeat
from ingest.alerts.sequence import MAX_KEPT, Succession
from ingest.alerts.severity import Colour
from ingest.alerts.staged import Stage, Staged
from ingest.alerts.states import _decoder
from ingest.alerts.surplus import Surplus
from ingest.alerts.together import Together
from ingest.alerts.when import Test as Wanted
from telemetry.metric import Value

LEVEL = Level("level", (Limit(6, 4),))


class EverySoOften:
    """As a schedule: active for seven microseconds of every eleven, so that a series of sixty meets edges."""

    def active(self, at: int) -> bool:
        return at % 11 < 7

    def turns(self, after: int) -> int:
        return next(at for at in range(after + 1, after + 12) if self.active(at) != self.active(at - 1))


EVERY_SO_OFTEN: Any = EverySoOften()
MACHINES: list[Machine[Any]] = [
    Hold(LEVEL, 5, 3),
    Hold(Level("level", (Limit(3, 3),), "below"), 0, 0),
    Hold(Met(Condition({"door_open": True}), 7), 7, 0),
    Hold(Met(Condition({"door_open": True}), 7, gap_us=5), 12, 0),
    Succession(Condition({"door_open": True}), (Condition({"event": "granted"}),), 4, 3),
    Succession(Condition({"event": "opened"}), (Condition({"event": "granted"}),), 4, 3, 9),
    Occurrence(Condition({"event": ("opened", "granted")}), 6),
    Occurrence(Condition({"event": "opened"}), 0),
    Occurrence(Condition({}), 5, unless=Condition({"level": Wanted(at_most=4)})),
    Hold(Level("level", (Limit(6, 4),), samples=Samples(2, 3)), 3, 0),
    Hold(Level("level", (Limit(3, 3, 0, 30, "old"), Limit(7, 6))), 0, 0),
    Hold(Course("level", "rise", 9, 4, 2, 20), 2, 0),
    Hold(Course("level", "still", 9, 2, 3, 12), 0, 4),
    Hold(Course("level", "no_fall", 7, 2, 2, 12), 3, 0),
    Hold(Mean("level", (Limit(5, 3),), "above", "plain", 24, 9, 0.5, Condition({"door_open": True})), 2, 3),
    Hold(Mean("level", (Limit(5, 3),), "above", "plain", 24, 60, 0.3, Condition({}), since_past=True), 0, 0),
    Hold(Mean("level", (Limit(4, 4, 0, 30, "old"), Limit(6, 6)), "below", "energy", 48, 30, 0.75, Condition({})), 0, 0),
    Hold(Count(Condition({"event": "denied"}), 3, 15), 0, 0),
    Hold(Count(Condition({"event": ("denied", "opened")}), 2, 12, "device"), 2, 0),
    Hold(Repeat(Condition({"event": "opened"}), Condition({"event": "granted"}), 2, 20), 3, 0),
    Hold(Surplus(Condition({"event": "opened"}), None, Condition({"event": "granted"}), 2, 1.0, 15), 0, 2),
    Hold(Surplus(None, "level", Condition({"event": "granted"}), 3, 1.5, 12), 2, 0),
    Hold(Balance(Condition({"event": "opened"}), Condition({"event": "granted"}), "level", 0.1, 2), 0, 0),
    Hold(Together((Condition({"event": "opened"}), Condition({"level": Wanted(at_least=6)})), 1, 8), 0, 0),
    Hold(Together((Condition({"door_open": True}),), 2, 5), 3, 2),
    Hold(TheilSen(Outlook("level", 9, 3, "above", 20 / 1e6, 20)), 0, 0),
    Hold(Holt(Outlook("level", 9, 3, "above", 20 / 1e6, 20)), 0, 0),
    Hold(Spread("level", 2, 0.5, 100, "either"), 0, 0),
    Hold(Drift("level", "cusum", 2, 0.5, 5, "above"), 0, 0),
    Hold(Flatline("level", 8, 3, 1), 1, 2),
    Hold(Peers("level", 2, 0.5, "either"), 2, 0),
    Hold(Join((Hold(LEVEL, 3, 0), Hold(Met(Condition({"door_open": True})), 5, 0)), True), 2, 2),
    Hold(Join((Hold(LEVEL, 3, 0), Hold(Met(Condition({"level": 9})), 0, 4)), False, Condition({"door_open": True})), 2, 2),
    Hold(Join((Hold(LEVEL, 3, 0), Hold(Count(Condition({"event": "denied"}), 2, 9), 0, 0)), False), 0, 0),
    Hold(Guarded(Met(Condition({"door_open": True})), EVERY_SO_OFTEN), 4, 0),
    Staged(Hold(LEVEL, 3, 0), Colour.YELLOW, (Stage(Colour.RED, 9), Stage(Colour.ORANGE, 0, EVERY_SO_OFTEN))),
    Staged(Hold(LEVEL, 0, 2), Colour.BLUE, (Stage(Colour.RED, 0, None, Hold(Level("level", (Limit(8, 8),)), 2, 0)),), falls=True),
    Staged(Succession(Condition({"door_open": True}), (), 4, 3), Colour.YELLOW, (Stage(Colour.RED, 0, EVERY_SO_OFTEN),)),
]

NAMES = [f"{number}-{type(getattr(machine, 'sense', machine)).__name__}" for number, machine in enumerate(MACHINES)]

values: st.SearchStrategy[dict[str, Value]] = st.one_of(
    st.fixed_dictionaries({"level": st.integers(0, 9)}),
    st.fixed_dictionaries({"door_open": st.booleans()}),
    st.fixed_dictionaries({"event": st.sampled_from(["opened", "granted", "denied"])}),
)
samples = st.builds(Sample, st.integers(1, 60), st.sampled_from(["one", "two"]), values, st.booleans())
series = st.lists(samples, max_size=25, unique_by=lambda sample: sample.at).map(
    lambda found: sorted(found, key=lambda one: one.at)
)


def run(
    machine: Machine[Any], found: list[Sample], ticks: set[int], restart: bool = False, repeat: bool = False
) -> list[Transition]:
    state, said = machine.initial, []
    for now in range(100):
        for sample in (one for one in found if one.at == now):
            for _ in range(2 if repeat else 1):
                state, transitions = machine.advance(state, sample)
                said += transitions
        if now in ticks or now == 99:
            state, transitions = machine.fire(state, now)
            said += transitions
            while (due := machine.due(state)) is not None and due <= now:
                state, transitions = machine.fire(state, now)
                said += transitions
        if restart:
            state = _decoder.decode(msgspec.json.encode(state))
    return said


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@given(found=series, ticks=st.sets(st.integers(0, 98)))
@settings(max_examples=60, deadline=None)
def test_ticks_restarts_and_duplicates_change_nothing_that_is_said(
    machine: Machine[Any], found: list[Sample], ticks: set[int]
) -> None:
    plain = run(machine, found, set())
    assert run(machine, found, ticks) == plain
    assert run(machine, found, ticks, restart=True) == plain
    assert run(machine, found, set(), repeat=True) == plain


def test_what_siblings_have_let_go_is_not_heard_again() -> None:
    peers, still = Hold(Peers("level", 2, 0.5, "either"), 0, 0), Hold(Flatline("level", SIBLING_US, 3, 1), 0, 0)
    silent = Sample(1, "silent", {"level": 9})
    later = [Sample(n * SIBLING_US, name, {"level": 1}) for n, name in ((1, "one"), (2, "two"))]
    crowd = [Sample(2 + n, f"air-{n}", {"level": n}) for n in range(MAX_SIBLINGS)]
    for machine, others in ((peers, later), (peers, crowd), (still, crowd)):
        state, _ = machine.advance(machine.initial, silent)
        for sample in others:
            state, _ = machine.advance(state, sample)
        assert machine.advance(state, silent) == (state, ())


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
@given(found=series)
@settings(max_examples=60, deadline=None)
def test_no_machine_clears_what_it_has_not_raised(machine: Machine[Any], found: list[Sample]) -> None:
    is_raised = False
    for transition in run(machine, found, set()):
        assert is_raised or transition.change is Change.RAISE
        is_raised = transition.change is not Change.CLEAR


def test_a_timer_that_a_tick_fired_too_soon_is_taken_back_at_its_own_instant() -> None:
    """The reading that would have stopped it came late: the episode is there, and has no length."""
    hold = Hold(LEVEL, 5, 0)
    state, _ = hold.advance(hold.initial, Sample(10, "sump", {"level": 7}))
    state, raised = hold.fire(state, 15)
    state, cleared = hold.advance(state, Sample(12, "sump", {"level": 1}))
    assert [(one.change, one.at) for one in (*raised, *cleared)] == [(Change.RAISE, 15), (Change.CLEAR, 15)]


def test_an_older_sample_and_one_of_the_same_instant_change_nothing() -> None:
    hold = Hold(LEVEL, 5, 0)
    state, _ = hold.advance(hold.initial, Sample(10, "sump", {"level": 7}))
    for at in (9, 10):
        assert hold.advance(state, Sample(at, "sump", {"level": 1})) == (state, ())


def test_a_combination_is_not_raised_while_something_excuses_it_and_over_when_it_begins() -> None:
    hold = Hold(Join((Hold(LEVEL, 0, 0), Hold(LEVEL, 0, 0)), True, Condition({"door_open": True})), 0, 0)
    found = [(2, {"door_open": True}), (3, {"level": 7}), (5, {"door_open": False}), (8, {"door_open": True})]
    said = run(hold, [Sample(at, "one", values) for at, values in found], set())
    assert [(one.change, one.at) for one in said] == [(Change.RAISE, 5), (Change.CLEAR, 8)]


def test_a_text_is_no_level() -> None:
    for values in ({"level": "high"}, {}):
        assert LEVEL.hear(LEVEL.initial, Sample(1, "sump", values), raised=False) is LEVEL.initial


def test_a_sequence_remembers_no_more_than_it_must() -> None:
    machine = Succession(Condition({"event": "opened"}), (Condition({"event": "granted"}),), 1, 1_000_000)
    state = machine.initial
    for at in range(0, 400, 4):
        state, _ = machine.advance(state, Sample(at, "one", {"event": "opened"}))
    assert len(state.coming) == MAX_KEPT
    for at in range(1000, 1400, 4):
        state, _ = machine.advance(state, Sample(at, "one", {"event": "granted"}))
    assert len(state.excuses) == MAX_KEPT


def test_a_sequence_is_idle_when_nothing_is_open_or_awaited() -> None:
    machine = Succession(Condition({"door_open": True}), (Condition({"event": "granted"}),), 4, 3)
    state = machine.initial
    seen = []
    for at, is_open in ((1, False), (10, True), (11, False), (20, True), (30, True), (40, False)):
        state, _ = machine.advance(state, Sample(at, "one", {"door_open": is_open}))
        seen.append(machine.idle(state))
    assert seen == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("where", "carried", "holds"),
    [
        ({"door_open": True}, {"door_open": True}, True),
        ({"door_open": True}, {"door_open": False}, False),
        ({"door_open": True}, {"battery": 3.0}, None),
        ({"door_open": True, "locked": False}, {"door_open": True}, None),
        ({"door_open": True, "locked": False}, {"locked": True}, False),
        ({"event": "plate", "late": False}, {"event": "plate"}, False),
        ({"event": "plate", "late": False}, {"late": False}, None),
        ({"count": 1}, {"count": True}, False),
        ({"count": (1, 2)}, {"count": 2.0}, True),
        ({"zones": Wanted(contains=("lane",))}, {"zones": "gate,lane"}, True),
        ({"zones": Wanted(contains=("lane",))}, {"zones": "fire_lane"}, False),
        ({"zones": Wanted(contains=("lane",))}, {"zones": ""}, False),
        ({"score": Wanted(at_least=0.5, at_most=0.9)}, {"score": 0.5}, True),
        ({"score": Wanted(at_least=0.5, at_most=0.9)}, {"score": 0.9}, True),
        ({"score": Wanted(at_least=0.5, at_most=0.9)}, {"score": 0.91}, False),
        ({"score": Wanted(at_least=0.5)}, {"score": 0.49}, False),
        ({"label": Wanted(other_than=("person", "cat"))}, {"label": "cat"}, False),
        ({"label": Wanted(other_than=("person", "cat"))}, {"label": "car"}, True),
    ],
)
def test_a_condition_holds_fails_or_is_not_said(where: dict[str, Any], carried: dict[str, Value], holds: bool | None) -> None:
    assert Condition(where).holds(carried) is holds
