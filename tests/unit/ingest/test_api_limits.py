"""How often a token may ask."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.api.limits import Limits

SECOND = 1_000_000


def test_a_burst_is_taken_at_once_and_then_so_many_a_second() -> None:
    limits = Limits(per_s=2, burst=3)
    assert [limits.wait_s("a", SECOND) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limits.wait_s("b", SECOND) == 0
    assert limits.wait_s("a", SECOND + SECOND // 2) == 0
    assert limits.wait_s("a", SECOND + SECOND // 2) == 0.5
    assert [limits.wait_s("a", 10 * SECOND) for _ in range(4)] == [0, 0, 0, 0.5]


@given(st.lists(st.integers(0, SECOND), max_size=200))
def test_in_no_time_more_are_taken_than_the_burst_and_what_the_rate_gives(gaps: list[int]) -> None:
    limits, now, taken = Limits(per_s=5, burst=4), 0, []
    for gap in gaps:
        now += gap
        if limits.wait_s("a", now) == 0:
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= 4 + (taken[last] - begin) * 5 / SECOND + 0.01


def test_tokens_that_have_rested_are_forgotten() -> None:
    limits = Limits(per_s=1, burst=1)
    for number in range(5_000):
        assert limits.wait_s(str(number), number * 10 * SECOND) == 0
    assert len(limits._full_at) <= 1_025
