"""A master on a serial line: pymodbus's server behind socat, and ends that misbehave."""

import asyncio
import time
from pathlib import Path

import pytest

from device_profiles import Table
from edge.bus_config import RtuBus
from edge.drivers.modbus import Bus, open_bus
from telemetry.errors import BusUnavailable, DeviceTimeout
from tests.modbus_peers import Line, holding, line_end, pymodbus_rtu, rtu_frame, serial_line, unit

TIMEOUT_S = 0.15


@pytest.fixture
def line(tmp_path: Path):
    with serial_line(tmp_path) as line:
        yield line


@pytest.fixture
async def bus(line: Line):
    bus = open_bus(RtuBus(id="rs485-1", port=line.master, timeout_s=TIMEOUT_S))
    yield bus
    await bus.close()


async def read(bus: Bus, address: int = 0, count: int = 2, unit_id: int = 1) -> tuple[int, ...]:
    return await bus.read(unit_id, Table.HOLDING, address, count)


async def test_units_on_one_line_are_read(bus: Bus, line: Line) -> None:
    async with pymodbus_rtu(line.units, unit(1, {0: 11, 1: 12}), unit(2, {0: 21, 1: 22})):
        assert await read(bus) == (11, 12)
        assert await bus.read(2, Table.INPUT, 1, 1) == (22,)


async def test_a_silent_unit_delays_the_others_by_its_time_out_only(bus: Bus, line: Line) -> None:
    async with pymodbus_rtu(line.units, unit(1, {0: 11, 1: 12}), silent={9}):
        await read(bus)
        began = time.monotonic()
        with pytest.raises(DeviceTimeout):
            await read(bus, unit_id=9)
        assert await read(bus) == (11, 12)
        assert time.monotonic() - began < TIMEOUT_S + 0.15


async def test_a_late_answer_is_not_taken_for_the_next_ones_of_the_same_unit(bus: Bus, line: Line) -> None:
    async with line_end(line.units) as end, asyncio.TaskGroup() as group:

        async def late() -> None:
            await end.rtu_request()
            await asyncio.sleep(TIMEOUT_S * 1.5)
            end.write(rtu_frame(1, holding(0xBAD, 0xBAD)))
            await end.rtu_request()
            end.write(rtu_frame(1, holding(5, 6)))

        group.create_task(late())
        with pytest.raises(DeviceTimeout):
            await read(bus, 0)
        assert await read(bus, 100) == (5, 6)


async def test_a_late_answer_of_one_unit_is_not_taken_for_anothers(bus: Bus, line: Line) -> None:
    async with line_end(line.units) as end, asyncio.TaskGroup() as group:

        async def late() -> None:
            await end.rtu_request()
            await end.rtu_request()
            end.write(rtu_frame(1, holding(0xBAD, 0xBAD)))
            await asyncio.sleep(0.01)
            end.write(rtu_frame(2, holding(5, 6)))

        group.create_task(late())
        with pytest.raises(DeviceTimeout):
            await read(bus, unit_id=1)
        assert await read(bus, unit_id=2) == (5, 6)


@pytest.mark.parametrize("noise", [b"\0", b"\xff" * 3, b"\1\3\4\0", rtu_frame(7, holding(1))])
async def test_noise_before_an_answer_is_passed_over(bus: Bus, line: Line, noise: bytes) -> None:
    async with line_end(line.units) as end, asyncio.TaskGroup() as group:

        async def noisy() -> None:
            await end.rtu_request()
            end.write(noise + rtu_frame(1, holding(5, 6)))

        group.create_task(noisy())
        assert await read(bus) == (5, 6)


async def test_a_wrong_crc_is_a_time_out_and_the_line_is_usable_after_it(bus: Bus, line: Line) -> None:
    async with line_end(line.units) as end, asyncio.TaskGroup() as group:

        async def damaged() -> None:
            await end.rtu_request()
            end.write(rtu_frame(1, holding(5, 6))[:-1] + b"\0")
            await end.rtu_request()
            end.write(rtu_frame(1, holding(5, 6)))

        group.create_task(damaged())
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert await read(bus) == (5, 6)


async def test_an_endless_stream_ends_with_the_time_out(bus: Bus, line: Line) -> None:
    async with line_end(line.units) as end, asyncio.TaskGroup() as group:

        async def babble() -> None:
            await end.rtu_request()
            for _ in range(40):
                end.write(bytes(range(64)))
                await asyncio.sleep(0.005)

        group.create_task(babble())
        began = time.monotonic()
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert time.monotonic() - began < 1.0


async def test_frames_keep_their_silent_interval(line: Line) -> None:
    bus = open_bus(RtuBus(id="rs485-1", port=line.master, timeout_s=TIMEOUT_S, gap_ms=30))
    async with pymodbus_rtu(line.units, unit(1, {0: 11, 1: 12})):
        await read(bus)
        began = time.monotonic()
        for _ in range(4):
            await read(bus)
        assert time.monotonic() - began >= 4 * 0.03
        await bus.close()


async def test_a_missing_port_is_an_unavailable_bus_that_names_it() -> None:
    bus = open_bus(RtuBus(id="rs485-9", port="/dev/ttyNONE9", timeout_s=TIMEOUT_S))
    with pytest.raises(BusUnavailable, match=r"/dev/ttyNONE9 cannot be used: No such file .*is the adapter plugged in"):
        await read(bus)


async def test_a_line_that_is_taken_away_is_an_unavailable_bus(bus: Bus, line: Line) -> None:
    async with pymodbus_rtu(line.units, unit(1, {0: 11, 1: 12})):
        assert await read(bus) == (11, 12)
    line.cut()
    await asyncio.sleep(0.05)
    with pytest.raises(BusUnavailable):
        await read(bus)
        await read(bus)
