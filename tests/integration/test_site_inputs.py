"""What a fire panel and a lift say by the contacts of one module: read from a foreign server, added by the installer."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.provisioning.add import Add, add
from edge.provisioning.probe import Probe, probe
from edge.provisioning.site import Offline
from telemetry.errors import ConfigInvalid
from tests.installers import opened, write_gateway
from tests.servers import HOST, free_port

ADDRESS = {"bus": "contacts", "unit_id": 4}
PANEL = {"id": "b3-fire-panel", "profile": "wellpro-wp8028", "address": ADDRESS, "inputs": {"input_1": "released"}}
FAULT = {"input_2": {"word": "lift_fault", "inverted": True}}
LIFT = {"id": "b3-lift-1", "profile": "wellpro-wp8028", "address": ADDRESS, "zone": "lift-1", "inputs": FAULT}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Path]:
    """Input 1 of the module is closed and input 2 open."""
    port = free_port()
    inputs = SimData(0, values=[True] + [False] * 7, datatype=DataType.BITS)
    nothing = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    outputs = [SimData(0, values=[False] * 8, datatype=DataType.BITS)]
    server = ModbusTcpServer([SimDevice(4, (outputs, [inputs], nothing, nothing))], address=(HOST, port))
    await server.serve_forever(background=True)
    try:
        yield write_gateway(tmp_path / "gw", buses=[f"{{id: contacts, type: modbus-tcp, host: {HOST}, port: {port}}}"])
    finally:
        await server.shutdown()


async def test_contacts_of_one_module_become_devices_that_say_what_they_mean(gateway: Path) -> None:
    site = Offline(*opened(gateway))
    try:
        panel, lift = await add(site, Add(device=PANEL)), await add(site, Add(device=LIFT))
        assert (await add(site, Add(device=LIFT))).already
        with pytest.raises(ConfigInvalid, match=r"inputs.input_2: the same as devices\[1\]"):
            await add(site, Add(device={**LIFT, "id": "b3-lift-2"}))
        again = await probe(site, Probe(profile="wellpro-wp8028", address=ADDRESS, inputs={"input_1": "barrier_open"}))
    finally:
        await site.close()
    assert panel.probed is not None and lift.probed is not None
    read = [(row.point, row.metric, row.value) for added in (panel.probed, lift.probed, again) for row in added.points]
    assert read == [("input_1", "released", True), ("input_2", "lift_fault", True), ("input_1", "barrier_open", True)]


async def test_the_commands_say_it_in_the_installers_words(gateway: Path) -> None:
    async def linli(*words: str) -> str:
        command = (sys.executable, "-m", "linli", *words, "--config", str(gateway))
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = ("--profile", "wellpro-wp8028", "--bus", "contacts", "--unit", "4")
    assert "input_1: released" in await linli("device", "probe", *where, "--input", "1=released")
    await linli("device", "add", "--id", "b3-lift-1", *where, "--input", "2=lift_fault:inverted")
    devices = yaml.safe_load((gateway.parent / "devices.yaml").read_text())["devices"]
    assert devices[0]["inputs"] == FAULT
    listed = await linli("device", "list")
    assert "input_2: not lift_fault" in listed and "environment" in listed
