"""Counters over their wraps and resets."""

from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Count, unwrap


def test_a_counter_begins_at_what_it_says() -> None:
    assert unwrap(None, 700, 65536) == Count(700, 700)


def test_a_counter_goes_on_over_its_wrap() -> None:
    assert unwrap(Count(65530, 100), 4, 65536) == Count(4, 110)


def test_a_fall_from_the_lower_half_or_into_the_upper_is_a_reset() -> None:
    assert unwrap(Count(30000, 100), 4, 65536) == Count(4, 104)
    assert unwrap(Count(65530, 100), 40000, 65536) == Count(40000, 40100)


def test_a_counter_that_stands_still_counts_nothing() -> None:
    assert unwrap(Count(5, 9), 5, 65536) == Count(5, 9)


@given(st.integers(0, 65535), st.lists(st.integers(0, 32767), max_size=50))
def test_no_step_below_half_the_counter_is_lost(start: int, steps: list[int]) -> None:
    raw, count = start, unwrap(None, start, 65536)
    for step in steps:
        raw = (raw + step) % 65536
        count = unwrap(count, raw, 65536)
    assert count.total == start + sum(steps)
