"""How long history is kept, and what keeps a slip from deleting it."""

import pytest

from ingest.arrival import Arrival
from ingest.history.present import Present
from ingest.history.retention import (
    DELAY_US,
    FOREVER,
    PERSONAL,
    Applied,
    Days,
    Part,
    Retention,
    admitted,
    cut_of,
    retention_problems,
    sound_now,
)  # fmt: skip
from ingest.store import Level
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

HOUR = Level.HOUR.width_us
DAY = 24 * HOUR
NOW = Level.HOUR.start(1_790_000_000_000_000)


def problems(**days: Days) -> list[str]:
    return [f"{problem.path}: {problem.reason}" for problem in retention_problems(Retention(**days), "centre.yaml")]


def test_what_stands_for_nothing_said_is_sound() -> None:
    assert problems() == []


@pytest.mark.parametrize(("days", "reason"), [(0, "0 would delete everything"), (-1, "-1 is not"), (36_501, "36501 is not")])
@pytest.mark.parametrize("part", Part)
def test_no_part_is_kept_for_no_time_or_an_absurd_one(part: Part, days: int, reason: str) -> None:
    found = problems(**{part: days})
    assert found[0].startswith(f"retention.{part}: {reason}")


@pytest.mark.parametrize("part", Part)
def test_every_part_may_be_kept_forever_if_its_summaries_are(part: Part) -> None:
    assert problems(five_minute_days=FOREVER, **{name: FOREVER for name in [part] if name is not Part.FIVE_MINUTES}) == []


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        ({"raw_days": 401}, "retention.five_minute_days: is shorter than raw_days, of which it is the summary"),
        ({"personal_days": FOREVER}, "retention.five_minute_days: is shorter than personal_days, of which it is the summary"),
        ({"hour_days": 399}, "retention.hour_days: is shorter than five_minute_days, of which it is the summary"),
    ],
)
def test_readings_go_before_their_summaries(days: dict[str, Days], problem: str) -> None:
    assert problems(**days) == [problem]


def test_what_says_who_was_where_has_a_time_of_its_own() -> None:
    assert Part.PERSONAL.kinds == {Kind.ACCESS, Kind.CAMERA, Kind.PARKING}
    assert Part.RAW.kinds | Part.PERSONAL.kinds == set(Kind)
    assert not Part.RAW.kinds & PERSONAL


@pytest.mark.parametrize(("days", "wanted"), [(90, 90), (90, 45), (90, 91), (90, FOREVER), (FOREVER, FOREVER), (3, 2)])
def test_a_longer_time_or_one_not_much_shorter_is_in_force_at_once(days: Days, wanted: Days) -> None:
    assert admitted(wanted, Applied(days, days, NOW - DAY, 7), NOW).days == wanted


@pytest.mark.parametrize(("days", "wanted"), [(90, 44), (FOREVER, 36_500), (3, 1)])
def test_a_much_shorter_time_waits_and_comes_into_force_if_it_is_still_asked_for(days: Days, wanted: Days) -> None:
    first = admitted(wanted, Applied(days, days, NOW - 9 * DAY, 7), NOW)
    assert first == Applied(days, wanted, NOW, 7)
    assert admitted(wanted, first, NOW + DELAY_US - 1) == first
    assert admitted(wanted, first, NOW + DELAY_US).days == wanted


def test_a_slip_put_right_in_time_changes_nothing_and_another_slip_waits_anew() -> None:
    slip = admitted(1, Applied(90, 90, NOW - DAY, 7), NOW)
    assert admitted(90, slip, NOW + DAY) == Applied(90, 90, NOW + DAY, 7)
    assert admitted(2, slip, NOW + DELAY_US) == Applied(90, 2, NOW + DELAY_US, 7)


def test_what_was_kept_before_anything_was_said_counts_as_kept_forever() -> None:
    assert admitted(90, None, NOW) == Applied(FOREVER, 90, NOW, 0)


def test_nothing_is_deleted_by_a_clock_that_the_readings_do_not_bear_out() -> None:
    assert sound_now(NOW, None) is None
    assert sound_now(NOW, NOW - DAY) == NOW
    assert sound_now(NOW + 365 * DAY, NOW) == NOW + DAY
    assert sound_now(NOW - 365 * DAY, NOW) == NOW - 365 * DAY


def test_a_cut_is_a_whole_hour_and_waits_for_what_is_to_be_thinned_and_never_goes_back() -> None:
    ninety = Applied(90, 90, NOW, 0)
    assert cut_of(ninety, NOW + HOUR - 1, None) == NOW - 90 * DAY
    assert cut_of(ninety, NOW, NOW - 91 * DAY + 1) == NOW - 91 * DAY
    assert cut_of(ninety, NOW, NOW - 89 * DAY) == NOW - 90 * DAY
    assert cut_of(ninety._replace(cut=NOW), NOW, None) == NOW
    assert cut_of(Applied(FOREVER, FOREVER, NOW, 5), NOW, None) == 5


def test_the_present_is_what_most_gateways_say_whatever_one_device_or_gateway_says() -> None:
    present = Present()
    assert present.median() is None

    def learn(gateway: str, *instants: int) -> None:
        readings = [Reading(device="b3-meter", kind=Kind.ENERGY, at=at, values={}) for at in instants]
        present.learn([Arrival(Stream("411202002001", gateway, "0" * 16, "bulk"), 1, readings, NOW)])

    learn("gw-1", NOW, NOW + 1, NOW + 900 * DAY)
    learn("gw-2", NOW + 800 * DAY)
    learn("gw-3", NOW - DAY)
    learn("gw-3", NOW - 2 * DAY)
    learn("gw-3")
    assert present.median() == NOW + 1
