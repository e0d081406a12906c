"""A mean that remembers only what went past, and a combination that something forbids: what leaves them as they began."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts.calm import began, calm_of
from ingest.alerts.condition import Condition
from ingest.alerts.hold import Hold
from ingest.alerts.joined import Join
from ingest.alerts.level import Level, Limit
from ingest.alerts.machine import Sample
from ingest.alerts.mean import Mean
from telemetry.metric import Value

WORKS = Condition({"maintenance": True})
MEAN = Hold(Mean("level", (Limit(6, 4),), "above", "plain", 24, 60, 0.3, WORKS, since_past=True), 0, 0)
EVERY = Hold(Mean("level", (Limit(6, 4),), "above", "plain", 24, 60, 0.3, WORKS), 0, 0)
JOIN = Hold(Join((Hold(Level("level", (Limit(6, 4),)), 0, 0), MEAN), True, WORKS), 0, 0)

values: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {}, optional={"level": st.integers(0, 9), "maintenance": st.booleans(), "battery": st.integers(0, 9)}
)


@pytest.mark.parametrize("hold", [MEAN, EVERY, JOIN], ids=["mean", "mean of all", "combination"])
@given(said=values)
def test_what_is_calm_leaves_the_machine_as_it_began(hold: Hold, said: dict[str, Value]) -> None:
    state, told = hold.advance(hold.initial, Sample(5, "lift", said))
    if calm_of(hold, frozenset(said))(said):
        assert began(hold, state) and told == ()


@pytest.mark.parametrize(
    ("hold", "said", "is_calm"),
    [
        (MEAN, {"level": 5}, True),
        (MEAN, {"level": 6}, False),
        (MEAN, {"level": 5, "maintenance": True}, False),
        (MEAN, {"maintenance": False}, True),
        (EVERY, {"level": 5}, False),
        (JOIN, {"level": 5, "maintenance": False}, True),
        (JOIN, {"maintenance": True}, False),
    ],
)
def test_the_cheap_test_says_what_need_not_be_remembered(hold: Hold, said: dict[str, Value], is_calm: bool) -> None:
    assert calm_of(hold, frozenset(said))(said) is is_calm
    state, _ = hold.advance(hold.initial, Sample(5, "lift", said))
    assert began(hold, state) is is_calm
