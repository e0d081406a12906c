"""What the centre takes, everything real: `make bench NAME=delivery`; single works: `python -m bench.delivery small city`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from bench.delivery import agent, bare
from bench.delivery.backlog import DEVICES, INTERVAL_S
from bench.delivery.fleet import messages, refs
from bench.delivery.rig import Rig
from bench.report import Row, Work, run
from ingest.store import line_protocol
from telemetry import batch
from telemetry.batch import Lane
from tests.servers import influxdb, victoria_metrics

READINGS = 300
FLAT: dict[str, Any] = {"gateways": 50, "batches": 180, "readings": READINGS, "values": 5}
CITY = {"gateways": 2_200, "readings": 200, "values": 2, "rate": 180.0}
CITY_S = 360
"""So that five minutes and a half are measured: the summaries of a whole window of five are among them."""
BACKLOG_GATEWAYS, BACKLOG_HOURS = 100, 8.0
SMALL: dict[str, Any] = {"gateways": 100, "batches": 3_000, "readings": 1, "values": 2, "lane": "urgent"}
STORES = {"duckdb": "embedded store", "victoria": "VictoriaMetrics", "influx": "InfluxDB 1.6.7"}


@contextmanager
def server(store: str, folder: Path) -> Iterator[str]:
    """Where the store is, new and empty; the embedded one is nowhere."""
    if store == "duckdb":
        yield ""
    else:
        with (influxdb if store == "influx" else victoria_metrics)(folder) as running:
            yield running.url


def lines_file(folder: Path, store: str) -> Path:
    """The same readings that the fleet sends, as line protocol."""
    line = line_protocol.numeric_line if store == "victoria" else line_protocol.line
    folder.mkdir()
    path = folder / "lines"
    with path.open("w") as file:
        for ref in refs(FLAT["gateways"]):
            for message in messages(ref, FLAT["batches"], READINGS, FLAT["values"], Lane.BULK):
                file.writelines(line(ref, reading) + "\n" for reading in batch.decode(message).batch.readings)
    return path


def bare_rate(store: str, folder: Path, *how: str) -> float:
    """Values a second of the bare script. Raises ``RuntimeError`` when not all are there."""
    lines = lines_file(folder, store)
    with server(store, folder) as url:
        command = (sys.executable, bare.__file__, store, url or str(folder / "bare.duckdb"), str(lines), *how)
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)
    _expect(said["values"], f"the bare writer to {store}")
    return float(said["values"] / said["seconds"])


def flat(store: str, folder: Path) -> Iterator[Row]:
    """As fast as the centre acknowledges."""
    name = STORES[store]
    reached = bare_rate(store, folder / "bare")
    plain = None if store == "duckdb" else bare_rate(store, folder / "plain", "plain")
    with server(store, folder) as url:
        with Rig(folder / "centre", FLAT["gateways"], f"{store}:{url}/linli" if url else store) as rig:
            fleet = rig.fleet(**FLAT)
            before = rig.parts_cpu_s()
            fleet.begin()
            said = fleet.result()
            cpu_s = {part: spent - before[part] for part, spent in rig.parts_cpu_s().items()} | {"fleet": said["cpu_s"]}
        found = bare.counted(store, url, "linli") if url else _points(folder / "centre" / "data" / "telemetry.duckdb")
    _expect(found, f"the centre with {name}")
    seconds, readings = said["seconds"], found / FLAT["values"]
    yield Row(f"flat out, {name}: bare writer", reached, "values/s")
    yield Row(f"flat out, {name}: acknowledged", found / seconds, "values/s")
    yield Row(f"flat out, {name}: of the bare writer", found / seconds / reached, "", 0.8)
    if plain:
        yield Row(f"flat out, {name}: bare writer, not deflated", plain, "values/s")
        yield Row(f"flat out, {name}: of the bare writer, not deflated", found / seconds / plain, "")
    yield Row(f"flat out, {name}: for a core of the ingester", found / cpu_s["centre"], "values/s", 300_000)
    for part, spent in cpu_s.items():
        yield Row(f"flat out, {name}: CPU for each reading, {part}", spent / readings * 1e6, "us")
    cores = os.cpu_count() or 1
    yield Row(f"flat out, {name}: of all cores, these parts", 100 * sum(cpu_s.values()) / seconds / cores, "%")
    yield Row(f"flat out, {name}: most that all cores could give", cores * found / sum(cpu_s.values()), "values/s")


def city(folder: Path) -> Iterator[Row]:
    """Each gateway's first batch is left out: it makes every series, which happens once in years."""
    batches = round(CITY_S * CITY["rate"] / CITY["gateways"]) + 1
    with Rig(folder, int(CITY["gateways"])) as rig:
        fleet = rig.fleet(int(CITY["gateways"]), batches, int(CITY["readings"]), int(CITY["values"]), CITY["rate"])
        fleet.begin()
        time.sleep(CITY["gateways"] / CITY["rate"] + 10)
        begun, before, memory, readings = time.monotonic(), rig.cpu_s(), [rig.memory_mb()], rig.metric("linli_readings_total")
        looks = [(begun, before)]
        while fleet.running and time.monotonic() - begun < CITY_S - 25:
            time.sleep(5)
            memory.append(rig.memory_mb())
            looks.append((time.monotonic(), rig.cpu_s()))
        took, cpu_s = looks[-1][0] - begun, looks[-1][1] - before
        readings = rig.metric("linli_readings_total") - readings
        delays = fleet.result()
    half = len(memory) // 2
    yield Row("the city: readings", readings / took, "/s", 35_500)
    yield Row("the city: of a core", 100 * cpu_s / took, "%", 30, at_least=False)
    shares = [(spent - earlier) / (at - then) for (then, earlier), (at, spent) in pairwise(looks)]
    yield Row("the city: of a core, the dearest five seconds", 100 * max(shares), "%")
    yield Row("the city: sent to acknowledged, 99th percentile", delays["p99_s"], "s")
    yield Row("the city: memory at its largest", max(memory), "MB")
    yield Row("the city: memory grown in the second half", max(memory[half:]) - max(memory[:half]), "MB", 10, at_least=False)


def small(folder: Path) -> Iterator[Row]:
    """One reading a message."""
    with Rig(folder, SMALL["gateways"]) as rig:
        fleet = rig.fleet(**SMALL)
        before = rig.cpu_s()
        fleet.begin()
        said = fleet.result()
        cpu_s = rig.cpu_s() - before
        found = rig.metric("linli_readings_total")
    yield Row("one reading a message: acknowledged", found / said["seconds"], "/s", 15_000)
    yield Row("one reading a message: CPU for each", cpu_s / found * 1e6, "us")


def backlog(folder: Path) -> Iterator[Row]:
    """Eight hours of a hundred gateways, while they go on living."""
    with Rig(folder, BACKLOG_GATEWAYS) as rig:
        fleet = rig.backlog(BACKLOG_GATEWAYS, BACKLOG_HOURS)
        before = rig.cpu_s()
        fleet.begin()
        said = fleet.result()
        cpu_s = rig.cpu_s() - before
        found = rig.metric("linli_readings_total")
    live = BACKLOG_GATEWAYS * DEVICES / INTERVAL_S
    yield Row("8 h of backlog, 100 gateways: readings", found, "")
    yield Row("8 h of backlog: drained", found / said["seconds"], "/s")
    yield Row("8 h of backlog: of the live rate", found / said["seconds"] / live, "x", 5)
    yield Row("8 h of backlog: CPU for each reading", cpu_s / found * 1e6, "us")
    yield Row("8 h of backlog: live batch, sealed to acknowledged, p99", said["bulk_p99_s"], "s", 2, at_least=False)
    yield Row("8 h of backlog: urgent event, to acknowledged, median", said["urgent_p50_s"], "s")
    yield Row("8 h of backlog: urgent event, to acknowledged, p99", said["urgent_p99_s"], "s", 0.2, at_least=False)


def _points(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as file:
        (count,) = file.execute("SELECT count(*) FROM point").fetchall()[0]
        return int(count)


def _expect(found: float, whose: str) -> None:
    wanted = FLAT["gateways"] * FLAT["batches"] * READINGS * FLAT["values"]
    if found != wanted:
        raise RuntimeError(f"{whose}: {found:,.0f} values are there, not {wanted:,}")


WORKS: dict[str, Work] = {
    "flat-duckdb": lambda folder: flat("duckdb", folder),
    "flat-victoria": lambda folder: flat("victoria", folder),
    "flat-influx": lambda folder: flat("influx", folder),
    "small": small,
    "city": city,
    "backlog": backlog,
    "reconnect": agent.reconnect,
    "hour": agent.hour_of_backlog,
    "written": agent.written,
}


if __name__ == "__main__":
    sys.exit(run(WORKS, sys.argv[1:], Path(__file__).with_name("results.json"), {"duckdb": duckdb.__version__}))
