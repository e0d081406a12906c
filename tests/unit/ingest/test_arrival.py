"""A batch knows from when to when its readings are, and of what kinds."""

import pytest

from ingest.arrival import Arrival, gist_of
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

START = 1_790_000_000_000_000
STREAM = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")


@pytest.mark.parametrize(("after_us", "reach"), [((), None), ((5,), (5, 5)), ((7, 3, 9, 4), (3, 9))])
def test_a_batch_reaches_from_its_first_instant_to_its_last_whether_somebody_has_looked_or_not(
    after_us: tuple[int, ...], reach: tuple[int, int] | None
) -> None:
    readings = [Reading(device="yard", kind=Kind.ENVIRONMENT, at=START + after, values={}) for after in after_us]
    arrival = Arrival(STREAM, 1, readings, Micros(START))
    expected = reach and (START + reach[0], START + reach[1])
    assert arrival.reach == expected
    assert arrival._replace(looked=gist_of(readings)).reach == expected


def test_the_middle_of_a_batch_and_its_kinds_are_those_of_its_readings_in_whatever_order_they_stand() -> None:
    said = ((9, Kind.ENERGY), (1, Kind.GATEWAY), (4, Kind.ENERGY), (2, Kind.ENERGY))
    readings = [Reading(device="yard", kind=kind, at=START + after, values={}) for after, kind in said]
    gist = Arrival(STREAM, 1, readings, Micros(START)).gist
    assert gist == ((START + 1, START + 9), START + 4, {Kind.ENERGY: 3, Kind.GATEWAY: 1})
    assert Arrival(STREAM, 1, [], Micros(START)).gist == (None, None, {})
