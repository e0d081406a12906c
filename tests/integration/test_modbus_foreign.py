"""Slaves and a second master that nobody here wrote: pyModbusTCP, modbus-tk, mbpoll. Transports try pymodbus and libmodbus."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import serial
from modbus_tk import defines
from modbus_tk.modbus import Server
from modbus_tk.modbus_rtu import RtuServer
from modbus_tk.modbus_tcp import TcpServer
from pyModbusTCP.server import DataBank, ModbusServer

from device_profiles import Table
from device_profiles.library import load_text
from edge.bus_config import BusConfig, RtuBus, TcpBus
from edge.drivers.modbus import Bus, open_bus
from edge.poller import Poller
from edge.tally import Tally
from edge.unit import Unit
from telemetry.errors import DeviceRefused
from tests.modbus_peers import installed, serial_line
from tests.recording import recording
from tests.servers import HOST, free_port

pytestmark = pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")  # modbus-tk's own
UNIT = 17
REGISTERS = 200
METER = """
id: test-meter
kind: environment
vendor: Test
model: M1
name: {zh: 测试, en: Test}
confidence: confirmed
sources: [test]
modbus: {interval_s: 0.05}
points:
  temperature: {unit: degC, modbus: {table: holding, address: 30}}
  humidity: {unit: "%RH", modbus: {table: holding, address: 31}}
examples:
  vectors: [{origin: computed, point: humidity, words: [50], gives: 50.0}]
"""


@contextmanager
def pymodbustcp(port: int) -> Iterator[None]:
    """Holding and input register n hold n; coil n is set when n is a multiple of 3."""
    bank = DataBank(coils_size=REGISTERS, d_inputs_size=REGISTERS, h_regs_size=REGISTERS, i_regs_size=REGISTERS)
    bank.set_holding_registers(0, list(range(REGISTERS)))
    bank.set_input_registers(0, list(range(REGISTERS)))
    bank.set_coils(0, [n % 3 == 0 for n in range(REGISTERS)])
    bank.set_discrete_inputs(0, [n % 3 == 0 for n in range(REGISTERS)])
    server = ModbusServer(HOST, port, no_block=True, data_bank=bank)
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def modbus_tk(server: Server) -> Iterator[None]:
    """The same."""
    slave = server.add_slave(UNIT)
    for kind in (defines.COILS, defines.DISCRETE_INPUTS):
        slave.add_block(f"bits {kind}", kind, 0, REGISTERS)
        slave.set_values(f"bits {kind}", 0, [int(n % 3 == 0) for n in range(REGISTERS)])
    for kind in (defines.HOLDING_REGISTERS, defines.ANALOG_INPUTS):
        slave.add_block(f"words {kind}", kind, 0, REGISTERS)
        slave.set_values(f"words {kind}", 0, list(range(REGISTERS)))
    server.start()
    try:
        yield
    finally:
        server.stop()


@asynccontextmanager
async def foreign(name: str, folder: Path) -> AsyncIterator[BusConfig]:
    port = free_port()
    if name == "pyModbusTCP":
        with pymodbustcp(port):
            yield TcpBus("bus", HOST, port)
    elif name == "modbus-tk TCP":
        with modbus_tk(TcpServer(port, HOST)):
            await listening(port)
            yield TcpBus("bus", HOST, port)
    else:
        with serial_line(folder) as line, modbus_tk(RtuServer(serial.Serial(line.units, 9600))):
            yield RtuBus(id="bus", port=line.master)


async def listening(port: int) -> None:
    """modbus-tk begins in a thread of its own, some time after it was told to."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return await writer.wait_closed()


@pytest.mark.parametrize("name", ["pyModbusTCP", "modbus-tk TCP", "modbus-tk RTU"])
async def test_every_table_is_read_and_a_refusal_told(tmp_path: Path, name: str) -> None:
    async with foreign(name, tmp_path) as config:
        bus = open_bus(config)
        try:
            await _read_all(bus)
        finally:
            await bus.close()


async def _read_all(bus: Bus) -> None:
    for table in (Table.HOLDING, Table.INPUT):
        assert await bus.read(UNIT, table, 10, 100) == tuple(range(10, 110))
    for table in (Table.COIL, Table.DISCRETE):
        assert await bus.read(UNIT, table, 2, 13) == tuple(int(n % 3 == 0) for n in range(2, 15))
    with pytest.raises(DeviceRefused) as refused:
        await bus.read(UNIT, Table.HOLDING, REGISTERS - 1, 2)
    assert refused.value.code == 2
    assert await bus.read(UNIT, Table.HOLDING, REGISTERS - 1, 1) == (REGISTERS - 1,)


async def test_a_second_master_takes_neither_values_nor_polls_away(tmp_path: Path) -> None:
    program, port = installed("mbpoll"), free_port()
    profile = load_text(METER, "test-meter.yaml")
    command = [program, "-m", "tcp", "-a", str(UNIT), "-0", "-r", "100", "-c", "3", "-l", "20", "-p", str(port), HOST]
    with pymodbustcp(port):
        async with recording(tmp_path) as kept:
            bus, tally = open_bus(TcpBus("bus", HOST, port)), Tally()
            poller = Poller(bus, kept.logbook, tally)
            kept.logbook.open("b3-meter", profile)
            poller.replace([Unit("b3-meter", profile, UNIT)])
            polling = asyncio.create_task(poller.run())
            other = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            await asyncio.sleep(1.5)
            other.terminate()
            said, _ = await asyncio.wait_for(other.communicate(), 5)
            polling.cancel()
            await asyncio.wait((polling,))
            await bus.close()
            (reading,) = await kept.readings()
    assert reading.values == {"temperature": 30.0, "humidity": 31.0} and reading.faults is None
    assert tally.polls + tally.polls_missed >= 28 and tally.polls_missed <= 2 and tally.timeouts == tally.damaged == 0
    values = re.findall(r"\[(\d+)\]:\s+(\d+)", said.decode())
    assert len(values) >= 60 and all(place == value for place, value in values), "the other one is served as well"
