"""What the gateway costs and keeps up with: `make bench NAME=edge`, about twenty-five minutes.

CPU and memory are of the agent process alone, outbox and uplink included; broker, centre and generators are processes of
their own on the same machine. A poll is one request of 30 registers, 20 values, about 500 bytes of JSON before deflation.
"""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from bench.edge.line import limit_s
from bench.edge.peer import VERSION, Peer, installed
from bench.edge.rig import BAUD, POINTS, Rig
from bench.edge.slave import REGISTERS
from bench.report import Row, Work, run
from telemetry import __version__

WARM_S, STEADY_S = 10, 60
PERIODS_S, FLAT_S, FILL_S = 600, 300, 60
"""Until caches are full (SQLite keeps 2 MB of pages), memory is not yet what it stays."""
ROOMS = 100
PEER_WARM_S = 20
PEER_FOLDER = Path(".bench-peer")


@contextmanager
def rig(folder: Path, interval_s: float = 1.0) -> Iterator[Rig]:
    made = Rig(folder, interval_s)
    try:
        yield made
    finally:
        made.stop()


def steady(folder: Path) -> Iterator[Row]:
    with rig(folder) as made:
        made.start(50)
        time.sleep(WARM_S)
        cpu, count, began = made.cpu_s(), len(made.accepted), time.monotonic()
        time.sleep(PERIODS_S)
        seconds, polls = time.monotonic() - began, len(made.accepted) - count
        yield Row("50 units x 20 points, 1 s: requests", polls / seconds, "/s", 49.5)
        yield Row(
            "50 units x 20 points, 1 s: CPU a 1,000 values",
            (made.cpu_s() - cpu) / (polls * POINTS) * 1e6,
            "ms",
            50,
            at_least=False,
        )
        yield Row("50 units x 20 points, 1 s: resident memory", made.memory() / 1e6, "MB", 60, at_least=False)
        yield from periods(made.accepted[count:])


def periods(accepted: list[tuple[str, int]]) -> Iterator[Row]:
    """Of the instants of the readings themselves: the median period, and how late a poll came on its own grid."""
    instants: dict[str, list[int]] = defaultdict(list)
    for device, at in accepted:
        if device.startswith("meter-"):
            instants[device].append(at)
    gaps = [after - before for ats in instants.values() for before, after in pairwise(ats)]
    late = []
    for ats in instants.values():
        phases = [(at - ats[0]) % 1_000_000 for at in ats]
        phases = [phase - 1_000_000 if phase > 500_000 else phase for phase in phases]
        earliest = min(phases)
        late += [phase - earliest for phase in phases]
    off = abs(statistics.median(gaps) - 1e6) / 1e6 * 100
    yield Row("poll period, 1 s: median off by", off, "%", 0.1, at_least=False)
    yield Row(
        "poll period, 1 s: lateness, 99th percentile", statistics.quantiles(late, n=100)[98] / 1e3, "ms", 20, at_least=False
    )


def fast(folder: Path) -> Iterator[Row]:
    with rig(folder, 0.1) as made:
        made.start(50)
        time.sleep(FILL_S)
        cpu, count, memory, began = made.cpu_s(), len(made.accepted), made.memory(), time.monotonic()
        time.sleep(FLAT_S)
        seconds, polls = time.monotonic() - began, len(made.accepted) - count
        yield Row("50 units x 20 points, 0.1 s: values", polls * POINTS / seconds, "/s", 9_500)
        yield Row("50 units x 20 points, 0.1 s: CPU a 1,000 values", (made.cpu_s() - cpu) / (polls * POINTS) * 1e6, "ms")
        yield Row(
            "50 units x 20 points, 0.1 s: memory grown in 5 minutes", (made.memory() - memory) / 1e6, "MB", 2, at_least=False
        )


def one_silent(folder: Path) -> Iterator[Row]:
    with rig(folder) as made:
        made.start(50, dead=7)
        time.sleep(WARM_S)
        count, began = len(made.accepted), time.monotonic()
        time.sleep(STEADY_S)
        seconds = time.monotonic() - began
        polls = sum(device != "meter-007" for device, _ in made.accepted[count:])
        yield Row("same, one unit silent: polls kept of the other 49", polls / (49 * seconds) * 100, "%", 99)


def serial_line(folder: Path) -> Iterator[Row]:
    with rig(folder, 0.1) as made:
        made.start(0, serial=10)
        time.sleep(WARM_S)
        count, began = len(made.accepted), time.monotonic()
        time.sleep(STEADY_S)
        rate = (len(made.accepted) - count) / (time.monotonic() - began)
        yield Row("RTU at 9,600 baud, 10 units: of the frame-time limit", rate * limit_s(REGISTERS, BAUD) * 100, "%", 95)


def mixed(folder: Path) -> Iterator[Row]:
    with rig(folder, 5.0) as made:
        made.start(100, serial=10, devices=rooms(90))
        time.sleep(WARM_S)
        made.flood(90, 900)
        cpu, began = made.cpu_s(), time.monotonic()
        time.sleep(STEADY_S)
        yield Row("200 units, TCP, RTU and MQTT, 5 s: resident memory", made.memory() / 1e6, "MB", 60, at_least=False)
        yield Row("200 units, TCP, RTU and MQTT, 5 s: of a core", (made.cpu_s() - cpu) / (time.monotonic() - began) * 100, "%")


def peer(folder: Path) -> Iterator[Row]:
    """ThingsBoard's gateway on the same slave, in memory and without an outbox on disk."""
    python = installed(PEER_FOLDER.absolute())
    if python is None:
        print("the peer cannot be installed here; its rows are left out")
        return
    for form, ranges in (("an entry a point", False), ("an entry for 20 addresses", True)):
        with running(Peer(python, folder / form.replace(" ", "-"), 50, ranges=ranges)) as made:
            rate, cpu_s, memory = made.measure(PEER_WARM_S, STEADY_S)
            yield Row(f"peer, {form}: values", rate, "/s")
            yield Row(f"peer, {form}: CPU a 1,000 values", cpu_s * 1e3, "ms")
            yield Row(f"peer, {form}: resident memory", memory / 1e6, "MB")
    with running(Peer(python, folder / "one-silent", 50, dead=7)) as made:
        rate, _, _ = made.measure(PEER_WARM_S, STEADY_S, without="meter-007")
        yield Row("peer, one unit silent: values kept of the other 49", rate / (49 * POINTS) * 100, "%")


@contextmanager
def running(made: Peer) -> Iterator[Peer]:
    try:
        yield made
    finally:
        made.stop()


def idle(folder: Path) -> Iterator[Row]:
    with rig(folder) as made:
        made.start(0)
        time.sleep(WARM_S)
        cpu, began = made.cpu_s(), time.monotonic()
        time.sleep(STEADY_S)
        yield Row("idle: resident memory", made.memory() / 1e6, "MB", 45, at_least=False)
        yield Row("idle: of a core", (made.cpu_s() - cpu) / (time.monotonic() - began) * 100, "%", 1, at_least=False)


def rooms(count: int) -> list[dict[str, object]]:
    return [
        {"id": f"room-{n:03}", "profile": "zigbee2mqtt-climate", "address": {"broker": "devices", "topic": {"name": f"room{n}"}}}
        for n in range(count)
    ]


def messages(folder: Path) -> Iterator[Row]:
    with rig(folder) as made:
        made.start(0, devices=rooms(ROOMS))
        time.sleep(WARM_S)
        count, wanted = len(made.accepted), 40_000
        cpu, began = made.cpu_s(), time.monotonic()
        made.flood(ROOMS, wanted)
        made.wait_for(count + wanted, 60)
        seconds, taken = time.monotonic() - began, len(made.accepted) - count
        yield Row("MQTT in, QoS 1, committed before acknowledged", taken / seconds, "/s", 4_000)
        yield Row("MQTT in: CPU a 1,000 messages", (made.cpu_s() - cpu) / taken * 1e6, "ms")
        yield Row("MQTT in: accepted of what was published", taken / wanted * 100, "%", 99.9)


WORKS: dict[str, Work] = {
    work.__name__.replace("_", "-"): work for work in (idle, steady, peer, fast, one_silent, serial_line, mixed, messages)
}


if __name__ == "__main__":
    file = Path(__file__).with_name("results.json")
    sys.exit(run(WORKS, sys.argv[1:], file, {"linli": __version__, "thingsboard-gateway": VERSION}))
