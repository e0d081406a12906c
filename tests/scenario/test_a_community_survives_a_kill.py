"""A day in the demo community as one story: everything runs, everything is killed, everything goes on.

``linli up`` runs as its user runs it. The gateway reports every reading it has accepted on a pipe; the simulators log what
their devices really held and said. After a SIGKILL in the middle and a second start, the centre must hold exactly the
accepted readings, each once and true, and no alert twice.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from simulators.stored import Readings
from simulators.truth import Truth
from simulators.verify import Stored, verify
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
    """``linli up`` as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.accepted = Accepted()
        self.log = folder / "up.log"
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "linli", "up", "--data", str(self.folder / "data"), "--port", str(self.port)]
        command += ["--token", TOKEN, "--report-fd", str(self.accepted.descriptor)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[self.accepted.descriptor])

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

    def alerts(self) -> list[dict[str, Any]]:
        try:
            return list(self.api.get("/api/v1/alerts", params={"limit": 500}).json()["items"])
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

    def wait(self, condition: Callable[[], object], within_s: float, what: str) -> None:
        give_up = time.monotonic() + within_s
        while not condition():
            logs = sorted((self.folder / "data" / "logs").glob("*.log"))
            assert time.monotonic() < give_up, f"{what}: not within {within_s} s\n" + "\n".join(
                f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in [self.log, *logs]
            )
            time.sleep(0.25)


@pytest.fixture
def community(tmp_path: Path) -> Iterator[Community]:
    made = Community(tmp_path)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        made.api.close()
        with contextlib.suppress(OSError):
            made.accepted.finish()


@pytest.mark.slow
def test_every_accepted_reading_is_stored_once_and_true_and_no_alert_twice_after_a_kill(community: Community) -> None:
    community.start()
    began = time.monotonic()
    community.wait(lambda: community.alerts(), 60, "the first alert")
    community.wait(lambda: len(community.alerts()) >= 2, 60, "two alerts")
    community.end(signal.SIGKILL)
    community.start()
    community.wait(lambda: {alert["kind"] for alert in community.alerts()} >= EXPECTED.keys(), 180, "the six alerts")
    assert time.monotonic() - began < 180
    community.wait(lambda: any(alert["state"] != "open" for alert in community.alerts()), 60, "an alert that clears")
    community.wait(lambda: time.monotonic() - began > 130, 180, "the end of the story")
    assert community.end(signal.SIGINT) < 5.0

    community.start()  # a third time, to drain what the end left and to ask
    community.wait(lambda: community.unsent() < 15, 60, "an outbox that is drained")
    settled = len(community.accepted.keys)
    accepted = Counter(community.accepted.keys[:settled])
    community.wait(
        lambda: accepted.keys() <= {(row.device, row.at) for row in community.stored({d for d, _ in accepted})}, 30, "all"
    )

    rows = community.stored({device for device, _ in accepted})
    assert max(accepted.values()) == 1, "a key was used twice"
    once = Counter((row.device, row.at, row.metric) for row in rows)
    assert max(once.values()) == 1, "a reading is stored twice"

    truth = Truth.load(community.folder / "data" / "truth.jsonl")
    verdicts = verify(truth, rows, min(at for _, at in accepted), max(at for _, at in accepted))
    assert sum(verdict.values for verdict in verdicts) > 200
    assert [difference for verdict in verdicts for difference in verdict.differences] == []

    alerts = community.alerts()
    assert {alert["kind"]: alert["family"] for alert in alerts}.items() >= EXPECTED.items()
    episodes = Counter((alert["kind"], alert["device"], alert["opened_at"]) for alert in alerts)
    assert max(episodes.values()) == 1
    first_story = Counter(alert["kind"] for alert in alerts)
    assert {kind: first_story[kind] for kind in EXPECTED} == dict.fromkeys(EXPECTED, 1), "an alert was raised twice"
    community.end(signal.SIGTERM)


def test_a_port_in_use_is_said_in_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "linli", "up", "--data", str(tmp_path / "data"), "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert (
        result.stderr.strip()
        == f"error: --port: {port}: cannot listen on 127.0.0.1: Address already in use (choose another with --port)"
        or (f"{port}" in result.stderr and len(result.stderr.strip().splitlines()) == 1)
    )


def test_check_validates_everything_and_starts_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "linli", "up", "--check", "--data", str(tmp_path / "data")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert not (tmp_path / "data").exists()
