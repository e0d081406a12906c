"""Signals are functions of seed, point and virtual second, and of nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.signals import Counter, Ratio, Signal, Sum, Table, Walk, Wave, chance, faults, value

SECOND = st.floats(0, 1e7)


@given(SECOND)
def test_the_same_second_always_says_the_same(at: float) -> None:
    points: dict[str, Signal] = {"level": Walk(low=0.2, high=0.8), "power": Wave(mean=5, swing=1, noise=0.5)}
    assert [value(points, name, "7/a", at) for name in points] == [value(points, name, "7/a", at) for name in points]


@given(SECOND, st.integers(0, 50))
def test_a_walk_stays_between_its_banks(at: float, seed: int) -> None:
    level = value({"level": Walk(low=0.2, high=0.8, period_s=60)}, "level", f"{seed}/a", at)
    assert isinstance(level, float)
    assert 0.2 <= level <= 0.8


@given(SECOND)
def test_a_wave_stays_within_swing_and_noise(at: float) -> None:
    power = value({"p": Wave(mean=100, swing=10, noise=2)}, "p", "7/a", at)
    assert isinstance(power, float)
    assert 88 <= power <= 112


def test_a_wave_is_highest_at_its_peak() -> None:
    points: dict[str, Signal] = {"t": Wave(mean=20, swing=5, period_s=86_400, peak_s=50_400)}
    assert value(points, "t", "7/a", 50_400.0) == 25.0
    assert value(points, "t", "7/a", 7_200.0) == pytest.approx(15.0)


def test_another_seed_or_device_tells_another_story() -> None:
    points: dict[str, Signal] = {"level": Walk(low=0, high=1)}
    said = {value(points, "level", seed, 1234.0) for seed in ("1/a", "2/a", "1/b")}
    assert len(said) == 3


def test_chance_is_spread_over_both_signs() -> None:
    drawn = [chance("x", step) for step in range(2000)]
    assert abs(sum(drawn)) / 2000 < 0.05
    assert max(drawn) > 0.8
    assert min(drawn) < -0.8


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=10))
def test_a_counter_never_counts_back(seconds: list[float]) -> None:
    points: dict[str, Signal] = {
        "l1": Wave(mean=500, swing=400, period_s=600, noise=50),
        "all": Sum(of=("l1", "base")),
        "base": 100,
        "kwh": Counter(start=10.0, of="all"),
    }
    counts = [value(points, "kwh", "7/a", at) for at in sorted(seconds)]
    assert counts == sorted(counts, key=float)


def test_a_kilowatt_for_an_hour_is_a_kilowatt_hour() -> None:
    points: dict[str, Signal] = {"p": 1000, "kwh": Counter(start=5.0, of="p")}
    assert value(points, "kwh", "7/a", 0.0) == 5.0
    assert value(points, "kwh", "7/a", 3600.0) == pytest.approx(6.0)


def test_a_ratio_divides_and_a_table_takes_turns() -> None:
    points: dict[str, Signal] = {
        "p": 460,
        "u": 230,
        "i": Ratio(of="p", by="u", factor=2),
        "t": Table(values=(1, 2, 3), step_s=10),
    }
    assert value(points, "i", "7/a", 0.0) == 4.0
    assert [value(points, "t", "7/a", at) for at in (0.0, 9.9, 10.0, 29.0, 30.0)] == [1, 1, 2, 3, 1]


def test_what_cannot_be_worked_out_is_named() -> None:
    points: dict[str, Signal] = {
        "a": Sum(of=("b",)),
        "b": Sum(of=("a", "nowhere")),
        "door": True,
        "kwh": Counter(start=0, of="walk"),
        "walk": Walk(low=0, high=1),
        "fine": Ratio(of="walk", by="walk"),
    }
    found = [(point, reason) for point, reason, _ in faults(points)]
    assert ("b", "no point 'nowhere' in this device") in found
    assert ("a", "is made of itself") in found
    assert ("kwh", "'walk' has no energy") in found
    assert not any(point in ("fine", "door", "walk") for point, _ in found)
