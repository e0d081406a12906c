"""The installers' commands as an installer types them: processes against real buses, with an agent and without."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.control import ControlServer
from edge.provisioning.site import LOCK, Offline, hold
from tests.installers import opened, tcp_units, write_gateway


class Ended(NamedTuple):
    status: int
    out: str
    err: str


class Shell:
    """Types ``linli …`` in the gateway's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        self.environment.pop("LINLI_CONFIG", None)

    async def linli(self, *words: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from linli.cli import main; main()",
            *words,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Offline]:
    site = Offline(*opened(folder / "gateway.yaml"))
    with hold(site.config.data_dir / LOCK):
        task = asyncio.create_task(ControlServer(site).run())
        try:
            yield site
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await site.close()


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with tcp_units({1: [658, 231], 7: [500]}) as port:
        buses = [f"{{id: meters, type: modbus-tcp, host: 127.0.0.1, port: {port}, timeout_s: 0.2}}"]
        buses += ["{id: line, type: modbus-rtu, port: /dev/not-there}"]
        write_gateway(tmp_path / "gw", buses=buses)
        yield Shell(tmp_path / "gw")


ADD = ("device", "add", "--id", "b3-climate", "--profile", "bench-climate", "--bus", "meters", "--unit", "1")


@pytest.mark.slow
async def test_an_installers_day(shell: Shell) -> None:
    """Buses, scan, probe, add, list, remove: in the gateway's folder, with no agent."""
    buses = json.loads((await shell.linli("bus", "list", "--json")).out)
    assert [(bus["id"], bus["present"]) for bus in buses] == [("meters", None), ("line", False)]

    found = json.loads((await shell.linli("bus", "scan", "--bus", "meters", "--to", "8", "--timeout", "0.05", "--json")).out)
    assert [unit["unit_id"] for unit in found["units"]] == [1, 7]
    most = max(unit["fitting"] for unit in found["units"])
    table = await shell.linli("bus", "scan", "--bus", "meters", "--to", "8", "--timeout", "0.05")
    assert f"Up to {most} models fit one unit: choose with linli device add --profile" in table.out

    shown = await shell.linli("device", "probe", "--profile", "bench-climate", "--bus", "meters", "--unit", "1")
    assert shown.status == 0
    assert "65.8" in shown.out
    assert "0292" in shown.out, "658 as it stands in the register"

    added = await shell.linli(*ADD, "--place-zh", "3号楼水泵房", "--interval", "30")
    assert (added.status, added.err) == (0, "")
    again = await shell.linli(*ADD, "--place-zh", "3号楼水泵房", "--interval", "30")
    assert again.status == 0
    assert "is there already" in again.out
    other = await shell.linli(*ADD, "--place-zh", "别处")
    assert other.status == 2
    assert "'b3-climate' is there already, not the same: bench-climate at meters" in other.err
    assert other.err.count("error:") == 1
    assert "linli device remove b3-climate" in other.err

    listed = await shell.linli("device", "list")
    assert "b3-climate" in listed.out
    assert "3号楼水泵房" in listed.out
    assert (await shell.linli("device", "probe", "--device", "b3-climate")).status == 0

    removed = await shell.linli("device", "remove", "b3-climate", "--yes")
    assert removed.status == 0
    assert json.loads((await shell.linli("device", "list", "--json")).out) == []


@pytest.mark.slow
async def test_a_running_agent_does_it_and_takes_the_device_at_once(shell: Shell) -> None:
    async with agent(shell.folder) as site:
        added = await shell.linli(*ADD, "--json")
        assert json.loads(added.out)["device"] == "b3-climate"
        assert [device.id for device in site.config.devices] == ["b3-climate"]
        assert (await shell.linli("device", "remove", "b3-climate", "--yes")).status == 0
        assert site.config.devices == ()


async def test_a_device_that_does_not_read_well_ends_with_1_and_says_why_on_standard_error(shell: Shell) -> None:
    refused = await shell.linli(*ADD[:-1], "7", "--json")
    assert (refused.status, refused.out) == (1, "")
    assert "b3-climate: temperature: unit 7: exception 2" in refused.err
    assert "--accept" in refused.err
    assert not (shell.folder / "devices.yaml").exists()


async def test_a_probe_with_doubts_shows_them_and_ends_with_1(shell: Shell) -> None:
    shown = await shell.linli("device", "probe", "--profile", "bench-climate", "--bus", "meters", "--unit", "7")
    assert shown.status == 1
    assert "NO: unit 7: exception 2" in shown.out


async def test_what_is_wrong_with_the_words_ends_with_2_and_the_cure(shell: Shell) -> None:
    refused = await shell.linli(*ADD[:3], "B3", *ADD[4:5], "bench-climat", *ADD[6:])
    assert refused.status == 2
    assert "devices[0].id" in refused.err
    assert (await shell.linli("bus", "scan", "--bus", "nowhere")).status == 2


async def test_a_serial_port_that_is_not_there_is_said_in_one_line(shell: Shell) -> None:
    failed = await shell.linli("bus", "scan", "--bus", "line", "--json")
    assert (failed.status, failed.out) == (1, "")
    assert "/dev/not-there" in failed.err
    assert len(failed.err.splitlines()) == 1


async def test_the_gateway_is_found_by_the_environment_and_its_absence_has_a_cure(shell: Shell, tmp_path: Path) -> None:
    elsewhere = Shell(tmp_path)
    lost = await elsewhere.linli("device", "list")
    assert lost.status == 2
    assert "linli gateway init" in lost.err
    elsewhere.environment["LINLI_CONFIG"] = str(shell.folder / "gateway.yaml")
    assert (await elsewhere.linli("device", "list", "--json")).out.strip() == "[]"
