"""A day in the demo community as one story: everything runs, everything is killed, everything goes on.

``linli up`` runs as its user runs it. The gateway reports every reading it has accepted on a pipe; the simulators log what
their devices really held and said. After a SIGKILL in the middle and a second start, the centre must hold exactly the
accepted readings, each once and true, and no alert twice.
"""

import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.truth import Truth
from simulators.verify import verify
from tests.community import EXPECTED, Community

ROUNDED_US = 2_000_000
"""How much before it was said a device's own clock may put a reading."""


@pytest.fixture
def community(tmp_path: Path) -> Iterator[Community]:
    with Community(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_every_accepted_reading_is_stored_once_and_true_and_no_alert_twice_after_a_kill(community: Community) -> None:
    community.start()
    began = time.monotonic()
    community.wait(lambda: community.alerts(), 60, "the first alert")
    community.wait(lambda: len(community.alerts()) >= 2, 60, "two alerts")
    community.end(signal.SIGKILL)
    community.start()
    community.wait(lambda: community.kinds() >= EXPECTED.keys(), 180, "the six alerts")
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
    start, end = min(at for _, at in accepted), max(at for _, at in accepted)
    within = [row for row in rows if row.at <= end - ROUNDED_US]  # the community goes on living while it is asked
    verdicts = verify(truth, within, start, end)
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
