"""How fast the telemetry stores take readings: `make bench NAME=store`."""

import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from bench.report import Row, publish
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import Address, EmbeddedStore, InfluxStore, Level, PointStore
from ingest.store.line_protocol import line
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind, Value
from telemetry.reading import Micros, Reading
from tests.servers import influxdb

START = 1_790_000_000_000_000
GATEWAYS, READINGS, METRICS = 20, 500, 5
BLOCKS = 10
VALUES = GATEWAYS * READINGS * METRICS


def blocks(count: int) -> Iterator[list[Arrival]]:
    """One batch of each gateway a block: meters whose values wander."""
    chance = random.Random(1)
    at = START
    for seq in range(1, count + 1):
        block = []
        for gateway in range(GATEWAYS):
            readings = []
            for n in range(READINGS):
                at += 997
                values: dict[str, Value] = {
                    "voltage": round(230 + chance.gauss(0, 2), 1),
                    "current": round(chance.uniform(0, 30), 2),
                    "active_power": round(chance.uniform(0, 6000), 1),
                    "frequency": round(50 + chance.gauss(0, 0.02), 2),
                    "energy_import": round(at / 1e12, 2),
                }
                readings.append(Reading(device=f"meter-{n % 30}", kind=Kind.ENERGY, at=at, values=values))
            block.append(Arrival(Stream(*ref(gateway), "0" * 16, "bulk"), seq, readings, Micros(at)))
        yield block


def ref(gateway: int) -> GatewayRef:
    return GatewayRef("411202002001", f"gw-{gateway:03}")


async def rate(store: PointStore) -> float:
    """Values a second of processor time and waiting, the median block."""
    times = []
    for block in blocks(BLOCKS):
        begun = time.perf_counter()
        await store.write(block)
        times.append(time.perf_counter() - begun)
    return VALUES / statistics.median(times)


async def embedded(folder: Path) -> list[Row]:
    store = EmbeddedStore(folder / "telemetry.duckdb")
    await store.open()
    speed = await rate(store)
    begun = time.perf_counter()
    await store.roll_up(Level.FIVE_MINUTES, Level.FIVE_MINUTES.start(START), [ref(gateway) for gateway in range(GATEWAYS)])
    thinned = time.perf_counter() - begun
    times = []
    stream = Stream("411202002001", "gw-jianye-1", "0" * 16, "urgent")
    for seq in range(1, 201):
        reading = Reading(device="b3-roof-door", kind=Kind.ACCESS, at=START + seq, values={"door_open": True})
        begun = time.perf_counter()
        await store.write([Arrival(stream, seq, [reading], Micros(START))])
        times.append(time.perf_counter() - begun)
    await store.close()
    size = sum(file.stat().st_size for file in folder.glob("telemetry.duckdb*"))
    return [
        Row("embedded: blocks of 10,000 readings", speed, "values/s", 150_000),
        Row("embedded: one urgent reading durable, median", statistics.median(times) * 1e3, "ms", 20, at_least=False),
        Row("embedded: a window of five minutes thinned", VALUES * BLOCKS / thinned, "values/s", 1_000_000),
        Row("embedded: size of the file", size / (VALUES * BLOCKS), "bytes/value", 16, at_least=False),
    ]


def bare(folder: Path) -> Row:
    """DuckDB alone, fed with ready arrays: what no store on it can exceed."""
    columns = {name: np.random.default_rng(1).random(VALUES) for name in "abcde"}
    with duckdb.connect(str(folder / "bare.duckdb")) as file:
        file.execute("CREATE TABLE bare (a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE, e DOUBLE)")
        file.register("columns", columns)
        times = []
        for _ in range(BLOCKS):
            begun = time.perf_counter()
            file.execute("INSERT INTO bare SELECT * FROM columns")
            times.append(time.perf_counter() - begun)
    return Row("bare DuckDB, ready arrays of five columns", VALUES / statistics.median(times), "rows/s")


def encoder() -> Row:
    times = []
    for block in blocks(BLOCKS):
        begun = time.perf_counter()
        count = sum(1 for arrival in block for reading in arrival.readings if line(arrival.stream.ref, reading))
        times.append((time.perf_counter() - begun) / count)
    return Row("line protocol: a line of five fields", statistics.median(times) * 1e6, "us", 10, at_least=False)


async def influx(folder: Path) -> list[Row]:
    if shutil.which("influxd") is None:
        return []
    with influxdb(folder) as server:
        database = Database(folder / "centre.sqlite")
        store = InfluxStore(Address(server.url, "bench"), database)
        await store.open()
        speed = await rate(store)
        await store.close()
        database.close()
    return [Row("InfluxDB 1.6 on this machine", speed, "values/s", 50_000)]


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*asyncio.run(embedded(folder)), bare(folder), encoder(), *asyncio.run(influx(folder))]
    versions = {"duckdb": duckdb.__version__, "numpy": np.__version__}
    return publish(rows, Path(__file__).with_name("results.json"), versions)


if __name__ == "__main__":
    sys.exit(main())
