"""The other end of a Modbus bus for the tests: servers of pymodbus and libmodbus, a socat line, ends that misbehave."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from pymodbus.framer import FramerRTU, FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.bus_config import BusConfig, RtuBus, RtuOverTcpBus, TcpBus, UdpBus
from tests.servers import HOST, free_port

TIMEOUT_S = 0.15
TYPES = ("modbus-tcp", "modbus-udp", "modbus-rtu-over-tcp", "modbus-rtu")

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


def installed(name: str) -> str:
    """The path of a program; skips, or with CI=true fails, when it is missing."""
    program = shutil.which(name)
    if program is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"{name} is not installed (apt install {name})")
    return program


class Line(NamedTuple):
    """The two ends of a serial line; ``cut`` takes the line away."""

    master: str
    units: str
    cut: Callable[[], None]


@contextmanager
def serial_line(folder: Path) -> Iterator[Line]:
    """Two pseudo-terminals joined by socat."""
    program = installed("socat")
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
        try:
            reader.feed_data(os.read(descriptor, 512))
        except OSError:  # the line was cut
            loop.remove_reader(descriptor)

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


@asynccontextmanager
async def pymodbus_bus(type_: str, folder: Path, *units: SimDevice) -> AsyncIterator[BusConfig]:
    """A bus of any type with pymodbus's server behind it."""
    port = free_port()
    if type_ == "modbus-rtu":
        with serial_line(folder) as line:
            async with pymodbus_rtu(line.units, *units):
                yield RtuBus(id="bus", port=line.master, timeout_s=TIMEOUT_S)
        return
    server: ModbusTcpServer | ModbusUdpServer
    bus: BusConfig
    if type_ == "modbus-udp":
        server, bus = ModbusUdpServer(list(units), address=(HOST, port)), UdpBus("bus", HOST, port, TIMEOUT_S)
    elif type_ == "modbus-rtu-over-tcp":
        server = ModbusTcpServer(list(units), framer=FramerType.RTU, address=(HOST, port))
        bus = RtuOverTcpBus(id="bus", host=HOST, port=port, timeout_s=TIMEOUT_S)
    else:
        server, bus = ModbusTcpServer(list(units), address=(HOST, port)), TcpBus("bus", HOST, port, TIMEOUT_S)
    await server.serve_forever(background=True)
    try:
        yield bus
    finally:
        await server.shutdown()


class Heard(NamedTuple):
    """A request as the far end heard it, ``pdu`` from its function on.

    ``say`` writes bytes, ``frame`` makes them out of an answer to this request.
    """

    unit_id: int
    pdu: bytes
    say: Callable[[bytes], object]
    frame: Callable[[bytes], bytes]

    def answer(self, pdu: bytes) -> None:
        self.say(self.frame(pdu))


Requests = asyncio.Queue[Heard]


@asynccontextmanager
async def far_end(type_: str, folder: Path) -> AsyncIterator[tuple[BusConfig, Requests]]:
    """A bus of any type whose far end is the test: it hears the requests and answers when and what it likes."""
    heard, port = Requests(), free_port()
    if type_ == "modbus-rtu":
        with serial_line(folder) as line:
            async with line_end(line.units) as end:
                reading = asyncio.create_task(_hear_rtu(end, heard))
                yield RtuBus(id="bus", port=line.master, timeout_s=TIMEOUT_S), heard
                reading.cancel()
    elif type_ == "modbus-udp":
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(heard), local_addr=(HOST, port)
        )
        yield UdpBus("bus", HOST, port, TIMEOUT_S), heard
        transport.close()
    elif type_ == "modbus-rtu-over-tcp":
        async with tcp_end(port, lambda end: _hear_rtu(end, heard)):
            yield RtuOverTcpBus(id="bus", host=HOST, port=port, timeout_s=TIMEOUT_S), heard
    else:
        async with tcp_end(port, lambda end: _hear_tcp(end, heard)):
            yield TcpBus("bus", HOST, port, TIMEOUT_S), heard


async def _hear_rtu(end: End, heard: Requests) -> None:
    while True:
        request = await end.rtu_request()
        heard.put_nowait(Heard(request[0], request[1:-2], end.write, partial(rtu_frame, request[0])))


async def _hear_tcp(end: End, heard: Requests) -> None:
    while True:
        transaction, rest = await end.tcp_request()
        heard.put_nowait(Heard(rest[0], rest[1:], end.write, partial(tcp_frame, transaction, rest[0])))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, heard: Requests) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        frame = partial(tcp_frame, int.from_bytes(data[:2], "big"), data[6])
        self._heard.put_nowait(Heard(data[6], data[7:], lambda answer: self._transport.sendto(answer, addr), frame))


@contextmanager
def libmodbus_server(program: Path, *words: str) -> Iterator[None]:
    """The server of ``libmodbus_server.c``, ready."""
    process = subprocess.Popen([program, *words], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n", "libmodbus did not open its end"
        yield
    finally:
        process.kill()
        process.communicate(timeout=5)


def compiled_libmodbus_server(folder: Path) -> Path:
    """``libmodbus_server.c`` as a program; skips when there is no compiler or no libmodbus."""
    program, source = folder / "libmodbus_server", Path(__file__).with_name("libmodbus_server.c")
    compiler = shutil.which("cc")
    command = [compiler or "cc", "-O1", "-o", str(program), str(source), "-lmodbus"]
    if compiler is None or subprocess.run(command, capture_output=True).returncode:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("libmodbus cannot be compiled against (apt install gcc libmodbus-dev)")
    return program
