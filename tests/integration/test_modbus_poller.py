"""Units of a bus polled into the outbox: partial results, refused addresses, silent units, changes while it runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from device_profiles import Profile
from device_profiles.library import load_text
from edge import liveness
from edge.bus_config import BusConfig, TcpBus
from edge.drivers.modbus import open_bus
from edge.poller import BUSY_PAUSES_S, Poller
from edge.refusals import Refusals
from edge.tally import Tally
from edge.unit import Unit
from telemetry.batch import Lane
from telemetry.quality import Quality
from tests.modbus_peers import Requests, far_end, holding, pymodbus_tcp, unit
from tests.recording import Recording, recording
from tests.servers import HOST, free_port

PROFILE = """
id: test-climate
kind: environment
vendor: Test
model: T1
name: {zh: 测试, en: Test}
confidence: confirmed
sources: [test]
modbus: {max_gap: 8, interval_s: 0.05}
points:
  temperature: {unit: degC, scale: 0.1, deadband: 0.5, heartbeat_s: 60, modbus: {table: holding, address: 0, type: int16}}
  humidity: {unit: "%RH", scale: 0.1, heartbeat_s: 60, modbus: {table: holding, address: 1}}
  co2: {unit: ppm, heartbeat_s: 60, modbus: {table: holding, address: 4}}
examples:
  vectors: [{origin: computed, point: humidity, words: [500], gives: 50.0}]
"""
DOOR = """
id: test-door
kind: access
vendor: Test
model: D1
name: {zh: 门, en: Door}
confidence: confirmed
sources: [test]
modbus: {interval_s: 0.05}
points:
  door_open: {heartbeat_s: 60, modbus: {table: holding, address: 0, type: bit, bit: 0}}
examples:
  vectors: [{origin: computed, point: door_open, words: [1], gives: true}]
"""
TANK = """
id: test-tank
kind: environment
vendor: Test
model: L1
name: {zh: 水箱, en: Tank}
confidence: confirmed
sources: [test]
modbus: {interval_s: 0.05}
points:
  air: {helper: true, unit: m, scale: 0.001, modbus: {table: holding, address: 10}}
  digits: {helper: true, modbus: {table: holding, address: 20}}
  level: {unit: m, heartbeat_s: 60, formula: 3 - air}
  pressure:
    {unit: kPa, heartbeat_s: 60, scale_from: {point: digits, means: negative_exponent}, modbus: {table: holding, address: 0}}
examples:
  vectors: [{origin: computed, point: level, given: {air: 1.0}, gives: 2.0}]
"""
PLACES = """
id: test-places
kind: environment
vendor: Test
model: P1
name: {zh: 双表, en: Two tables}
confidence: confirmed
sources: [test]
modbus: {interval_s: 3600}
points:
  temperature: {unit: degC, scale: 0.1, modbus: {table: holding, address: 0, type: int16, also: [{table: input}]}}
  humidity: {unit: "%RH", scale: 0.1, modbus: {table: holding, address: 1, also: [{table: input, address: 7}]}}
examples:
  vectors: [{origin: computed, point: humidity, words: [500], gives: 50.0}]
"""
WHOLE = {0: 235, 1: 500, 2: 0, 3: 0, 4: 600}


@pytest.fixture(scope="module")
def climate() -> Profile:
    return load_text(PROFILE, "test-climate.yaml")


@pytest.fixture(scope="module")
def door() -> Profile:
    return load_text(DOOR, "test-door.yaml")


@asynccontextmanager
async def polling(
    folder: Path, port: int, *units: Unit, refusals: Refusals | None = None
) -> AsyncIterator[tuple[Recording, Poller, Tally]]:
    async with polling_on(folder, TcpBus("meters", HOST, port, 0.1), *units, refusals=refusals) as made:
        yield made


@asynccontextmanager
async def polling_on(
    folder: Path, config: BusConfig, *units: Unit, refusals: Refusals | None = None
) -> AsyncIterator[tuple[Recording, Poller, Tally]]:
    async with recording(folder) as kept:
        bus, tally = open_bus(config), Tally()
        poller = Poller(bus, kept.logbook, tally, refusals)
        open_units(kept, *units)
        poller.replace(units)
        running = asyncio.create_task(poller.run())
        try:
            yield kept, poller, tally
        finally:
            running.cancel()
            await asyncio.wait((running,))
            await bus.close()
            if not running.cancelled() and running.exception():
                raise running.exception() or AssertionError


def open_units(kept: Recording, *units: Unit) -> None:
    for one in units:
        kept.logbook.open(one.device, one.profile)


def climate_unit(profile: Profile, device: str = "b3-climate", unit_id: int = 1) -> Unit:
    return Unit(device, profile, unit_id, None, 0.1)


async def test_a_unit_is_read_and_its_values_are_accepted(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    async with pymodbus_tcp(port, unit(1, WHOLE)), polling(tmp_path, port, climate_unit(climate)) as (kept, _, tally):
        (reading,) = await kept.until(1)
        assert reading.device == "b3-climate" and reading.quality is Quality.GOOD and reading.faults is None
        assert reading.values == pytest.approx({"temperature": 23.5, "humidity": 50.0, "co2": 600.0})
        while tally.polls < 5:
            await asyncio.sleep(0.02)
        assert len(await kept.readings()) == 1, "what does not change is not kept again"


async def test_what_was_read_is_kept_and_a_refused_point_says_so(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    async with (
        pymodbus_tcp(port, unit(1, {0: 235, 1: 500})),
        polling(tmp_path, port, climate_unit(climate)) as (kept, _, tally),
    ):
        (reading,) = await kept.until(1)
        assert reading.values == pytest.approx({"temperature": 23.5, "humidity": 50.0})
        assert reading.faults == {"co2": "bad: exception 2"} and reading.quality is Quality.GOOD
        await polls(tally, 5)
        assert tally.refused == 1, "the refused address is asked for once"
        assert len(await kept.readings()) == 1


async def test_what_a_unit_refuses_is_not_asked_for_again_after_a_restart(tmp_path: Path, climate: Profile) -> None:
    port, file = free_port(), tmp_path / "refusals.json"
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    async with pymodbus_tcp(port, unit(1, {0: 235, 1: 500})):
        async with polling(tmp_path / "first", port, climate_unit(climate), refusals=Refusals(file)) as (kept, _, tally):
            await kept.until(1)
            assert tally.refused == 1
        async with polling(tmp_path / "second", port, climate_unit(climate), refusals=Refusals(file)) as (kept, _, tally):
            (reading,) = await kept.until(1)
            assert reading.faults == {"co2": "bad: exception 2"} and set(reading.values) == {"temperature", "humidity"}
            assert tally.refused == 0


async def test_a_busy_unit_is_asked_again_between_its_slots_and_the_others_are_not_kept_waiting(
    tmp_path: Path, climate: Profile
) -> None:
    asked: list[float] = []

    async def busy_twice(requests: Requests) -> None:
        while True:
            heard = await requests.get()
            if heard.unit_id == 1:
                asked.append(time.monotonic())
            heard.answer(b"\x83\x06" if heard.unit_id == 1 and len(asked) < 3 else holding(235, 500, 0, 0, 600))

    async with far_end("modbus-tcp", tmp_path) as (config, requests):
        assert isinstance(config, TcpBus)
        behaving = asyncio.ensure_future(busy_twice(requests))
        units = climate_unit(climate)._replace(interval_s=1.5), climate_unit(climate, "b3-other", 2)
        async with polling(tmp_path, config.port, *units) as (kept, _, tally):
            (reading,) = await kept.until(1, "b3-climate")
            before = tally.polls
            assert reading.faults is None and len(reading.values) == 3
            assert len(asked) == 3
            assert asked[1] - asked[0] >= 0.09 and asked[2] - asked[1] >= 0.19 and asked[2] - asked[0] < 1.0
            assert before >= 5, "the other unit was polled meanwhile"
            assert tally.units["b3-climate"].refused == 2 and tally.units["b3-climate"].requests == 3
        behaving.cancel()


async def test_a_unit_that_stays_busy_is_told_and_not_pressed(tmp_path: Path, climate: Profile) -> None:
    count = 0

    async def always_busy(requests: Requests) -> None:
        nonlocal count
        while True:
            (await requests.get()).answer(b"\x83\x06")
            count += 1

    async with far_end("modbus-tcp", tmp_path) as (config, requests):
        assert isinstance(config, TcpBus)
        behaving = asyncio.ensure_future(always_busy(requests))
        async with polling(tmp_path, config.port, climate_unit(climate)._replace(interval_s=1.5)) as (kept, _, tally):
            (reading,) = await kept.until(1)
            assert reading.faults == dict.fromkeys(("temperature", "humidity", "co2"), "bad: exception 6")
            assert count == 1 + len(BUSY_PAUSES_S) and tally.polls == 1
        behaving.cancel()


async def test_damaged_answers_are_counted_apart_from_silence(tmp_path: Path, climate: Profile) -> None:
    async def damaged(requests: Requests) -> None:
        while True:
            heard = await requests.get()
            heard.say(heard.frame(holding(235, 500, 0, 0, 600))[:-1])

    async with far_end("modbus-tcp", tmp_path) as (config, requests):
        assert isinstance(config, TcpBus)
        behaving = asyncio.ensure_future(damaged(requests))
        async with polling(tmp_path, config.port, climate_unit(climate)) as (kept, _, tally):
            (reading,) = await kept.until(1)
            assert reading.faults == {"*": "damaged answer"}
            assert tally.units["b3-climate"].damaged >= 1 and tally.units["b3-climate"].timeouts == 0
        behaving.cancel()


async def test_a_hole_that_refuses_to_be_read_across_is_read_around(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    holed = {address: value for address, value in WHOLE.items() if address not in (2, 3)}
    async with pymodbus_tcp(port, unit(1, holed)), polling(tmp_path, port, climate_unit(climate)) as (kept, _, tally):
        (reading,) = await kept.until(1)
        assert reading.faults is None and set(reading.values) == {"temperature", "humidity", "co2"}
        await polls(tally, 5)
        assert tally.refused == 1


@pytest.mark.parametrize("there", [{0: 5}, {0: 5, 20: 1}, {0: 5, 10: 1000}], ids=["neither", "digits", "air"])
async def test_a_value_worked_out_of_refused_registers_says_so(tmp_path: Path, there: dict[int, int]) -> None:
    port, tank = free_port(), load_text(TANK, "test-tank.yaml")
    async with (
        pymodbus_tcp(port, unit(1, there)),
        polling(tmp_path, port, Unit("roof-tank", tank, 1, None, 0.1)) as (kept, _, tally),
    ):
        await polls(tally, 3)
        said = [(reading.values, reading.faults) for reading in await kept.until(1)]
        values = ({"level": 2.0} if 10 in there else {}) | ({"pressure": 500.0} if 20 in there else {})
        missing = {"level": "air", "pressure": "digits"}.items()
        faults = {metric: f"bad: {needed} is not known: exception 2" for metric, needed in missing if metric not in values}
        assert said == [(values, faults)], "told once, and the same while the address is read around"


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_what_stands_in_another_table_too_is_read_there_in_the_same_poll(tmp_path: Path, code: int) -> None:
    asked: list[bytes] = []

    async def only_input_registers(requests: Requests) -> None:
        while True:
            heard = await requests.get()
            asked.append(heard.pdu[:3])
            heard.answer(b"\x83" + bytes((code,)) if heard.pdu[0] == 3 else b"\x04\x02\x00" + bytes((10 + heard.pdu[2],)))

    places, refusals = load_text(PLACES, "test-places.yaml"), Refusals()
    async with far_end("modbus-tcp", tmp_path) as (config, requests):
        behaving = asyncio.ensure_future(only_input_registers(requests))
        sensor = Unit("b3-sensor", places, 1, 0.05, 0.1)
        async with polling_on(tmp_path, config, sensor, refusals=refusals) as (kept, _, tally):
            (reading,) = await kept.until(1)
            assert reading.values == pytest.approx({"temperature": 1.0, "humidity": 1.7}) and reading.faults is None
            await polls(tally, 3)
            assert [request[0] for request in asked].count(3) == 3, "together, then one by one, then no more"
            assert refusals.of(sensor).points == ()
        behaving.cancel()


async def test_a_table_that_a_unit_does_not_speak_and_no_other_place_is_told_at_every_poll(
    tmp_path: Path, climate: Profile
) -> None:
    async def illegal_function(requests: Requests) -> None:
        while True:
            (await requests.get()).answer(b"\x83\x01")

    async with far_end("modbus-tcp", tmp_path) as (config, requests):
        behaving = asyncio.ensure_future(illegal_function(requests))
        async with polling_on(tmp_path, config, climate_unit(climate)) as (kept, _, tally):
            (reading,) = await kept.until(1)
            assert reading.faults == dict.fromkeys(("temperature", "humidity", "co2"), "bad: exception 1")
            async with asyncio.timeout(10):
                while tally.refused < 3:
                    await asyncio.sleep(0.01)
        behaving.cancel()


async def test_a_silent_unit_is_said_once_and_the_others_keep_their_polls(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    units = climate_unit(climate, "b3-dead", 9), climate_unit(climate, "b3-alive", 1)
    async with pymodbus_tcp(port, unit(1, WHOLE), silent={9}), polling(tmp_path, port, *units) as (kept, _, tally):
        (dead,) = await kept.until(1, "b3-dead")
        assert dead.quality is Quality.BAD and dead.values == {} and dead.faults == {"*": "timeout"}
        await polls(tally, 40)
        assert tally.timeouts <= liveness.PATIENCE + 1
        assert len(await kept.readings("b3-dead")) == 1
        assert len(await kept.readings("b3-alive")) == 1


async def test_a_unit_that_answers_again_is_read_whole(tmp_path: Path, climate: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "FIRST_PAUSE_S", 0.1)
    port, silent = free_port(), {1}
    async with (
        pymodbus_tcp(port, unit(1, WHOLE), silent=silent),
        polling(tmp_path, port, climate_unit(climate)) as (kept, _, tally),
    ):
        await timeouts(tally, liveness.PATIENCE)
        silent.clear()
        _, back = await kept.until(2)
        assert back.quality is Quality.GOOD and set(back.values) == {"temperature", "humidity", "co2"}


async def test_units_that_fell_silent_together_are_all_found_when_one_answers_again(
    tmp_path: Path, climate: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, silent = free_port(), {1, 2}
    patient, quick = climate_unit(climate, "b3-patient", 1), climate_unit(climate, "b3-quick", 2)
    async with (
        pymodbus_tcp(port, unit(1, WHOLE), unit(2, WHOLE), silent=silent),
        polling(tmp_path, port, patient) as (kept, poller, tally),
    ):
        monkeypatch.setattr(liveness, "FIRST_PAUSE_S", 60.0)
        await timeouts(tally, liveness.PATIENCE)
        monkeypatch.setattr(liveness, "FIRST_PAUSE_S", 0.1)
        open_units(kept, quick)
        poller.replace((patient, quick))
        await timeouts(tally, 2 * liveness.PATIENCE)
        silent.clear()
        _, back = await kept.until(2, "b3-patient", within_s=3)
        assert back.quality is Quality.GOOD


async def test_while_a_late_answer_may_come_its_unit_is_left_alone_and_the_others_are_polled(
    tmp_path: Path, climate: Profile
) -> None:
    asked: list[float] = []
    others: list[float] = []

    async def one_is_mute(requests: Requests) -> None:
        while True:
            heard = await requests.get()
            (asked if heard.unit_id == 9 else others).append(time.monotonic())
            if heard.unit_id != 9:
                heard.answer(holding(235, 500, 0, 0, 600))

    async with far_end("modbus-rtu-over-tcp", tmp_path) as (config, requests):
        behaving = asyncio.ensure_future(one_is_mute(requests))
        units = climate_unit(climate, "b3-mute", 9), climate_unit(climate, "b3-other", 1)
        async with polling_on(tmp_path, config, *units) as (_, _, tally):
            await timeouts(tally, 2)
            assert asked[1] - asked[0] >= 2 * 0.1, "a time-out, and as long again"
            assert len([at for at in others if asked[0] + 0.1 < at < asked[1]]) >= 2
            assert tally.polls_missed >= 1
        behaving.cancel()


async def test_an_unavailable_bus_is_said_of_each_unit_and_polling_goes_on(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    units = climate_unit(climate, "b3-one", 1), climate_unit(climate, "b3-two", 2)
    async with polling(tmp_path, port, *units) as (kept, _, tally):
        readings = await kept.until(2)
        assert {reading.device: reading.faults for reading in readings} == {
            "b3-one": {"*": "bus unavailable"},
            "b3-two": {"*": "bus unavailable"},
        }
        assert tally.timeouts == 0


async def test_an_access_point_goes_down_the_urgent_lane(tmp_path: Path, door: Profile, climate: Profile) -> None:
    port = free_port()
    units = Unit("b3-door", door, 2), climate_unit(climate)
    async with pymodbus_tcp(port, unit(1, WHOLE), unit(2, {0: 1})), polling(tmp_path, port, *units) as (kept, _, _tally):
        await kept.until(2)
        assert [reading.values for reading in await kept.readings("b3-door", Lane.URGENT)] == [{"door_open": True}]
        assert len(await kept.readings("b3-climate", Lane.BULK)) == 1


async def test_units_come_and_go_while_it_runs(tmp_path: Path, climate: Profile) -> None:
    port = free_port()
    one, two = climate_unit(climate, "b3-one", 1), climate_unit(climate, "b3-two", 2)
    async with pymodbus_tcp(port, unit(1, WHOLE), unit(2, WHOLE)), polling(tmp_path, port, one) as (kept, poller, tally):
        await kept.until(1, "b3-one")
        open_units(kept, two)
        poller.replace((one, two))
        await kept.until(1, "b3-two")
        poller.replace((two,))
        kept.logbook.close("b3-one")
        before = tally.polls
        await polls(tally, before + 5)
        assert len(await kept.readings("b3-one")) == 1, "a unit that stayed was not read anew, one that left is not read"


async def test_an_interval_of_the_device_overrides_the_profiles(climate: Profile) -> None:
    assert set(climate_unit(climate).intervals.values()) == {0.05}
    assert climate_unit(climate)._replace(interval_s=2.0).intervals == {"temperature": 2.0, "humidity": 2.0, "co2": 2.0}


async def polls(tally: Tally, count: int) -> None:
    async with asyncio.timeout(5):
        while tally.polls < count:
            await asyncio.sleep(0.01)


async def timeouts(tally: Tally, count: int) -> None:
    async with asyncio.timeout(5):
        while tally.timeouts < count:
            await asyncio.sleep(0.01)
