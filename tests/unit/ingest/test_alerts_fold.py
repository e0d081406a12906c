"""Windows that take readings in place: to the last field what judging each in its turn comes to, and nobody to be told."""

import random
from typing import Any

import pytest

from ingest.alerts.anomaly import Peers
from ingest.alerts.change import Change
from ingest.alerts.condition import Condition
from ingest.alerts.flatline import Flatline
from ingest.alerts.fold import fold_of, may_fold
from ingest.alerts.forecast import Outlook, TheilSen
from ingest.alerts.hold import Hold
from ingest.alerts.joined import Guarded, Join
from ingest.alerts.level import Level, Limit, Met
from ingest.alerts.machine import Machine, Sample
from ingest.alerts.mean import Mean
from ingest.alerts.schedule import Schedule
from ingest.alerts.severity import Colour
from ingest.alerts.staged import Stage, Staged
from telemetry.metric import Value

START = 1_790_000_000_000_000
WET = Condition({"wet": True})
HOT = (Limit(30, 27),)
DATED = (Limit(40, 40, 0, START + 400_000_000), Limit(30, 27))
RISE = Change("x", "rise", 60_000_000, 8, 4, 90_000_000)
LINE = Hold(TheilSen(Outlook("x", 40, 27, "above", 600, 320_000_000)), 0, 0)
STANDS = Hold(Change("x", "no_rise", 40_000_000, 2, 2, 90_000_000), 0, 0)
WAITS = Hold(Met(WET), 20_000_000, 0)

MACHINES: dict[str, Machine[Any]] = {
    "peers": Hold(Peers("x", 4, 1, "either"), 30_000_000, 0),
    "peers far apart": Hold(Peers("x", 6, 0.1, "above"), 0, 0),
    "flatline": Hold(Flatline("x", 60_000_000, 2, 2), 0, 0),
    "mean": Hold(Mean("x", HOT, "above", "plain", 240_000_000, 30_000_000, 0.5, WET), 0, 0),
    "mean below": Hold(Mean("x", (Limit(22, 23),), "below", "plain", 240_000_000, 30_000_000, 0.5, WET), 0, 0),
    "mean of sound by dated limits": Hold(Mean("x", DATED, "above", "energy", 480_000_000, 30_000_000, 0.5, WET), 0, 0),
    "rise": Hold(RISE, 0, 0),
    "fall in a long window": Hold(Change("x", "fall", 2_000_000_000, 9, 5, 90_000_000), 0, 0),
    "line": LINE,
    "line at night": Hold(Guarded(LINE.sense, Schedule(((1320, 1800),))), 0, 0),
    "level with a line": Staged(Hold(Level("x", HOT), 10_000_000, 0), Colour.YELLOW, (Stage(Colour.RED, condition=LINE),)),
    "any of two": Hold(Join((Hold(Level("x", HOT), 0, 0), Hold(RISE, 0, 0)), every=False), 0, 0),
    "all while another says no": Hold(Join((WAITS, STANDS, Hold(Level("x", (Limit(20, 19),)), 0, 0)), True), 5_000_000, 0),
    "all of what lasts": Hold(Join((WAITS, Hold(Met(Condition({"x": 25})), 0, 0)), True, Condition({"works": True})), 0, 0),
}


def said(chance: random.Random) -> list[Sample]:
    """Numbers that wander within a degree or two and now and then jump, of four devices: also what stands exactly on a limit, or
    comes at the end of a window; silence; a few out of order."""
    at, level, samples = START, 25.0, []
    for number in range(250):
        at += chance.choice((1, 3, 5, 12, 12, 12, 40)) * 1_000_000
        level = chance.choice((20.0, 22.0, 25.0, 30.0)) if chance.random() < 0.04 else level
        values: dict[str, Value] = {}
        if chance.random() < 0.95:
            values["x"] = chance.choice((level, level, level + 2, round(level + chance.uniform(-1, 1), 1), int(level)))
        if chance.random() < 0.1 or not values:
            values["wet"] = chance.random() < 0.3
        if chance.random() < 0.03:
            values["works"] = chance.random() < 0.5
        late_us = 30_000_000 if chance.random() < 0.03 else 0
        samples.append(Sample(at - late_us, f"d{number % 4}", values, chance.random() > 0.02))
    return samples


@pytest.mark.parametrize("name", MACHINES)
def test_what_a_fold_takes_is_what_judging_comes_to(name: str) -> None:
    machine, chance, folded = MACHINES[name], random.Random(name), 0
    assert may_fold(machine)
    for _ in range(20):
        state, fold = machine.initial, None
        for sample in said(chance):
            if machine.metrics.isdisjoint(sample.values):
                continue
            fold = fold or fold_of(machine, state)
            judged, told = machine.advance(state, sample)
            if fold is not None and sample.fresh and fold.fits(sample.at, sample.device, sample.values):
                fold.take(sample.at, sample.device, sample.values)
                assert fold.state() == judged
                assert told == () and machine.due(judged) is None
                folded += 1
            elif judged is not state:
                fold = None
            state = judged
    assert folded > 500


def test_a_mean_that_begins_past_its_limit_is_forgotten_rather_than_folded() -> None:
    assert not may_fold(Hold(Mean("x", HOT, "above", "plain", 240_000_000, 30_000_000, 0.5, WET, since_past=True), 0, 0))


def test_what_does_not_fit_leaves_a_fold_as_it_was() -> None:
    machine = MACHINES["level with a line"]
    state, _ = machine.advance(machine.initial, Sample(START, "d", {"x": 25.0}))
    fold = fold_of(machine, state)
    assert fold is not None
    for at, value in ((START, 25.0), (START + 1, 27.0), (START + 1, 30.0)):
        assert not fold.fits(at, "d", {"x": value})
        assert fold.state() == state
    assert fold.fits(START + 1, "d", {"x": 26.9})


def test_siblings_that_drift_apart_within_their_room_are_judged_before_one_strays() -> None:
    machine = MACHINES["peers"]
    state = machine.initial
    for number in range(5):
        state, _ = machine.advance(state, Sample(START + number, f"d{number}", {"x": 20.0}))
    fold = fold_of(machine, state)
    assert fold is not None
    assert fold.fits(START + 10, "d0", {"x": 21.9}) and not fold.fits(START + 10, "d0", {"x": 24.0})
