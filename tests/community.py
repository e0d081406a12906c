"""``linli up`` as its user runs it, for the tests and the benchmarks: a process of its own, asked through its API."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from simulators.stored import Readings
from simulators.verify import Stored
from tests.servers import free_port

TOKEN = "a-token-for-this-test-alone"
EXPECTED = {
    "door_forced": "access",
    "door_held_open": "access",
    "fire_lane_occupied": "camera",
    "plate_blacklist": "parking",
    "sump_high": "environment",
    "device_offline": "system",
}
"""What the demo's story raises at least, with its family."""


class Accepted:
    """Collects the keys that the gateway reports, over as many starts as there are."""

    def __init__(self) -> None:
        readable, self.descriptor = os.pipe()
        self.keys: list[tuple[str, int]] = []
        self._lines = os.fdopen(readable)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        for line in self._lines:
            device, at = line.split()
            self.keys.append((device, int(at)))

    def finish(self) -> None:
        os.close(self.descriptor)
        self._thread.join(10)
        self._lines.close()


class Community:
    """``linli up`` as a process, with more ``words`` on its command line; leaving the block kills what is left of it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.words = words
        self.port = free_port()
        self.accepted = Accepted()
        self.log = folder / "up.log"
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "linli", "up", "--data", str(self.folder / "data"), "--port", str(self.port)]
        command += ["--token", TOKEN, "--report-fd", str(self.accepted.descriptor), *self.words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[self.accepted.descriptor])

    def __enter__(self) -> "Community":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.api.close()
        self.accepted.finish()

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def end(self, how: signal.Signals) -> float:
        """Sends a signal to ``linli up`` alone; how many seconds until every process of it was gone."""
        assert self.process is not None
        family, began = self.family(), time.monotonic()
        self.process.send_signal(how)
        self.process.wait(20)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, f"outlived linli up: {[process.cmdline() for process in alive]}"
        return time.monotonic() - began

    def devices(self) -> list[dict[str, Any]]:
        return self._items("/api/v1/devices")

    def alerts(self) -> list[dict[str, Any]]:
        return self._items("/api/v1/alerts?limit=500")

    def _items(self, path: str) -> list[dict[str, Any]]:
        """Nothing while the API does not answer."""
        try:
            return list(self.api.get(path).raise_for_status().json()["items"])
        except httpx.HTTPError:
            return []

    def unsent(self) -> float:
        try:
            gateways = self.api.get("/api/v1/gateways").json()["items"]
            return max(float(gateway["oldest_unsent_s"] or 0.0) for gateway in gateways)
        except (httpx.HTTPError, ValueError):
            return float("inf")

    def stored(self, devices: set[str]) -> list[Stored]:
        readings = Readings(f"http://127.0.0.1:{self.port}", TOKEN)
        now = int(time.time())
        start, end = (now - 3600) * 1_000_000, (now + 60) * 1_000_000
        try:
            return [row for device in sorted(devices) for row in readings.of(device, start, end)]
        finally:
            readings.close()

    def kinds(self) -> set[str]:
        return {alert["kind"] for alert in self.alerts()}

    def wait(self, condition: Callable[[], object], within_s: float, what: str) -> None:
        give_up = time.monotonic() + within_s
        while not condition():
            logs = sorted((self.folder / "data" / "logs").glob("*.log"))
            assert time.monotonic() < give_up, f"{what}: not within {within_s} s\n" + "\n".join(
                f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in [self.log, *logs]
            )
            time.sleep(0.25)
