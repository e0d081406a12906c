"""A story says the same for the same virtual second, turn after turn."""

from itertools import pairwise

import pytest

from simulators.scenario import (
    Bend,
    Fault,
    Plate,
    Refuse,
    Report,
    Scenario,
    Silence,
    Swipe,
    Switch,
    Track,
    bent,
    cues,
    fault,
    faults,
    has_stopped,
    reported,
    switched,
)

DOOR = Report(at_s=10, device="door", fields={"contact": False})
SHUT = Report(at_s=20, device="door", fields={"contact": True, "battery": 5})
STORY = Scenario((SHUT, DOOR), repeat_s=100)


def test_cues_come_in_order_and_a_span_is_open_at_its_start() -> None:
    assert [cue.at for cue in cues(STORY, -1, 300)] == [10, 20, 110, 120, 210, 220]
    assert [cue.step for cue in cues(STORY, 10, 20)] == [SHUT]


def test_spans_that_meet_lose_and_repeat_nothing() -> None:
    whole = cues(STORY, -1, 1000)
    edges = [-1, 9.5, 10, 10.2, 99, 100, 110, 250, 777.7, 1000]
    assert [cue for after, until in pairwise(edges) for cue in cues(STORY, after, until)] == whole


def test_a_story_told_once_ends() -> None:
    assert [cue.at for cue in cues(Scenario((DOOR, SHUT)), -1, 1e6)] == [10, 20]


def test_an_object_arrives_enters_stops_and_leaves() -> None:
    track = Track(at_s=45, device="lane", zone="fire_lane", for_s=40)
    told = cues(Scenario((track,), repeat_s=300), 299, 400)
    assert [(cue.at, cue.phase, cue.settles) for cue in told] == [
        (345, "new", False),
        (346, "enters", False),
        (348, "stops", False),
        (385, "end", True),
    ]
    assert {(cue.began, cue.turn) for cue in told} == {(345, 1)}


@pytest.mark.parametrize(
    ("at", "level"),
    [(69.9, 0.5), (70, 0.5), (72, 0.75), (74, 1.0), (97.9, 1.0), (100, 0.75), (102, 0.5), (372, 0.75)],
)
def test_a_bent_point_rises_stays_and_falls_back(at: float, level: float) -> None:
    story = Scenario((Bend(at_s=70, device="sump", point="level", to=1.0, rise_s=4, for_s=24, fall_s=4),), repeat_s=300)
    assert bent(story, "sump", "level", 0.5, at) == pytest.approx(level)
    assert bent(story, "sump", "other", 0.5, at) == 0.5
    assert bent(story, "elsewhere", "level", 0.5, at) == 0.5


def test_a_unit_is_silent_for_as_long_as_the_story_says() -> None:
    story = Scenario(
        (Silence(at_s=80, device="garage", for_s=40), Refuse(at_s=130, device="garage", for_s=5, code=6)), repeat_s=300
    )
    assert [fault(story, "garage", at) for at in (79.9, 80, 119.9, 120, 132, 380)] == [
        None,
        Fault(),
        Fault(),
        None,
        Fault(6),
        Fault(),
    ]
    assert fault(story, "meter", 100) is None


def test_a_sensor_remembers_its_last_report_across_turns() -> None:
    assert reported(STORY, "door", 5) == {}
    assert reported(STORY, "door", 10) == {"contact": False}
    assert reported(STORY, "door", 105) == {"contact": True, "battery": 5}
    assert reported(STORY, "door", 110) == {"contact": False, "battery": 5}


def test_steps_that_cannot_be_told_are_all_named() -> None:
    story = Scenario(
        (
            Silence(at_s=80, device="garag", for_s=1),
            Bend(at_s=0, device="sump", point="levle", to=1, for_s=1),
            Silence(at_s=80, device="garage", for_s=30),
        ),
        repeat_s=100,
    )
    found = list(faults(story, {"garage": frozenset(), "sump": frozenset({"level"})}))
    assert [path for path, _, _ in found] == ["steps[0].device", "steps[1].point", "steps[2]"]


def test_every_message_step_gives_a_cue() -> None:
    steps = (Swipe(at_s=1, device="reader", uid="a1"), Plate(at_s=2, device="gate", plate="豫MA1206"), DOOR)
    assert [cue.step for cue in cues(Scenario(steps), 0, 50)] == list(steps)


def test_a_contact_is_switched_for_a_while() -> None:
    story = Scenario((Switch(at_s=10, device="panel", point="input_1", to=True, for_s=5),), repeat_s=100)
    assert [switched(story, "panel", "input_1", False, at) for at in (9.9, 10, 14.9, 15, 112)] == [False, True, True, False, True]
    assert not switched(story, "panel", "input_2", False, 12)
    assert not switched(story, "other", "input_1", False, 12)


def test_an_object_that_fidgets_moves_and_stops_in_turn_until_it_leaves() -> None:
    track = Track(at_s=0, device="lift", zone="lift", for_s=9, every_s=2)
    told = [(cue.at, cue.phase, has_stopped(track, cue.at)) for cue in cues(Scenario((track,)), -1, 100)]
    assert told[2:] == [(3, "stops", True), (5, "stops", False), (7, "stops", True), (9, "end", False)]
    still = Track(at_s=0, device="lift", zone="lift", for_s=9)
    assert [has_stopped(still, age) for age in (2.9, 3, 5, 8.9)] == [False, True, True, True]


def test_what_is_told_for_some_kinds_begins_at_once_and_keeps_its_order() -> None:
    steps = (
        Swipe(at_s=60, device="reader", uid="1", raises="denied_burst"),
        Swipe(at_s=64, device="reader", uid="2", raises="denied_burst"),
        Swipe(at_s=10, device="reader", uid="3", raises="credential_clone"),
        Swipe(at_s=12, device="reader", uid="4"),
    )
    story = Scenario(steps, repeat_s=100)
    assert story.kinds == {"denied_burst", "credential_clone"}
    assert [(step.at_s, step.raises) for step in story.only(["denied_burst"]).steps] == [(5, "denied_burst"), (9, "denied_burst")]
    assert story.only(["denied_burst"]).repeat_s == 100
    assert len(story.only(story.kinds).steps) == 3
