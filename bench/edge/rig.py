"""A gateway under test with everything around it real: broker, centre, and generators, each a process of its own.

What the gateway accepted is read from its report pipe, so that the generators' own figures do not count.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from ingest import gateways
from tests.servers import Server, free_port, mosquitto

BAUD = 9_600
COMMUNITY, GATEWAY, KEY = "411202002001", "gw-bench", "11" * 32
FLOATS = (
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "active_power_l1",
    "active_power_l2",
    "active_power_l3",
    "active_power",
)
WHOLES = (
    "voltage",
    "current",
    "apparent_power",
    "reactive_power",
    "frequency",
    "apparent_power_l1",
    "apparent_power_l2",
    "apparent_power_l3",
    "reactive_power_l1",
    "reactive_power_l2",
)
UNITS = {"voltage": "V", "current": "A", "active": "W", "apparent": "VA", "reactive": "var", "frequency": "Hz"}
POINTS = len(FLOATS) + len(WHOLES)


def profile(interval_s: float) -> str:
    """A meter of 20 adjacent points of mixed types, read in one request."""
    lines = ["id: bench-meter", "kind: energy", "vendor: bench", "model: 20 points", "name: {zh: 测试表, en: Bench meter}"]
    lines += ["confidence: single", "sources: [none]", "modbus:", "  link: {baud: 9600, parity: N, stop_bits: 1, unit_id: 1}"]
    lines += [f"  interval_s: {interval_s}", "  max_registers: 60", "points:"]
    for n, name in enumerate(FLOATS):
        lines.append(f"  {name}: {{unit: {_unit(name)}, modbus: {{table: holding, address: {2 * n}, type: float32}}}}")
    for n, name in enumerate(WHOLES):
        place = f"{{table: holding, address: {20 + n}, type: int16}}"
        lines.append(f"  {name}: {{unit: {_unit(name)}, scale: 0.1, modbus: {place}}}")
    lines += ["examples:", "  vectors:", "  - {origin: computed, point: voltage, words: [1000], gives: 100.0}"]
    return "\n".join(lines) + "\n"


def _unit(name: str) -> str:
    return UNITS[name.split("_")[0]]


class Rig:
    """``accepted`` are (device, at) of every reading committed since the start."""

    def __init__(self, folder: Path, interval_s: float = 1.0) -> None:
        self.folder = folder
        self.accepted: list[tuple[str, int]] = []
        self.broker: Server = mosquitto(folder, settings="allow_anonymous true\nmax_queued_messages 100000\n")
        self.meters_port = free_port()
        self._interval_s = interval_s
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, units: int, *, dead: int = 0, serial: int = 0, devices: Sequence[dict[str, object]] = ()) -> None:
        """``units`` on Modbus TCP, of which ``dead`` is silent; ``serial`` more on a line of ``BAUD``; ``devices`` by MQTT."""
        self.broker.start()
        self._write(units, serial, devices)
        if units:
            self._run("bench.edge.slave", str(self.meters_port), str(units), str(dead))
        if serial:
            self._run("bench.edge.line", str(self.folder / "line"), str(serial), str(BAUD))
        self._run("linli", "ingest", "run", "--config", str(self.folder / "centre.yaml"))
        readable, writable = os.pipe()
        threading.Thread(target=self._collect, args=(readable,), daemon=True).start()
        command = ("linli", "edge", "run", "--config", str(self.folder / "gateway.yaml"), "--report-fd", str(writable))
        self.agent = psutil.Process(self._run(*command, pass_fds=(writable,)).pid)
        os.close(writable)

    def flood(self, devices: int, messages: int) -> None:
        self._run("bench.edge.flood", str(self.broker.port), str(devices), str(messages)).wait()

    def cpu_s(self) -> float:
        """CPU seconds of the agent alone, its threads included."""
        times = self.agent.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        return int(self.agent.memory_info().rss)

    def wait_for(self, count: int, within_s: float) -> bool:
        give_up = time.monotonic() + within_s
        while len(self.accepted) < count and time.monotonic() < give_up:
            time.sleep(0.02)
        return len(self.accepted) >= count

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(15)
        self.broker.kill()

    def _run(self, module: str, *words: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{module}-{len(self._processes)}.log").open("wb")
        with log:
            process = subprocess.Popen([sys.executable, "-m", module, *words], stdout=log, stderr=log, pass_fds=pass_fds)
        self._processes.append(process)
        return process

    def _collect(self, readable: int) -> None:
        with os.fdopen(readable) as lines:
            for line in lines:
                device, at = line.split()
                self.accepted.append((device, int(at)))

    def _write(self, units: int, serial: int, devices: Sequence[dict[str, object]]) -> None:
        folder, url = self.folder, self.broker.url
        (folder / "profiles").mkdir()
        (folder / "profiles" / "bench-meter.yaml").write_text(profile(self._interval_s))
        (folder / "site.key").write_text(KEY)
        (folder / "site.key").chmod(0o600)
        gateway: dict[str, Any] = {
            "gateway": {"id": GATEWAY, "community": COMMUNITY},
            "centre": {"broker": {"url": url}, "key_file": "site.key"},
            "privacy": {"key_file": "site.key"},
            "profiles": ["profiles"],
            "buses": [{"type": "modbus-tcp", "id": "meters", "host": "127.0.0.1", "port": self.meters_port, "timeout_s": 0.2}],
            "brokers": [{"id": "devices", "url": url}],
            "health_interval_s": 60,
        }
        if serial:
            gateway["buses"].append({"type": "modbus-rtu", "id": "line", "port": str(folder / "line"), "baud": BAUD})
        ends = [("meter", "meters", unit) for unit in range(1, units + 1)] + [
            ("serial", "line", unit) for unit in range(1, serial + 1)
        ]
        meters = [
            {"id": f"{name}-{unit:03}", "profile": "bench-meter", "address": {"bus": bus, "unit_id": unit}}
            for name, bus, unit in ends
        ]
        (folder / "gateway.yaml").write_text(json.dumps(gateway))
        (folder / "devices.yaml").write_text(json.dumps({"devices": [*meters, *devices]}))
        (folder / "rules.yaml").write_text("rules: []\n")
        gateways.add(folder / "gateways.yaml", gateways.GatewayEntry(community=COMMUNITY, id=GATEWAY, key=KEY, site_key=KEY))
        centre = {"broker": {"url": url}, "gateways_file": "gateways.yaml", "tokens_file": "tokens.yaml", "rules": ["rules.yaml"]}
        centre |= {"data": "centre", "api": {"host": "127.0.0.1", "port": free_port()}}
        (folder / "centre.yaml").write_text(json.dumps(centre))
