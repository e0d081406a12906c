"""The agent as a process: what it survives at its start, how it ends, what it weighs."""

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.modbus_peers import pymodbus_tcp, unit
from tests.servers import Server, free_port, mosquitto

GATEWAY = """
gateway: {{id: gw-test, community: "411202002001"}}
centre: {{broker: {{url: "mqtt://127.0.0.1:{centre}"}}, key_file: gateway.key}}
privacy: {{key_file: site.key}}
health_interval_s: 1
buses:
  - {{type: modbus-tcp, id: meters, host: 127.0.0.1, port: {meters}, timeout_s: 0.3}}
  - {{type: modbus-rtu, id: rs485-1, port: /dev/ttyNONE9}}
brokers:
  - {{id: devices, url: "mqtt://127.0.0.1:{devices}"}}
"""
DEVICES = """
devices:
  - {id: b3-meter, profile: eastron-sdm120, address: {bus: meters, unit_id: 1}, interval_s: 0.2}
  - {id: b3-level, profile: level-qdy30a, address: {bus: rs485-1, unit_id: 1}, interval_s: 0.2}
  - {id: b3-door, profile: zigbee2mqtt-contact, address: {broker: devices, topic: {name: b3/door}}}
"""


ACCEPTED = "(SELECT count, body FROM chunk UNION ALL SELECT count, body FROM undated)"
"""Also what waits for a clock that somebody vouches for."""


def configure(folder: Path, listed: str = DEVICES, **ports: int) -> Path:
    known = {"centre": free_port(), "meters": free_port(), "devices": free_port()} | ports
    (folder / "gateway.yaml").write_text(GATEWAY.format(**known))
    (folder / "devices.yaml").write_text(listed)
    for name in ("gateway.key", "site.key"):
        (folder / name).write_text(secrets.token_hex(32))
        (folder / name).chmod(0o600)
    return folder / "gateway.yaml"


def linli(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from linli.cli import main; main()", *arguments]


@contextmanager
def agent(config: Path, *arguments: str, pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    with (config.parent / "agent.log").open("ab") as log:
        argv = linli("edge", "run", "--config", str(config), *arguments)
        process = subprocess.Popen(argv, stdout=log, stderr=log, pass_fds=pass_fds)
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


async def logged(config: Path, words: str, within_s: float = 10.0) -> str:
    """The agent's log, once it holds these words."""
    log = config.parent / "agent.log"
    async with asyncio.timeout(within_s):
        while words not in (text := log.read_text()):
            await asyncio.sleep(0.05)
    return text


def accepted(config: Path) -> int:
    with closing(sqlite3.connect(config.parent / "data" / "outbox.db", timeout=5)) as outbox:
        return int(outbox.execute("SELECT coalesce(sum(count), 0) FROM " + ACCEPTED).fetchone()[0])


def meter_registers() -> dict[int, int]:
    return {address: 0x4366 if address % 2 == 0 else 0 for address in range(400)}  # 230.0 everywhere


@pytest.mark.slow
async def test_what_cannot_be_reached_is_one_line_each_and_the_rest_is_read_and_kept(tmp_path: Path) -> None:
    meters = free_port()
    config = configure(tmp_path, meters=meters)
    read_end, write_end = os.pipe()
    async with pymodbus_tcp(meters, unit(1, meter_registers())):
        with agent(config, "--report-fd", str(write_end), pass_fds=(write_end,)):
            os.close(write_end)
            await logged(config, "gateway runs")
            await asyncio.sleep(4)
            lines = (await logged(config, "bus unavailable")).splitlines()
    reported = os.read(read_end, 1 << 16).decode().splitlines()
    os.close(read_end)
    for words in ("bus unavailable", "device broker unavailable", "centre's broker cannot be reached"):
        assert len([line for line in lines if words in line]) == 1, lines
    assert not [line for line in lines if "Traceback" in line]
    keys = [tuple(line.split()) for line in reported]
    assert {device for device, _ in keys} == {"b3-meter", "b3-level", "gw-test"}
    assert len(set(keys)) == len(keys) and accepted(config) >= len(keys)


@pytest.mark.slow
async def test_a_stop_commits_what_was_said_and_ends_within_five_seconds(tmp_path: Path) -> None:
    meters = free_port()
    with mosquitto(tmp_path) as broker:
        config = configure(tmp_path, meters=meters, devices=broker.port, centre=broker.port)
        async with pymodbus_tcp(meters, unit(1, meter_registers())):
            await stop_with_a_hung_broker(config, broker)
    assert "gateway ended" in (tmp_path / "agent.log").read_text()
    assert accepted(config) > 0


async def stop_with_a_hung_broker(config: Path, broker: Server) -> None:
    with agent(config) as process:
        await logged(config, "device broker connected")
        await logged(config, "connected to the centre's broker")
        broker.pause()
        await asyncio.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert time.monotonic() - began < 5
        broker.resume()


NO_NAMES = """
import socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from linli.cli import main
main()
"""


@pytest.mark.slow
async def test_a_stop_waits_for_no_name_server(tmp_path: Path) -> None:
    config = configure(tmp_path)
    with (tmp_path / "agent.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", NO_NAMES, "edge", "run", "--config", config], stdout=log, stderr=log)
    try:
        await logged(config, "gateway runs", 30)
        await logged(config, "bus unavailable", 30)  # the brokers' names are being looked up by then
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait(10)
    assert "Traceback" not in (tmp_path / "agent.log").read_text()


@pytest.mark.slow
async def test_a_second_agent_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    config = configure(tmp_path)
    with agent(config):
        await logged(config, "gateway runs")
        second = await asyncio.to_thread(
            subprocess.run, linli("edge", "run", "--config", str(config)), capture_output=True, text=True, timeout=20
        )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1 and "agent.lock is held" in second.stderr


@pytest.mark.slow
async def test_an_idle_agent_weighs_less_than_45_megabytes(tmp_path: Path) -> None:
    config = configure(tmp_path, listed="devices: []\n")
    with agent(config) as process:
        await logged(config, "gateway runs")
        await asyncio.sleep(2)
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 45_000_000


def test_check_says_what_is_configured_and_starts_nothing(tmp_path: Path) -> None:
    config = configure(tmp_path)
    checked = subprocess.run(linli("edge", "check", "--config", str(config)), capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0 and "gw-test: 3 devices, 2 buses, 1 device brokers" in checked.stdout
    assert not (tmp_path / "data").exists()


def test_a_wrong_configuration_is_refused_with_every_problem_before_anything_starts(tmp_path: Path) -> None:
    wrong = DEVICES.replace("eastron-sdm120", "eastron-sdm12O").replace("bus: rs485-1", "bus: rs485-2")
    config = configure(tmp_path, listed=wrong)
    (tmp_path / "site.key").chmod(0o644)
    refused = subprocess.run(linli("edge", "run", "--config", str(config)), capture_output=True, text=True, timeout=20)
    assert refused.returncode == 2
    for words in ("did you mean 'eastron-sdm120'?", "did you mean 'rs485-1'?", "chmod 600"):
        assert words in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
async def test_a_device_added_while_the_agent_runs_is_polled_without_a_restart(tmp_path: Path) -> None:
    """With the centre unreachable; the installer's read goes through the agent, between its polls."""
    meters = free_port()
    config = configure(tmp_path, meters=meters, listed="devices: []\n")
    add = ["device", "add", "--config", str(config), "--id", "b3-second", "--profile", "eastron-sdm120"]
    async with pymodbus_tcp(meters, unit(2, meter_registers())):
        with agent(config):
            await logged(config, "gateway runs")
            argv = linli(*add, "--bus", "meters", "--unit", "2", "--interval", "0.2", "--accept", "a test's registers")
            added = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=20)
            assert added.returncode == 0, added.stderr
            await logged(config, "devices replaced")
            async with asyncio.timeout(10):
                while "b3-second" not in devices_accepted(config):
                    await asyncio.sleep(0.1)
    assert "b3-second" in (tmp_path / "devices.yaml").read_text()


def devices_accepted(config: Path) -> set[str]:
    with closing(sqlite3.connect(config.parent / "data" / "outbox.db", timeout=5)) as outbox:
        bodies = [zlib.decompress(packed) for (packed,) in outbox.execute("SELECT body FROM " + ACCEPTED)]
    return {reading["device"] for body in bodies for reading in json.loads(b"[" + body + b"]")}
