"""What every kind of bus must do alike: TCP, UDP, RTU over TCP, RTU; with pymodbus and libmodbus at the other end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from device_profiles import Table
from edge.bus_config import BusConfig, Rs485, RtuBus, SerialLine, TcpBus
from edge.drivers.line import HALF_OPEN_AFTER
from edge.drivers.modbus import Bus, open_bus
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout
from tests.modbus_peers import (
    TIMEOUT_S,
    TYPES,
    Requests,
    compiled_libmodbus_server,
    far_end,
    holding,
    libmodbus_server,
    pymodbus_bus,
    serial_line,
    unit,
)
from tests.servers import HOST, free_port

every_type = pytest.mark.parametrize("type_", TYPES)
FarEnd = Callable[[Requests], Awaitable[None]]


@asynccontextmanager
async def opened(config: BusConfig) -> AsyncIterator[Bus]:
    bus = open_bus(config)
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def against(type_: str, folder: Path, behave: FarEnd) -> AsyncIterator[Bus]:
    async with far_end(type_, folder) as (config, requests), opened(config) as bus:
        behaving = asyncio.ensure_future(behave(requests))
        yield bus
        behaving.cancel()


async def read(bus: Bus, address: int = 0, count: int = 2, unit_id: int = 1) -> tuple[int, ...]:
    return await bus.read(unit_id, Table.HOLDING, address, count)


@every_type
async def test_units_are_read_and_refusals_told(type_: str, tmp_path: Path) -> None:
    units = unit(1, {n: n + 100 for n in range(60)}), unit(2, {0: 21, 1: 22})
    async with pymodbus_bus(type_, tmp_path, *units) as config, opened(config) as bus:
        assert await read(bus, 3, 50) == tuple(range(103, 153))
        assert await read(bus, unit_id=2) == (21, 22)
        with pytest.raises(DeviceRefused, match="illegal address"):
            await read(bus, 500)
        assert await read(bus, 59, 1) == (159,)


@every_type
async def test_a_late_answer_is_never_taken_for_the_next_ones(type_: str, tmp_path: Path) -> None:
    async def late(requests: Requests) -> None:
        first = await requests.get()
        await asyncio.sleep(TIMEOUT_S * 1.5)
        first.answer(holding(0xBAD, 0xBAD))
        (await requests.get()).answer(holding(5, 6))

    async with against(type_, tmp_path, late) as bus:
        with pytest.raises(DeviceTimeout):
            await read(bus, 0)
        assert await read(bus, 100) == (5, 6)


@every_type
async def test_an_answer_said_twice_is_not_taken_for_the_next_ones(type_: str, tmp_path: Path) -> None:
    async def twice(requests: Requests) -> None:
        first = await requests.get()
        first.say(first.frame(holding(1, 2)))
        first.say(first.frame(holding(1, 2)))
        await asyncio.sleep(0.02)
        (await requests.get()).answer(holding(5, 6))

    async with against(type_, tmp_path, twice) as bus:
        assert await read(bus, 0) == (1, 2)
        await asyncio.sleep(0.03)
        assert await read(bus, 100) == (5, 6)


@every_type
@pytest.mark.parametrize("wrong", [b"\x03\x02\x00\x01", b"\x04\x04\0\0\0\0", b"\x03\x04\0", b"\x03", b"\x84\x02", b"\xff" * 40])
async def test_an_answer_to_another_question_is_a_time_out_and_the_bus_is_usable_after_it(
    type_: str, tmp_path: Path, wrong: bytes
) -> None:
    async def confused(requests: Requests) -> None:
        (await requests.get()).answer(wrong)
        while True:
            (await requests.get()).answer(holding(5, 6))

    async with against(type_, tmp_path, confused) as bus:
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert await read(bus) == (5, 6)


@every_type
async def test_another_unit_is_asked_while_a_late_answer_may_still_come(type_: str, tmp_path: Path) -> None:
    async def one_is_dead(requests: Requests) -> None:
        while True:
            if (heard := await requests.get()).unit_id == 2:
                heard.answer(holding(5, 6))

    async with against(type_, tmp_path, one_is_dead) as bus:
        with pytest.raises(DeviceTimeout):
            await read(bus, unit_id=1)
        patient = asyncio.create_task(read(bus, unit_id=1))
        await asyncio.sleep(0)
        began = time.monotonic()
        if type_ in ("modbus-rtu", "modbus-rtu-over-tcp"):
            assert bus.ready_at(1) > began
            assert await read(bus, unit_id=2) == (5, 6)
            assert time.monotonic() - began < TIMEOUT_S / 2
        else:
            assert bus.ready_at(1) <= began
        with pytest.raises(DeviceTimeout):
            await patient


@pytest.mark.parametrize("type_", ["modbus-tcp", "modbus-udp", "modbus-rtu-over-tcp"])
async def test_a_connection_that_may_be_half_open_is_made_anew(type_: str, tmp_path: Path) -> None:
    async def deaf_at_first(requests: Requests) -> None:
        for _ in range(HALF_OPEN_AFTER):
            await requests.get()
        (await requests.get()).answer(holding(5, 6))

    async with against(type_, tmp_path, deaf_at_first) as bus:
        for _ in range(HALF_OPEN_AFTER):
            with pytest.raises(DeviceTimeout):
                await bus.read(1, Table.HOLDING, 0, 2, timeout_s=0.02)
        assert await read(bus) == (5, 6)


@every_type
async def test_the_time_a_wire_is_used_counts_what_was_waited_for(type_: str, tmp_path: Path) -> None:
    async def slow(requests: Requests) -> None:
        heard = await requests.get()
        await asyncio.sleep(0.05)
        heard.answer(holding(5, 6))

    async with against(type_, tmp_path, slow) as bus:
        await read(bus)
        assert 0.05 <= bus.used_s < TIMEOUT_S
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert bus.used_s >= 0.05 + TIMEOUT_S


@pytest.mark.parametrize("type_", ["modbus-rtu", "modbus-rtu-over-tcp"])
async def test_a_damaged_answer_is_told_from_silence(type_: str, tmp_path: Path) -> None:
    async def damaged(requests: Requests) -> None:
        heard = await requests.get()
        heard.say(heard.frame(holding(5, 6))[:-1] + b"\0")

    async with against(type_, tmp_path, damaged) as bus:
        with pytest.raises(DeviceTimeout, match="unit 1 gave only a damaged answer within") as said:
            await read(bus)
        assert said.value.damaged
        with pytest.raises(DeviceTimeout) as said:
            await read(bus)
        assert not said.value.damaged


# Echo and RS-485


@pytest.mark.parametrize("echo", [b"whole", b"part"])
async def test_an_adapter_that_hears_itself_is_no_unit_that_answers(tmp_path: Path, echo: bytes) -> None:
    """A request for 24 coils from 0x0300 on has the shape of its own answer."""
    request = b"\x01\x01\x03\x00\x00\x18"

    async def echoing(requests: Requests) -> None:
        heard = await requests.get()
        frame = heard.frame(request[1:])
        if echo == b"part":
            heard.say(frame[:3])
            await asyncio.sleep(0.01)
            frame = frame[3:]
        heard.say(frame)
        await asyncio.sleep(0.01)
        heard.answer(b"\x01\x03\xff\x00\x01")
        await requests.get()
        heard.say(heard.frame(request[1:]))

    async with far_end("modbus-rtu", tmp_path) as (config, requests):
        assert isinstance(config, RtuBus)
        async with opened(msgspec.structs.replace(config, echo=True)) as bus:
            behaving = asyncio.ensure_future(echoing(requests))
            assert await bus.read(1, Table.COIL, 0x300, 24) == (1,) * 8 + (0,) * 8 + (1,) + (0,) * 7
            with pytest.raises(DeviceTimeout):
                await bus.read(1, Table.COIL, 0x300, 24)
            behaving.cancel()


async def test_a_port_that_cannot_switch_a_transceiver_says_so(tmp_path: Path) -> None:
    with serial_line(tmp_path) as line:
        async with opened(RtuBus(id="bus", port=line.master, rs485=Rs485())) as bus:
            with pytest.raises(BusUnavailable, match=r"master cannot be used: .*leave 'rs485' out"):
                await read(bus)
        async with opened(RtuBus(id="bus", port=line.master, timeout_s=0.05)) as bus:
            with pytest.raises(DeviceTimeout):
                await read(bus)  # the port was not kept


# libmodbus


@pytest.fixture(scope="module")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled_libmodbus_server(tmp_path_factory.mktemp("libmodbus"))


@pytest.mark.parametrize("type_", ["modbus-tcp", "modbus-rtu"])
async def test_libmodbus_is_read(libmodbus: Path, tmp_path: Path, type_: str) -> None:
    config: BusConfig
    with serial_line(tmp_path) as line:
        if type_ == "modbus-tcp":
            port, unit_id = free_port(), 1
            config, words = TcpBus("bus", HOST, port), ("tcp", HOST, str(port))
        else:
            unit_id = 17
            config, words = RtuBus(id="bus", port=line.master), ("rtu", line.units, str(unit_id))
        with libmodbus_server(libmodbus, *words):
            async with opened(config) as bus:
                assert await read(bus, 10, 100, unit_id) == tuple(3 * n + unit_id for n in range(10, 110))
                assert await bus.read(unit_id, Table.INPUT, 199, 1) == (597 + unit_id,)
                assert await bus.read(unit_id, Table.COIL, 2, 13) == tuple(int(n % 3 == 0) for n in range(2, 15))
                with pytest.raises(DeviceRefused) as refused:
                    await read(bus, 199, 2, unit_id)
                assert refused.value.code == 2
                assert await read(bus, 0, 1, unit_id) == (unit_id,)


def test_the_silence_between_frames_is_of_three_and_a_half_characters_or_of_fast_lines() -> None:
    assert SerialLine(baud=9600).character_s == pytest.approx(10 / 9600)
    assert SerialLine(baud=9600, parity="E").character_s == pytest.approx(11 / 9600)
    assert SerialLine(baud=9600).silence_s == pytest.approx(35 / 9600)
    assert SerialLine(baud=115_200).silence_s == 0.00175
    assert SerialLine(baud=9600, gap_ms=20).silence_s == 0.02
