"""The figures that the demo and the gateway are held to: `make bench NAME=demo`.

Wall times include the start of four Python programs on the machine at hand; memory is resident memory of one process.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.report import Row, publish
from edge.outbox import Outbox
from telemetry import __version__
from telemetry.batch import Lane
from telemetry.metric import Kind, Value
from telemetry.reading import Micros, Reading
from tests.community import EXPECTED, Community

START = 1_790_000_000_000_000
IDLE = """
gateway: {id: gw-idle, community: "411202002001"}
centre: {broker: {url: "mqtt://127.0.0.1:1"}, key_file: gateway.key}
privacy: {key_file: gateway.key}
"""


def idle_memory(folder: Path) -> Row:
    """The gateway agent with no device and no centre, ten seconds after its start."""
    folder.mkdir()
    (folder / "gateway.yaml").write_text(IDLE)
    (folder / "gateway.key").write_text("11" * 32)
    (folder / "gateway.key").chmod(0o600)
    command = [sys.executable, "-m", "linli", "edge", "run", "--config", str(folder / "gateway.yaml")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(10)
        memory = psutil.Process(process.pid).memory_info().rss
        process.terminate()
    return Row("gateway agent, idle: resident memory", memory / 1e6, "MB", 45, at_least=False)


def bytes_written(folder: Path, per_commit: int, bar: float) -> Row:
    """What the outbox makes the kernel write for a reading of two values, acknowledged every ten commits."""
    outbox = Outbox.open(folder / f"outbox-{per_commit}.db", gateway="gw-bench", now=Micros(START))
    chance, written, readings, now = random.Random(1), _written(), 0, START
    while readings < 20_000:
        now += 1_000_000
        outbox.append([_reading(now + n, n, chance) for n in range(per_commit)], Lane.BULK, Micros(now))
        readings += per_commit
        if now % 10_000_000 == 0:
            for span in outbox.spans():
                outbox.acknowledge(span.epoch, span.lane, span.last, Micros(now))
    outbox.close()
    return Row(
        f"outbox, {per_commit} readings a commit: written", (_written() - written) / readings, "B/reading", bar, at_least=False
    )


def _reading(at: int, n: int, chance: random.Random) -> Reading:
    values: dict[str, Value] = {"temperature": round(20 + chance.gauss(0, 1), 1), "humidity": round(50 + chance.gauss(0, 3), 1)}
    return Reading(device=f"room-{n % 40:03}", kind=Kind.ENVIRONMENT, at=at, values=values)


def _written() -> int:
    return int(psutil.Process().io_counters().write_bytes)


def demo(folder: Path) -> list[Row]:
    """``linli up`` from its start to Ctrl-C."""
    with Community(folder) as community:
        began = time.monotonic()
        community.start()
        community.wait(community.devices, 60, "devices")
        shown = time.monotonic() - began
        community.wait(lambda: community.kinds() >= EXPECTED.keys(), 180, "six alerts")
        raised = time.monotonic() - began
        memory = {_name(process): process.memory_info().rss for process in community.family()[1:]}
        ended = community.end(signal.SIGINT)
    return [
        Row("linli up: from start to devices in the table", shown, "s", 60, at_least=False),
        Row("linli up: from start to the six alerts", raised, "s", 180, at_least=False),
        Row("linli up: from Ctrl-C to the end of every process", ended, "s", 5, at_least=False),
        *(Row(f"linli up: resident memory, {name}", rss / 1e6, "MB") for name, rss in sorted(memory.items())),
    ]


def _name(process: psutil.Process) -> str:
    """``edge``, ``ingest``, ``sim`` or the broker's module."""
    words = process.cmdline()
    return words[words.index("-m") + 2] if words[words.index("-m") + 1] == "linli" else "broker"


def main() -> int:
    folder = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".bench-"))  # beside the project: /tmp may be memory
    try:
        rows = [idle_memory(folder / "idle"), bytes_written(folder, 30, 600), bytes_written(folder, 200, 200), *demo(folder)]
    finally:
        shutil.rmtree(folder)
    return publish(rows, Path(__file__).with_name("results.json"), {"linli": __version__})


if __name__ == "__main__":
    sys.exit(main())
