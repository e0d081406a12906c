"""A dead unit costs little, a living one is not given up."""

from itertools import pairwise

import pytest

from edge.liveness import ALIVE, PATIENCE, SHARE_OF_BUS, Liveness, longest_pause, may_ask, unanswered


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


@pytest.mark.parametrize(("timeout_s", "pause_s"), [(0.05, 5.0), (0.3, 15.0), (1.0, 50.0), (5.0, 60.0)])
def test_probing_a_unit_long_dead_costs_the_bus_less_than_two_per_cent(timeout_s: float, pause_s: float) -> None:
    assert longest_pause(timeout_s) == pytest.approx(pause_s)
    if pause_s < 60.0:
        assert timeout_s / (timeout_s + pause_s) < SHARE_OF_BUS


def test_years_of_silence_stay_bounded() -> None:
    liveness = silences(10_000)
    assert liveness.probe_at - 100.0 == longest_pause(1.0)
    assert liveness.silences < 100
