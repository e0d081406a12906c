"""What the installers' tests stand on: a gateway's folder with profiles of its own, and foreign Modbus ends.

The ends are pymodbus servers: a TCP port, and a serial line that socat makes of two pseudo-terminals. As on a wire, a unit that
is not there keeps silent.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from pymodbus import FramerType
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusBaseServer, ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_profiles import Library, load_library
from edge.config import GatewayConfig, load, profile_dirs
from tests.servers import HOST, free_port
from tests.servers import program_of as program

CLIMATE = """
id: bench-climate
kind: environment
vendor: Bench
model: C1
name: {zh: 温湿度, en: climate}
confidence: single
sources: [made for the tests]
modbus: {interval_s: 5}
points:
  humidity: {unit: "%RH", scale: 0.1, range: [0, 100], modbus: {table: holding, address: 0, type: int16}}
  temperature: {unit: degC, scale: 0.1, range: [-40, 80], modbus: {table: holding, address: 1, type: int16}}
examples:
  vectors: [{origin: computed, point: humidity, words: [658], gives: 65.8}]
"""

LEVEL = """
id: bench-level
kind: environment
vendor: Bench
model: L1
name: {zh: 液位, en: level}
confidence: single
sources: [made for the tests]
modbus: {interval_s: 5}
points:
  level: {unit: mm, range: [0, 900], modbus: {table: input, address: 0}}
examples:
  vectors: [{origin: computed, point: level, words: [500], gives: 0.5}]
"""

CONTACT = """
id: bench-contact
kind: access
vendor: Bench
model: D1
name: {zh: 门磁, en: contact}
confidence: single
sources: [made for the tests]
mqtt:
  messages:
    - topic: bench/{name}
      values: {door_open: open, battery: battery}
points:
  door_open: {}
  battery: {unit: "%"}
examples:
  messages:
    - origin: computed
      topic: bench/front
      parameters: {name: front}
      payload: {open: true}
      gives: [{values: {door_open: true}}]
"""

GATEWAY = """
gateway: {{id: gw-test, community: "411202002001"}}
centre: {{broker: {{url: "mqtts://centre.invalid"}}, key_file: gateway.key}}
privacy: {{key_file: site.key}}
profiles: [profiles]
buses: [{buses}]
brokers: [{brokers}]
"""


def write_gateway(folder: Path, *, buses: Sequence[str] = (), brokers: Sequence[str] = (), devices: str = "") -> Path:
    """A gateway's folder; buses and brokers are YAML flow mappings, ``devices`` the text of devices.yaml."""
    (folder / "profiles").mkdir(parents=True)
    for name, text in (("bench-climate", CLIMATE), ("bench-level", LEVEL), ("bench-contact", CONTACT)):
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    for name, digit in (("gateway.key", "1"), ("site.key", "2")):
        (folder / name).touch(0o600)
        (folder / name).write_text(digit * 64)
    if devices:
        (folder / "devices.yaml").write_text(devices)
    file = folder / "gateway.yaml"
    file.write_text(GATEWAY.format(buses=", ".join(buses), brokers=", ".join(brokers)))
    return file


def opened(file: Path) -> tuple[GatewayConfig, Library]:
    library = load_library(profile_dirs(file))
    return load(file, library), library


@contextlib.asynccontextmanager
async def tcp_units(units: Mapping[int, Sequence[int]]) -> AsyncIterator[int]:
    """The port behind which each unit holds these registers from address 0, for functions 03 and 04."""
    port = free_port()
    server = ModbusTcpServer(_devices(units), address=(HOST, port), ignore_missing_devices=True)
    _only_known(server, units)
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def rtu_units(folder: Path, units: Mapping[int, Sequence[int]]) -> AsyncIterator[Path]:
    """The serial port of a line with these units."""
    near, far = folder / "line-near", folder / "line-far"
    socat = await asyncio.create_subprocess_exec(
        program("socat"), f"pty,raw,echo=0,link={near}", f"pty,raw,echo=0,link={far}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not (near.exists() and far.exists()):
                await asyncio.sleep(0.02)
        server = ModbusSerialServer(
            _devices(units), framer=FramerType.RTU, port=str(far), baudrate=9600, ignore_missing_devices=True
        )
        _only_known(server, units)
        await server.serve_forever(background=True)
        try:
            yield near
        finally:
            await server.shutdown()
    finally:
        socat.kill()
        await socat.wait()


def _devices(units: Mapping[int, Sequence[int]]) -> list[SimDevice]:
    return [SimDevice(unit_id, [SimData(0, values=list(words), datatype=DataType.REGISTERS)]) for unit_id, words in units.items()]


def _only_known(server: ModbusBaseServer, units: Mapping[int, Sequence[int]]) -> None:
    """pymodbus answers for units that it does not have with exception 4; on a line nobody would answer."""
    values = server.context.async_getValues

    async def of_known(unit_id: int, *question: int) -> object:
        if unit_id not in units:
            raise NoSuchIdException
        return await values(unit_id, *question)

    server.context.async_getValues = of_known
