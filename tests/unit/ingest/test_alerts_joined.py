"""Combinations whose parts have clocks of their own."""

from typing import Any

import pytest

from ingest.alerts import load_rules
from ingest.alerts.machine import Sample, Transitions
from ingest.alerts.mean import Mean
from linli.paths import config_dir

NOTHING: Transitions = ()
T = 1_795_420_800_000_000
MINUTE = 60_000_000
WATCHER = load_rules([config_dir() / "rules"]).watchers["voltage_dev"]


def up_and_down(minutes: int) -> Any:
    """A meter whose voltage crosses the limit again and again, so that every mean of it goes on moving."""
    machine = WATCHER._machine
    state = machine.initial
    for minute in range(minutes):
        value = (240.0, 231.0, 237.0, 233.0)[minute % 4]
        values = {"voltage_l1": value, "voltage_l2": value + 1, "voltage_l3": value - 1}
        state, _ = machine.advance(state, Sample(T + minute * MINUTE, "mains", values))
    return state


def asked(monkeypatch: pytest.MonkeyPatch, silent_minutes: int) -> int:
    """How often a mean was looked at over so long a silence."""
    state, times = up_and_down(12), 0
    holds = Mean.holds

    def counted(*args: object) -> bool | None:
        nonlocal times
        times += 1
        return holds(*args)  # type: ignore[arg-type]  # as it was called

    with monkeypatch.context() as patch:
        patch.setattr(Mean, "holds", counted)
        WATCHER._machine.fire(state, T + (12 + silent_minutes) * MINUTE)
    return times


def test_a_silence_costs_as_much_as_it_is_long_and_not_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = asked(monkeypatch, 10), asked(monkeypatch, 30)
    assert 0 < short < long < 4 * short


def test_a_clock_that_stops_on_the_way_comes_to_what_one_that_does_not_comes_to() -> None:
    machine, state = WATCHER._machine, up_and_down(12)
    at_once = machine.fire(state, T + 40 * MINUTE)
    on_the_way, told = state, NOTHING
    for minute in range(12, 41):
        on_the_way, more = machine.fire(on_the_way, T + minute * MINUTE)
        told += more
        machine.fire(state, T + (40 - minute) * MINUTE)  # another question in between
    assert (on_the_way, told) == at_once
