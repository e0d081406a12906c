"""Many cheap tests made into one say what all of them say."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.alerts.calm_tests import Between, Calm, Isnt, Under, always, every, never
from telemetry.metric import Value

METRICS = ("a", "b", "c")
bounds = st.integers(-3, 3).map(float)
tests: st.SearchStrategy[Calm] = st.one_of(
    st.builds(Between, st.sampled_from(METRICS), bounds, bounds),
    st.builds(Between, st.sampled_from(METRICS), below=bounds),
    st.builds(Under, st.sampled_from(METRICS), bounds),
    st.builds(Isnt, st.sampled_from(METRICS), st.booleans()),
    st.sampled_from((always, never)),
)
values: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    dict.fromkeys(METRICS, st.one_of(bounds, st.booleans(), st.just("word")))
)


@given(some=st.lists(tests, max_size=6), more=st.lists(tests, max_size=4), said=values)
def test_all_of_them(some: list[Calm], more: list[Calm], said: dict[str, Value]) -> None:
    assert every(some)(said) is all(test(said) for test in some)
    assert every([every(some), every(more)])(said) is all(test(said) for test in some + more)


def test_what_is_never_and_what_is_always_so_costs_no_test() -> None:
    assert every([]) is always and every([always, always]) is always
    assert every([Isnt("a", True), never]) is never
    assert every([always, Isnt("a", True)]) == Isnt("a", True)
