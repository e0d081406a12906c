"""A master on Modbus TCP: right answers from pymodbus's server, and no wrong ones from ends that misbehave."""

import asyncio
import time

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles import Table
from edge.bus_config import TcpBus
from edge.drivers.frames import TcpFrames
from edge.drivers.line import HALF_OPEN_AFTER
from edge.drivers.modbus import Bus, open_bus
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout
from tests.modbus_peers import End, holding, pymodbus_tcp, tcp_end, tcp_frame, unit
from tests.servers import HOST, free_port

TIMEOUT_S = 0.15


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def bus(port: int):
    bus = open_bus(TcpBus("meters", HOST, port, TIMEOUT_S))
    yield bus
    await bus.close()


async def read(bus: Bus, address: int = 0, count: int = 2, unit_id: int = 1) -> tuple[int, ...]:
    return await bus.read(unit_id, Table.HOLDING, address, count)


async def test_registers_and_bits_of_every_table_are_read(bus: Bus, port: int) -> None:
    bits = [SimData(0, values=[True, False, True, True, False, False, False, False, False, True], datatype=DataType.BITS)]
    registers = [SimData(10, values=[1, 0xFFFF, 3], datatype=DataType.REGISTERS)]
    async with pymodbus_tcp(port, SimDevice(1, simdata=(bits, bits, registers, registers))):
        assert await bus.read(1, Table.HOLDING, 10, 3) == (1, 0xFFFF, 3)
        assert await bus.read(1, Table.INPUT, 11, 1) == (0xFFFF,)
        assert await bus.read(1, Table.COIL, 0, 10) == (1, 0, 1, 1, 0, 0, 0, 0, 0, 1)
        assert await bus.read(1, Table.DISCRETE, 8, 2) == (0, 1)


async def test_a_refusal_carries_its_exception_code(bus: Bus, port: int) -> None:
    async with pymodbus_tcp(port, unit(1, {0: 1})):
        with pytest.raises(DeviceRefused, match=r"unit 1: exception 2 \(illegal address\)") as refused:
            await read(bus, 500)
        assert refused.value.code == ExcCodes.ILLEGAL_ADDRESS
        assert await read(bus, count=1) == (1,)


async def test_a_silent_unit_costs_its_time_out_and_no_more(bus: Bus, port: int) -> None:
    async with pymodbus_tcp(port, unit(1, {0: 1, 1: 2}), silent={9}):
        await read(bus)
        began = time.monotonic()
        with pytest.raises(DeviceTimeout, match=r"unit 9 did not answer within 0\.15 s"):
            await read(bus, unit_id=9)
        assert TIMEOUT_S <= time.monotonic() - began < TIMEOUT_S + 0.1
        assert await read(bus) == (1, 2)


async def test_a_read_may_have_a_time_out_of_its_own(bus: Bus, port: int) -> None:
    async with pymodbus_tcp(port, unit(1, {0: 1, 1: 2}), silent={9}):
        await read(bus)
        began = time.monotonic()
        with pytest.raises(DeviceTimeout):
            await bus.read(9, Table.HOLDING, 0, 1, timeout_s=0.03)
        assert time.monotonic() - began < TIMEOUT_S


async def test_a_late_answer_is_not_taken_for_the_next_ones(bus: Bus, port: int) -> None:
    async def late(end: End) -> None:
        first, _ = await end.tcp_request()
        second, _ = await end.tcp_request()
        end.write(tcp_frame(first, 1, holding(0xBAD, 0xBAD)) + tcp_frame(second, 1, holding(5, 6)))
        await end.tcp_request()

    async with tcp_end(port, late):
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert await read(bus) == (5, 6)


async def test_half_a_late_answer_makes_the_master_begin_a_new_connection(bus: Bus, port: int) -> None:
    connections = 0

    async def halves(end: End) -> None:
        nonlocal connections
        connections += 1
        while True:
            transaction, _ = await end.tcp_request()
            answer = tcp_frame(transaction, 1, holding(5, 6))
            end.write(answer[:9] if connections == 1 else answer)

    async with tcp_end(port, halves):
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert await read(bus) == (5, 6)
        assert connections == 2


async def test_an_answer_in_pieces_is_put_together(bus: Bus, port: int) -> None:
    async def trickle(end: End) -> None:
        transaction, _ = await end.tcp_request()
        for byte in tcp_frame(transaction, 1, holding(5, 6)):
            end.write(bytes((byte,)))
            await asyncio.sleep(0.002)
        await end.tcp_request()

    async with tcp_end(port, trickle):
        assert await read(bus) == (5, 6)


@pytest.mark.parametrize(
    "junk", [b"\xff" * 300, b"\0\1\0\0\xff\xff\1", b"HTTP/1.1 400 Bad Request\r\n\r\n", tcp_frame(1, 1, b"")]
)
async def test_garbage_is_a_time_out_and_the_bus_is_usable_after_it(bus: Bus, port: int, junk: bytes) -> None:
    first = True

    async def babble(end: End) -> None:
        nonlocal first
        while True:
            transaction, _ = await end.tcp_request()
            end.write(junk if first else tcp_frame(transaction, 1, holding(5, 6)))
            first = False

    async with tcp_end(port, babble):
        with pytest.raises(DeviceTimeout):
            await read(bus)
        assert await read(bus) == (5, 6)


async def test_a_gateway_that_says_its_unit_is_silent_is_a_time_out(bus: Bus, port: int) -> None:
    async def gateway(end: End) -> None:
        transaction, _ = await end.tcp_request()
        end.write(tcp_frame(transaction, 1, b"\x83\x0b"))
        await end.tcp_request()

    async with tcp_end(port, gateway):
        with pytest.raises(DeviceTimeout, match="no answer behind the gateway"):
            await read(bus)


async def test_a_half_open_connection_is_given_up_after_some_silence(bus: Bus, port: int) -> None:
    connections = 0

    async def half_open(end: End) -> None:
        nonlocal connections
        connections += 1
        while True:
            transaction, _ = await end.tcp_request()
            if connections > 1:
                end.write(tcp_frame(transaction, 1, holding(5, 6)))

    async with tcp_end(port, half_open):
        for _ in range(HALF_OPEN_AFTER):
            with pytest.raises(DeviceTimeout):
                await read(bus)
        assert await read(bus) == (5, 6)


async def test_a_connection_closed_in_mid_frame_is_an_unavailable_bus(bus: Bus, port: int) -> None:
    async def hang_up(end: End) -> None:
        await end.tcp_request()
        end.write(b"\0\1\0")

    async with tcp_end(port, hang_up):
        with pytest.raises(BusUnavailable, match=f"{HOST}:{port} cannot be used: the connection was lost"):
            await read(bus)


async def test_without_a_server_reads_fail_at_once_until_the_next_try_and_then_work(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.modbus.FIRST_RETRY_S", 0.2)
    bus = open_bus(TcpBus("meters", HOST, port, TIMEOUT_S))
    with pytest.raises(BusUnavailable, match=f"{HOST}:{port} cannot be used: Connection refused .is it the right port"):
        await read(bus)
    async with pymodbus_tcp(port, unit(1, {0: 1, 1: 2})):
        with pytest.raises(BusUnavailable):
            await read(bus)  # still within the pause
        await asyncio.sleep(0.25)
        assert await read(bus) == (1, 2)
        await bus.close()


async def test_callers_take_turns_in_the_order_they_came(bus: Bus, port: int) -> None:
    async with pymodbus_tcp(port, unit(1, {n: n for n in range(20)})):
        done: list[int] = []

        async def one(address: int) -> None:
            assert await read(bus, address, 1) == (address,)
            done.append(address)

        async with asyncio.TaskGroup() as group:
            for address in range(20):
                group.create_task(one(address))
        assert done == list(range(20))


async def test_a_cancelled_read_leaves_nothing_behind_for_the_next(bus: Bus, port: int) -> None:
    async def slow(end: End) -> None:
        first, _ = await end.tcp_request()
        await asyncio.sleep(0.05)
        end.write(tcp_frame(first, 1, holding(0xBAD, 0xBAD)))
        second, _ = await end.tcp_request()
        end.write(tcp_frame(second, 1, holding(5, 6)))
        await end.tcp_request()

    async with tcp_end(port, slow):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await read(bus)
        assert await read(bus) == (5, 6)


async def test_a_read_that_is_cancelled_as_its_answer_comes_ends_all_the_same(
    bus: Bus, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pymodbus_tcp(port, unit(1, {0: 11, 1: 12})):
        await read(bus)
        reading = asyncio.create_task(read(bus))
        taken = TcpFrames.handleFrame

        def taken_and_cancelled(frames: TcpFrames, data: bytes, unit_id: int, transaction: int) -> tuple[int, ModbusPDU | None]:
            used, found = taken(frames, data, unit_id, transaction)
            if found is not None:
                reading.cancel()
            return used, found

        with monkeypatch.context() as patched:
            patched.setattr(TcpFrames, "handleFrame", taken_and_cancelled)
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await read(bus) == (11, 12)


async def test_a_name_that_nobody_knows_is_said_to_be_one() -> None:
    with pytest.raises(BusUnavailable, match=r"no-such-plc\.invalid:502 cannot be used: its name is not known"):
        await read(open_bus(TcpBus("meters", "no-such-plc.invalid", 502, 10.0)))
