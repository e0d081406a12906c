"""The real agent, its centre unreachable, takes a device that an installer adds, and is asked on while it polls."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import agent
from edge.config import GatewayConfig
from edge.provisioning.add import Add, Remove
from edge.provisioning.reach import carry_out
from edge.provisioning.scan import Scan, Scanned
from tests.installers import opened, tcp_units, write_gateway

CLIMATE = {"id": "b3-climate", "profile": "bench-climate", "address": {"bus": "meters", "unit_id": 1}, "interval_s": 0.2}


@pytest.fixture
async def committed(tmp_path: Path) -> AsyncIterator[tuple[GatewayConfig, asyncio.StreamReader]]:
    """A running agent without devices, and the keys that it reports as committed."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0)
    )
    async with tcp_units({1: [658, 231], 2: [500]}) as port:
        bus = f"{{id: meters, type: modbus-tcp, host: 127.0.0.1, port: {port}, timeout_s: 0.2}}"
        file = write_gateway(tmp_path / "gw", buses=[bus])
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(file, report_fd=writing, stop=stop))
        config, _ = opened(file)
        async with asyncio.timeout(10):
            while not config.control_socket.exists():
                await asyncio.sleep(0.02)
        yield config, reader
        stop.set()
        async with asyncio.timeout(10):
            await running
    pipe.close()
    os.close(writing)


async def heard(reader: asyncio.StreamReader, device: str) -> None:
    async with asyncio.timeout(10):
        while not (await reader.readline()).startswith(device.encode()):
            pass


async def test_an_added_device_is_read_without_a_restart_and_the_bus_stays_open_to_installers(
    committed: tuple[GatewayConfig, asyncio.StreamReader],
) -> None:
    config, reader = committed
    _, library = opened(config.file)
    await carry_out(config, library, Add(device=CLIMATE), lambda step: None)
    await heard(reader, "b3-climate")
    found = await carry_out(config, library, Scan(bus="meters", last=2, timeout_s=0.1, guess=False), lambda step: None)
    assert isinstance(found, Scanned)
    assert [(unit.unit_id, unit.device) for unit in found.units] == [(1, "b3-climate"), (2, "")], "between the polls"
    await carry_out(config, library, Remove("b3-climate"), lambda step: None)
    assert opened(config.file)[0].devices == ()
