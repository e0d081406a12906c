"""Many Modbus TCP units in one program: `python -m tests.modbus_site UNITS DEAD_OF_TEN PORT...`; says "ready" when it serves.

On each port the units 1 to UNITS, of which those whose number ends in a digit below DEAD_OF_TEN never answer.
"""

import asyncio
import sys

from device_profiles import Table
from simulators.slave import Silent, TcpConnection


class Meter:
    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        return (235, 500)[address : address + count]


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


async def main(count: int, dead_of_ten: int, *ports: int) -> None:
    units: dict[int, Meter | Dead] = {unit: Dead() if unit % 10 < dead_of_ten else Meter() for unit in range(1, count + 1)}
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(lambda: _End(units), "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
