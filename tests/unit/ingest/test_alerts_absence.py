"""When a device counts as absent, by its gateway's word alone."""

from typing import Any

import pytest
from alerts_world import BASE, REF, device, instant

from ingest.alerts import absence
from ingest.alerts import seat as module
from ingest.alerts.absence import Absent, is_good, judge, limit_s, silence
from ingest.alerts.machine import Change
from ingest.alerts.seat import Presence
from ingest.alerts.when import Absence
from telemetry.batch import Lane
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

FIRST, SECOND = "1" * 16, "2" * 16
SPEC = Absence(min_s=10, intervals=3, failing_s=5)
GARAGE = device("garage", Kind.ENVIRONMENT, interval_s=2.0)


def said(at_s: float, name: str = "garage", **more: Any) -> Reading:
    more.setdefault("values", {"temperature": 20.0})
    return Reading(device=name, kind=Kind.ENVIRONMENT, at=instant(at_s), **more)


def silent(at_s: float, name: str = "garage") -> Reading:
    return said(at_s, name, values={}, quality=Quality.BAD, faults={"*": "no answer"})


def hear(presence: Presence, reading: Reading, epoch: str, lane: str, received_at: int) -> None:
    absence.hear(presence, presence.seat(reading.device), reading, epoch, lane == Lane.BULK, received_at)


def heard(*readings: Reading, epoch: str = FIRST, lane: str = Lane.BULK, presence: Presence | None = None) -> Presence:
    presence = presence or Presence(REF)
    for reading in readings:
        hear(presence, reading, epoch, lane, reading.at + 100)
    return presence


def absent(presence: Presence, spec: Absence = SPEC) -> float | None:
    """Since when ``garage`` is absent, in seconds."""
    state, transitions = judge(spec, Absent(), presence, presence.seat("garage"), GARAGE)
    assert [one.change for one in transitions] == ([Change.RAISE] if state.since else [])
    return (state.since - BASE) / 1e6 if state.since else None


def test_it_is_absent_as_soon_as_its_gateway_speaks_of_the_instant() -> None:
    assert absent(heard(said(0), said(9.999, "other"))) is None
    assert absent(heard(said(0), said(10, "other"))) == 10


def test_urgent_readings_are_no_clock_but_count_as_heard() -> None:
    presence = heard(said(0), said(9, "other"))
    assert absent(heard(said(60, "door"), lane=Lane.URGENT, presence=presence)) is None
    presence = heard(said(5), lane=Lane.URGENT, presence=presence)
    assert absent(heard(said(14, "other"), presence=presence)) is None
    assert absent(heard(said(15, "other"), presence=presence)) == 15


def test_a_new_epoch_starts_the_grace_anew_but_what_is_left_of_the_old_one_does_not() -> None:
    presence = heard(said(0))
    presence = heard(said(100, "other"), epoch=SECOND, presence=presence)
    assert absent(presence) is None
    heard(said(50, "other"), said(100, "third"), epoch=FIRST, presence=presence)
    assert (presence.epoch, presence.epoch_at) == (SECOND, instant(100))
    assert absent(heard(said(110, "other"), epoch=SECOND, presence=presence)) == 110


def test_what_a_gateway_held_when_it_went_down_does_not_make_its_devices_absent_when_it_is_back() -> None:
    """What waited for a clock comes in the epoch of the next start, which then does not tell that the gateway was away."""
    presence = heard(said(0))
    presence = heard(said(2, "other"), epoch=SECOND, presence=presence)
    assert absent(heard(said(303, "other"), epoch=SECOND, presence=presence)) is None
    assert absent(heard(said(313, "other"), epoch=SECOND, presence=presence)) == 313


def test_a_device_with_a_fast_clock_does_not_make_the_others_absent() -> None:
    presence = heard(said(0))
    hear(presence, said(3600, "other"), FIRST, Lane.BULK, instant(1))
    assert presence.newest == instant(1)
    hear(presence, said(3600), FIRST, Lane.BULK, instant(2))
    assert absent(heard(said(12, "other"), presence=presence)) == 12


def test_a_gateway_that_makes_devices_up_is_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEVICES", 3)
    presence = heard(said(0), said(1, "made-up-1"), silent(2, "made-up-2"), said(3, "made-up-3"), silent(4, "made-up-4"))
    assert {seat.name for seat in presence.devices()} == {"garage", "made-up-1", "made-up-2"}
    assert absent(heard(said(9.9), said(12, "made-up-9"), presence=presence)) is None


def test_what_its_gateway_says_of_it_counts_from_the_first_time_until_a_good_reading() -> None:
    presence = heard(said(0), silent(1), silent(3), said(6, "other"))
    assert absent(presence) == 6
    assert absent(heard(said(7), presence=presence)) is None
    assert absent(heard(silent(7), said(9.9, "other"), presence=presence)) is None


def test_a_gateway_that_says_so_late_is_not_believed_against_a_newer_reading() -> None:
    assert absent(heard(said(4), silent(3), silent(4), said(9.5, "other"))) is None


def test_a_device_that_has_never_answered_is_absent_by_its_gateways_word() -> None:
    assert absent(heard(silent(1), said(6, "other"))) == 6


def test_an_unsound_value_is_neither_silence_nor_presence() -> None:
    partly = said(1, values={}, quality=Quality.BAD, faults={"humidity": "bad: exception 2"})
    presence = heard(said(0), partly, said(9, "other"))
    assert (presence.seat("garage").failing, absent(presence)) == (0, None)
    assert absent(heard(said(10, "other"), presence=presence)) == 10


def test_an_old_good_reading_after_silence_does_not_bring_it_back() -> None:
    presence = heard(said(2), silent(3), said(1), said(8, "other"))
    assert absent(presence) == 8


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({}, True),
        ({"quality": Quality.UNCERTAIN}, True),
        ({"quality": Quality.BAD}, False),
        ({"quality": Quality.STALE}, False),
        ({"values": {}}, False),
        ({"values": {"online": False}}, False),
        ({"values": {"online": True}}, True),
        ({"values": {"online": False, "temperature": 20.0}}, True),
    ],
)
def test_a_good_reading_is_fresh_has_a_value_and_does_not_say_goodbye(more: dict[str, Any], good: bool) -> None:
    assert is_good(said(0, **more)) is good


@pytest.mark.parametrize(
    ("spec", "interval_s", "limit"),
    [
        (Absence(min_s=10, intervals=3), 2.0, 10),
        (Absence(min_s=10, intervals=3), 20.0, 60),
        (Absence(min_s=10, after_s=4), 20.0, 4),
        (Absence(min_s=10, after_s=4), None, 4),
        (Absence(min_s=10), None, None),
    ],
)
def test_the_limit_is_the_rules_or_follows_the_interval(spec: Absence, interval_s: float | None, limit: float | None) -> None:
    assert limit_s(spec, interval_s) == limit


def test_the_earlier_of_both_limits_counts_and_is_what_the_alert_shows() -> None:
    presence = heard(said(0), silent(9), said(20, "other"))
    found = silence(SPEC, presence, presence.seat("garage"), GARAGE.interval_s)
    assert found is not None
    assert (found.at, found.seconds) == (instant(10), 10)


def test_a_device_that_left_the_inventory_is_absent_no_more() -> None:
    presence = heard(said(0), said(20, "other"))
    state, _ = judge(SPEC, Absent(), presence, presence.seat("garage"), GARAGE)
    gone, transitions = judge(SPEC, state, presence, presence.seat("garage"), None)
    assert (gone, [(one.change, one.at) for one in transitions]) == (Absent(), [(Change.CLEAR, instant(20))])
    assert judge(SPEC, Absent(), presence, presence.seat("garage"), None) == (Absent(), ())


def test_an_agents_restart_does_not_end_an_absence() -> None:
    presence = heard(said(0), said(20, "other"))
    state, _ = judge(SPEC, Absent(), presence, presence.seat("garage"), GARAGE)
    presence = heard(said(100, "other"), epoch=SECOND, presence=presence)
    assert judge(SPEC, state, presence, presence.seat("garage"), GARAGE) == (state, ())
