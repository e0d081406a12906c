"""A Modbus TCP end that costs little: `python -m bench.edge.slave PORT UNITS DEAD`. Every poll of a unit reads other values.

Units 1 to UNITS have 30 registers: 10 float32 and 10 int16. Unit DEAD (0: none) never answers.
"""

import asyncio
import struct
import sys

from device_profiles import Table
from simulators.slave import Silent, TcpConnection

REGISTERS = 30
_VARIANTS = [
    struct.unpack(
        ">30H",
        b"".join(struct.pack(">f", 100.0 + point + step / 8) for point in range(10))
        + b"".join(struct.pack(">h", 1000 + 10 * point + step) for point in range(10)),
    )
    for step in range(64)
]


class Meter:
    def __init__(self) -> None:
        self._step = 0

    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        self._step = (self._step + 1) % len(_VARIANTS)
        return _VARIANTS[self._step][address : address + count]


class Dead:
    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        raise Silent


class _End(asyncio.Protocol):
    def __init__(self, units: dict[int, Meter | Dead]) -> None:
        self._connection = TcpConnection(units)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, chunk: bytes) -> None:
        for reply in self._connection.receive(chunk):
            self._transport.write(reply)


async def main(port: int, count: int, dead: int) -> None:
    units: dict[int, Meter | Dead] = {unit: Dead() if unit == dead else Meter() for unit in range(1, count + 1)}
    server = await asyncio.get_running_loop().create_server(lambda: _End(units), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
