"""Counters over their wraps and resets."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Count, count_of, unwrap

FULL = 65536


def counted(*said: int) -> int | float:
    """What a counter of 16 bits has counted after it said these."""
    count = None
    for each in said:
        count = unwrap(count, each, FULL)
    assert count is not None
    return count.total(said[-1], FULL)


def test_a_counter_begins_at_what_it_says() -> None:
    assert counted(700) == 700


def test_a_counter_goes_on_over_its_wraps() -> None:
    assert counted(65530, 4) == FULL + 4
    assert counted(49152, 16383) == FULL + 16383
    assert counted(65530, 4, 30000, 60000, 5) == 2 * FULL + 5


@pytest.mark.parametrize("said", [(49151, 4), (65530, 16384), (65530, 65529), (100, 99)])
def test_any_other_fall_is_a_reset_and_the_count_is_what_the_device_says(said: tuple[int, int]) -> None:
    assert counted(*said) == said[-1]
    assert counted(65530, 4, 20000, *said) == said[-1], "the wraps before the reset are forgotten"


def test_a_counter_that_stands_still_counts_nothing() -> None:
    assert counted(65530, 5, 5) == FULL + 5


@given(st.integers(0, FULL - 1), st.lists(st.integers(0, FULL // 4), max_size=50))
def test_no_step_up_to_a_quarter_of_the_counter_is_lost(start: int, steps: list[int]) -> None:
    said = [start]
    for step in steps:
        said.append((said[-1] + step) % FULL)
    assert counted(*said) == start + sum(steps)


@given(st.sampled_from([16, 32]), st.integers(0, 1000), st.sampled_from([1, 10, 100, 1000]), st.data())
def test_a_total_gives_its_count_back_and_is_exact(bits: int, wraps: int, part: int, data: st.DataObject) -> None:
    """``part``: the device counts in tenths, hundredths or thousandths."""
    raw = data.draw(st.integers(0, (1 << bits) - 1))
    said, wrap = raw / part, (1 << bits) / part
    total = Count(wraps, said / wrap).total(said, wrap)
    assert total == pytest.approx(float(Fraction(raw + (wraps << bits), part)), rel=2e-15)
    count = count_of(total, wrap)
    assert count.wraps == wraps and count.position == pytest.approx(said / wrap, abs=1e-11)
    assert unwrap(count, said, wrap).wraps == wraps, "the same word again is no reset"
