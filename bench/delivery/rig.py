"""A centre under test with everything around it real: broker, store, and a fleet, each a process of its own."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.delivery.fleet import gateways_file
from tests.community import TOKEN
from tests.servers import Server, free_port, mosquitto

CENTRE = """
broker: {{url: "{url}"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: ["{rules}"]
store: "{store}"
api: {{port: {port}}}
data: data
"""

SERVERS = {"mosquitto": "broker", "influxd": "server", "victoria-metrics": "server"}
"""Processes beside the centre, by their names."""
BROKER = "allow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_type none\n"


class Rig:
    """``store`` as ``centre.yaml`` names it. ``rules``: a file or folder, else none. ``TOKEN`` opens the API at ``port``."""

    def __init__(self, folder: Path, gateways: int, store: str = "duckdb", rules: Path = Path("rules.yaml")) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.broker: Server = mosquitto(folder, settings=BROKER)
        self.broker.start()
        self.port = free_port()
        (folder / "rules.yaml").write_text("rules: []\n")
        (folder / "centre.yaml").write_text(CENTRE.format(url=self.broker.url, store=store, port=self.port, rules=rules))
        (folder / "gateways.yaml").touch(0o600)
        (folder / "gateways.yaml").write_text(gateways_file(gateways))
        with (folder / "centre.log").open("wb") as log:
            command = (sys.executable, "-m", "linli", "ingest", "run", "--config", str(folder / "centre.yaml"))
            self._centre = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "LINLI_TOKEN": TOKEN})
        self.centre = psutil.Process(self._centre.pid)
        self._wait()

    def fleet(self, gateways: int, batches: int, readings: int, values: int, rate: float = 0, lane: str = "bulk") -> "FleetRun":
        """Made, connected, and waiting to begin."""
        return FleetRun("fleet", (self.broker.port, gateways, batches, readings, values, rate, lane))

    def backlog(self, gateways: int, hours: float) -> "FleetRun":
        """The same of gateways that were away."""
        return FleetRun("backlog", (self.broker.port, gateways, hours))

    def cpu_s(self) -> float:
        """Processor time of the centre so far, all threads."""
        times = self.centre.cpu_times()
        return float(times.user + times.system)

    def parts_cpu_s(self) -> dict[str, float]:
        """Processor time so far of the centre, the broker and a store's server; a fleet tells its own."""
        found = {"centre": self.cpu_s()}
        for process in psutil.Process().children():
            name = process.name()
            if name in SERVERS:
                times = process.cpu_times()
                found[SERVERS[name]] = float(times.user + times.system)
        return found

    def memory_mb(self) -> float:
        return float(self.centre.memory_info().rss / 1e6)

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def stop(self) -> None:
        self._centre.terminate()
        try:
            self._centre.wait(30)
        except subprocess.TimeoutExpired:
            self._centre.kill()
            self._centre.wait(10)
        self.broker.kill()

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def _wait(self) -> None:
        give_up = time.monotonic() + 60
        while "connected to the broker" not in (self.folder / "centre.log").read_text():
            if self._centre.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError((self.folder / "centre.log").read_text())
            time.sleep(0.05)


class FleetRun:
    """A fleet process: ``begin``, and ``result`` when all is acknowledged."""

    def __init__(self, module: str, arguments: Sequence[object]) -> None:
        command = (sys.executable, "-m", f"bench.delivery.{module}", *map(str, arguments))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}
        )
        self._said()

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> dict[str, float]:
        said = self._said()
        self._process.wait(10)
        return said

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fleet ended early")
        said: dict[str, Any] = json.loads(line)
        return said
