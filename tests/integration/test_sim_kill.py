"""The simulator as a process: killed in the middle of its story and started again, it repeats nothing and is found again."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from linli.paths import config_dir
from simulators import Truth
from tests.servers import Server, free_port, mosquitto

PATIENCE_S = 30.0


def start(broker: Server, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "linli", "sim", "run", str(config_dir() / "demo" / "world.yaml"), "--speed", "60"]
    command += [
        "--broker",
        broker.url,
        "--run-dir",
        str(folder / "run"),
        "--truth",
        str(folder / "truth.jsonl"),
        "--port",
        f"meters={port}",
    ]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_simulator_goes_on_where_its_clock_is_and_says_nothing_twice(tmp_path: Path) -> None:
    truth_file, port = tmp_path / "truth.jsonl", free_port()

    def lane() -> list[tuple[object, object]]:
        """Object and event of what the camera has said; one object is in view at a time."""
        events = Truth.load(truth_file).events("north-fire-lane") if truth_file.exists() else []
        return [(event.values["object"], event.values["event"]) for event in events]

    with mosquitto(tmp_path) as broker:
        first = start(broker, tmp_path, port)
        until(lambda: len(lane()) >= 2)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        second = start(broker, tmp_path, port)
        try:
            until(lambda: "gone" in dict(lane()).values())
            assert (tmp_path / "run" / "rs485-1").is_char_device()
        finally:
            second.terminate()
            assert second.wait(10) == 0
    assert not (tmp_path / "run" / "rs485-1").is_symlink()
    said = [pair for pair in lane() if pair[1] != "updated"]
    assert len(said) == len(set(said))
    assert said[:2] == [(said[0][0], "appeared"), (said[0][0], "gone")]
    plates = [event.at for event in Truth.load(truth_file).events("south-gate-plates")]
    assert len(plates) == len(set(plates))
