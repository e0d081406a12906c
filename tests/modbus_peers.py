"""The other end of a Modbus bus for the tests: pymodbus's servers, a socat line, and ends that misbehave on purpose."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from pymodbus.framer import FramerRTU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.servers import HOST

Registers = Mapping[int, int]


def unit(id: int, registers: Registers) -> SimDevice:
    """A unit with these registers, as holding and as input registers; any other address is refused with exception 2."""
    data = [SimData(address, values=value, datatype=DataType.REGISTERS) for address, value in sorted(registers.items())]
    return SimDevice(id, simdata=data)


def _but_silent(silent: Collection[int], at: int) -> Callable[[bool, bytes], bytes]:
    """Lets no frame of a silent unit out; its unit id stands at this place of a frame."""
    return lambda sending, frame: b"" if sending and frame[at] in silent else frame


@asynccontextmanager
async def pymodbus_tcp(port: int, *units: SimDevice, silent: Collection[int] = ()) -> AsyncIterator[None]:
    """Units behind one TCP port; those in ``silent``, which may change at any time, do not answer."""
    server = ModbusTcpServer(list(units), address=(HOST, port), trace_packet=_but_silent(silent, 6))
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


@asynccontextmanager
async def pymodbus_rtu(line: str, *units: SimDevice, silent: Collection[int] = ()) -> AsyncIterator[None]:
    """Units on a serial line; those in ``silent``, which may change at any time, do not answer."""
    server = ModbusSerialServer(list(units), port=line, baudrate=9600, trace_packet=_but_silent(silent, 0))
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


class Line(NamedTuple):
    """The two ends of a serial line; ``cut`` takes the line away."""

    master: str
    units: str
    cut: Callable[[], None]


@contextmanager
def serial_line(folder: Path) -> Iterator[Line]:
    """Two pseudo-terminals joined by socat."""
    program = shutil.which("socat")
    if program is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("socat is not installed (apt install socat)")
    master, units = folder / "master", folder / "units"
    process = subprocess.Popen([program, f"pty,raw,echo=0,link={master}", f"pty,raw,echo=0,link={units}"])

    def cut() -> None:
        process.kill()
        process.wait(5)

    try:
        give_up = time.monotonic() + 5
        while not (master.exists() and units.exists()):
            assert time.monotonic() < give_up and process.poll() is None, "socat did not make its line"
            time.sleep(0.01)
        yield Line(str(master), str(units), cut)
    finally:
        cut()


class End:
    """One end of a byte stream under the test's hand."""

    def __init__(self, reader: asyncio.StreamReader, write: Callable[[bytes], object]) -> None:
        self.reader = reader
        self.write = write

    async def tcp_request(self) -> tuple[int, bytes]:
        """Transaction and the rest of the next Modbus TCP request, unit id first."""
        head = await self.reader.readexactly(6)
        return int.from_bytes(head[:2], "big"), await self.reader.readexactly(int.from_bytes(head[4:], "big"))

    async def rtu_request(self) -> bytes:
        return await self.reader.readexactly(8)


@asynccontextmanager
async def tcp_end(port: int, behave: Callable[[End], Awaitable[None]]) -> AsyncIterator[None]:
    """A TCP server that does what ``behave`` says with each connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(End(reader, writer.write))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, port)
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def line_end(path: str) -> AsyncIterator[End]:
    """The units' end of a serial line, read and written by the test."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()

    def receive() -> None:
        reader.feed_data(os.read(descriptor, 512))

    loop.add_reader(descriptor, receive)
    try:
        yield End(reader, lambda data: os.write(descriptor, data))
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def tcp_frame(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit_id,)) + pdu


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    body = bytes((unit_id,)) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def holding(*registers: int) -> bytes:
    """The answer to a read of holding registers."""
    return bytes((3, 2 * len(registers))) + b"".join(word.to_bytes(2, "big") for word in registers)
