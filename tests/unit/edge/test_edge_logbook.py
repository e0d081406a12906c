"""What devices said becomes sound readings in the right lane, each instant used once."""

import asyncio
from collections.abc import Sequence

import pytest

from device_profiles import Decoded, Observation, Profile, load_library
from edge.clock import Stamp
from edge.logbook import PLAUSIBLE_FROM, Logbook
from telemetry.batch import Lane
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import EARLIEST, Micros, Reading, faults_of

AT = 1_790_000_000_000_000


EARLIER = Reading(device="b3-climate", kind=Kind.ENVIRONMENT, at=AT + 7, values={"temperature": 20.0})


class Kept:
    """An acceptance that keeps readings in memory; ``full`` is for the test to set."""

    def __init__(self) -> None:
        self.readings: list[tuple[Reading, Lane]] = []
        self.stamps: list[Stamp | None] = []
        self.full = False

    def put(self, readings: Sequence[Reading], lane: Lane, stamp: Stamp | None = None) -> asyncio.Future[None]:
        self.readings += ((reading, lane) for reading in readings)
        self.stamps += [stamp] * len(readings)
        return asyncio.get_running_loop().create_future()

    def hurry(self) -> None:
        raise AssertionError("nobody waits here")


@pytest.fixture(scope="module")
def profiles() -> dict[str, Profile]:
    known = load_library().profiles
    return {"b3-climate": known["xy-md02"], "b3-door": known["zigbee2mqtt-contact"]}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def logbook(kept: Kept, profiles: dict[str, Profile]) -> Logbook:
    logbook = Logbook(kept, [EARLIER], utc=lambda: Micros(AT), monotonic=lambda: 0.0)
    for device, profile in profiles.items():
        logbook.open(device, profile)
    return logbook


def temperature(value: float) -> Decoded:
    return Decoded("temperature", "temperature", value, Quality.GOOD, "", (1,))


async def test_a_poll_is_a_bulk_reading_that_need_not_be_waited_for(logbook: Logbook, kept: Kept) -> None:
    assert logbook.polled("b3-climate", [temperature(20.0)], AT) is None
    ((reading, lane),) = kept.readings
    assert lane is Lane.BULK and reading.at == AT and reading.values == {"temperature": 20.0} and not faults_of(reading)


async def test_a_poll_is_waited_for_when_the_card_does_not_keep_up(logbook: Logbook, kept: Kept) -> None:
    kept.full = True
    assert logbook.polled("b3-climate", [temperature(20.0)], AT) is not None


async def test_an_access_state_is_urgent_and_so_is_its_silence(logbook: Logbook, kept: Kept) -> None:
    assert logbook.observed("b3-door", Observation({"door_open": True}), AT) is not None
    assert logbook.silent("b3-door", "timeout") is not None
    assert [lane for _, lane in kept.readings] == [Lane.URGENT, Lane.URGENT]


async def test_an_instant_that_an_earlier_run_used_is_not_used_again(logbook: Logbook, kept: Kept) -> None:
    logbook.polled("b3-climate", [temperature(20.0)], AT + 7)
    assert kept.readings[0][0].at == AT + 8


async def test_the_devices_own_instant_counts_before_the_arrival(logbook: Logbook, kept: Kept) -> None:
    logbook.observed("b3-door", Observation({"door_open": True}, at=AT - 5_000_000), AT)
    assert kept.readings[0][0].at == AT - 5_000_000


async def test_an_event_seen_before_is_not_written_again(logbook: Logbook, kept: Kept) -> None:
    event = Observation({"event": "door_opened"}, event_id="e1")
    assert logbook.observed("b3-door", event, AT) is not None
    assert logbook.observed("b3-door", event, AT + 1) is None
    assert len(kept.readings) == 1 and kept.readings[0][0].event_id == "e1"


async def test_before_the_clock_is_set_readings_are_uncertain_and_still_legal(logbook: Logbook, kept: Kept) -> None:
    logbook.polled("b3-climate", [temperature(20.0)], 12_000_000)
    logbook.polled("b3-climate", [temperature(25.0)], PLAUSIBLE_FROM - 1)
    logbook.polled("b3-climate", [temperature(30.0)], PLAUSIBLE_FROM)
    assert [(reading.at, reading.quality) for reading, _ in kept.readings] == [
        (EARLIEST, Quality.UNCERTAIN),
        (PLAUSIBLE_FROM - 1, Quality.UNCERTAIN),
        (PLAUSIBLE_FROM, Quality.GOOD),
    ]


async def test_waiting_for_a_reading_does_not_endanger_it_when_the_waiter_is_cancelled(logbook: Logbook) -> None:
    accepted = logbook.observed("b3-door", Observation({"door_open": True}), AT)
    assert accepted is not None
    waiting = asyncio.create_task(logbook.settled(accepted))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert not accepted.cancelled()
    accepted.set_result(None)
    assert await logbook.settled(accepted)


async def test_a_reading_the_card_refused_is_told(logbook: Logbook) -> None:
    accepted = logbook.observed("b3-door", Observation({"door_open": True}), AT)
    assert accepted is not None
    accepted.set_exception(OSError("no space left"))
    assert not await logbook.settled(accepted)


async def test_the_gateways_own_instants_bear_the_stamp_they_were_read_under(kept: Kept, profiles: dict[str, Profile]) -> None:
    unknown = Stamp("boot", EARLIEST, known=False)
    logbook = Logbook(kept, utc=lambda: Micros(EARLIEST + 5), monotonic=lambda: 0.0, stamp=lambda: unknown)
    for device, profile in profiles.items():
        logbook.open(device, profile)
    logbook.polled("b3-climate", [temperature(20.0)], EARLIEST + 5)
    logbook.observed("b3-door", Observation({"door_open": True}), EARLIEST + 6)
    logbook.own("gw-test", {"uptime": 1.0})
    logbook.silent("b3-climate", "timeout")
    logbook.observed("b3-door", Observation({"door_open": False}, at=AT), EARLIEST + 7)
    assert kept.stamps == [unknown, unknown, unknown, unknown, None]
    early, *_ = kept.readings
    assert (early[0].at, early[0].quality) == (EARLIEST + 5, Quality.GOOD)  # dated anew, nothing will be wrong with it
