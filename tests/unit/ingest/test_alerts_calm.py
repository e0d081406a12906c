"""What is told to be calm is: the machine of every shipped rule is as it began after it."""

import random
from pathlib import Path
from typing import Any

import pytest

from ingest.alerts import Rules, load_rules
from ingest.alerts.calm import began, calm_of
from ingest.alerts.calm_tests import always
from ingest.alerts.machine import Machine, Sample
from ingest.alerts.rules import Watcher
from ingest.alerts.when import Absence
from telemetry.metric import METRICS, Value, ValueType

RULES: Rules = load_rules([Path(__file__).parents[3] / "config" / "rules"], {})
JUDGED = [one for one in RULES.watchers.values() if not isinstance(one.rule.when, Absence)]
WORDS = ("granted", "denied", "duress", "plate", "opened", "car")
NUMBERS = (-60.0, -5.0, 0.0, 0.5, 1.0, 2.0, 15.0, 49.0, 50.0, 90.0, 199.0, 225.0, 2_000.0)


def said(watcher: Watcher, machine: Machine[Any], chance: random.Random) -> dict[str, Value]:
    metrics = {name: metric for kind in watcher.rule.applies_to.kinds for name, metric in METRICS[kind].items()}
    names = sorted(machine.metrics)
    found: dict[str, Value] = {}
    for name in chance.sample(names, chance.randint(1, len(names))):
        match metrics[name].type:
            case ValueType.BOOL:
                found[name] = chance.random() < 0.5
            case ValueType.TEXT:
                found[name] = chance.choice(WORDS)
            case ValueType.INT:
                found[name] = int(chance.choice(NUMBERS))
            case ValueType.FLOAT:
                found[name] = chance.choice(NUMBERS)
    return found


@pytest.mark.parametrize("watcher", JUDGED, ids=lambda one: one.rule.id)
def test_a_calm_reading_leaves_a_machine_as_it_began(watcher: Watcher) -> None:
    machine, chance = watcher.machine("411202002001"), random.Random(watcher.rule.id)
    for at in range(1_790_000_000_000_000, 1_790_000_300_000_000, 1_000_000):
        values = said(watcher, machine, chance)
        calm = calm_of(machine, frozenset(values))
        state, transitions = machine.advance(machine.initial, Sample(at, "somebody", values))
        if calm(values):
            assert transitions == ()
            assert state == machine.initial or began(machine, state) or _says_only_that_it_is_not_so(state), values


def _says_only_that_it_is_not_so(state: Any) -> bool:
    """Parts of a correlation that do not hold, and never did; a mean's excuse before there is a value."""
    memory = getattr(state, "memory", None)
    parts = getattr(memory, "parts", None)
    if parts is not None:
        return all(not part.held and not part.last for part in parts.values())
    return getattr(memory, "value", 0) is None


def test_most_readings_of_a_quiet_device_are_calm_without_a_look() -> None:
    level = RULES.watchers["residual_current"].machine("411202002001")
    assert calm_of(level, frozenset(("voltage",))) is always
    calm = calm_of(level, frozenset(("voltage", "residual_current")))
    assert calm({"voltage": 220.0, "residual_current": 0.29})
    assert not calm({"voltage": 220.0, "residual_current": 0.3})
