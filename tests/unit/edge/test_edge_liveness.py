"""A dead unit costs little, a living one is not given up."""

from itertools import pairwise

import pytest

from edge.liveness import ALIVE, PATIENCE, SHARE_OF_ALL, SHARE_OF_BUS, Liveness, longest_pause, may_ask, roused, unanswered


def silences(count: int, timeout_s: float = 1.0, now: float = 100.0) -> Liveness:
    liveness = ALIVE
    for _ in range(count):
        liveness = unanswered(liveness, now, timeout_s)
    return liveness


def test_a_unit_is_polled_until_patience_ends() -> None:
    assert may_ask(silences(PATIENCE - 1), 100.0) and not silences(PATIENCE - 1).is_silent
    assert silences(PATIENCE).is_silent and not may_ask(silences(PATIENCE), 100.0)


def test_a_silent_unit_is_probed_when_its_pause_is_over() -> None:
    silent = silences(PATIENCE)
    assert not may_ask(silent, silent.probe_at - 0.01)
    assert may_ask(silent, silent.probe_at)


def test_the_pauses_double_up_to_their_bound() -> None:
    pauses = [silences(PATIENCE + n, timeout_s=1.0).probe_at - 100.0 for n in range(8)]
    assert pauses[:5] == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert pauses[-1] == longest_pause(1.0) == 50.0


@pytest.mark.parametrize(("timeout_s", "pause_s"), [(0.05, 5.0), (0.3, 15.0), (1.0, 50.0), (5.0, 250.0)])
def test_the_longest_pause_is_fifty_time_outs_and_five_seconds_at_least(timeout_s: float, pause_s: float) -> None:
    assert longest_pause(timeout_s) == pytest.approx(pause_s)


def asked_s(dead: int, timeout_s: float, interval_s: float, hours: float) -> float:
    """How long a bus waits in an hour for units long dead, each tried at its slots; over the last ``hours`` of some more."""
    units, waited, now = [ALIVE] * dead, 0.0, 0.0
    while now < (hours + 2) * 3600:
        for number, unit in enumerate(units):
            if may_ask(unit, now):
                now += timeout_s
                silent = 1 + sum(other.is_silent for other in units[:number] + units[number + 1 :])
                units[number] = unanswered(unit, now, timeout_s, silent)
                waited += timeout_s if now >= 2 * 3600 else 0.0
        now += interval_s
    return waited / hours


@pytest.mark.parametrize("timeout_s", [0.1, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("interval_s", [0.5, 1.0, 30.0])
def test_a_unit_long_dead_costs_the_bus_less_than_two_per_cent_of_its_time(timeout_s: float, interval_s: float) -> None:
    assert 0 < asked_s(1, timeout_s, interval_s, 10) < SHARE_OF_BUS * 3600


def test_a_riser_without_power_costs_the_others_a_tenth_of_the_bus_at_most() -> None:
    assert SHARE_OF_BUS * 3600 < asked_s(30, 1.0, 1.0, 5) <= SHARE_OF_ALL * 3600


def test_what_silenced_many_ends_for_all() -> None:
    silent = silences(PATIENCE + 5)
    assert may_ask(roused(silent, 100.0), 100.0) and roused(silent, 100.0).is_silent
    assert roused(silences(1), 0.0) == silences(1)


def test_years_of_silence_stay_bounded() -> None:
    liveness = silences(10_000)
    assert liveness.probe_at - 100.0 == longest_pause(1.0)
    assert liveness.silences < 100
