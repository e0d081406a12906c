"""Readings a second that a core judges by all shipped rules, and what a city's states take of memory.

Each figure is of a process of its own, which collects garbage as the centre does. CPU is the process's, database and all, while
it judges: the making of readings is left out, and other programs on the machine count for little.

    python -m bench.alerts.engine FOLDER GATEWAYS ROUNDS
"""

import asyncio
import gc
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from bench.alerts.city import DEVICES, City, inventory, ref_of
from bench.report import Row
from ingest.alerts import AlertEngine, load_rules
from ingest.database import Database
from ingest.registry import Registry
from telemetry.presence import decode_inventory, encode

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "rules"
GATEWAYS = 432_000 // DEVICES
ROUNDS = 12
"""So many that states are written, and the trail behind them goes: it is kept for ten."""

COLLECT_AFTER = (50_000, 20, 10)
"""As the centre collects garbage (``linli/commands/ingest.py``)."""

TOGETHER = 20
"""Gateways whose words are judged together, as when the centre is busy."""


async def judged(folder: Path, gateways: int, rounds: int) -> dict[str, float]:
    """Rounds of so many gateways; the first, which finds every device's rules, is told apart."""
    database = Database(folder / "centre.db")
    registry = Registry(database)
    for number in range(gateways):
        registry.take_inventory(ref_of(number), decode_inventory(encode(inventory(number))))
        await registry.write()
    empty_mb = resident_mb()
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    rules = load_rules([RULES], {})
    engine = AlertEngine(rules, database, registry, changed)
    await engine.open()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    city = City(gateways)
    first = await _round(engine, city, 0)
    later = [await _round(engine, city, number) for number in range(1, rounds)]
    readings, cpu_s = (sum(column) for column in zip(*later, strict=True))
    wrote, resident, failures = (folder / "centre.db").stat().st_size, resident_mb(), engine.failures
    begun = time.process_time()
    await AlertEngine(rules, database, registry, changed).open()
    start_s = time.process_time() - begun
    database.close()
    gc.unfreeze()
    return {
        "readings": readings,
        "cpu_s": cpu_s,
        "first_us": first[1] / first[0] * 1e6,
        "empty_mb": empty_mb,
        "resident_mb": resident,
        "start_s": start_s,
        "file_mb": wrote / 1e6,
        "changes": changes,
        "failures": failures,
    }


async def _round(engine: AlertEngine, city: City, number: int) -> tuple[int, float]:
    """Readings judged, and the CPU seconds it took."""
    readings, cpu_s = 0, 0.0
    for first in range(0, city.gateways, TOGETHER):
        arrivals = list(city.round(number, range(first, min(first + TOGETHER, city.gateways))))
        urgent = [one for one in arrivals if one.stream.lane == "urgent"]
        bulk = [one for one in arrivals if one.stream.lane == "bulk"]
        begun = time.process_time()
        await engine.take(urgent + bulk, max(one.received_at for one in arrivals))
        cpu_s += time.process_time() - begun
        readings += sum(len(one.readings) for one in arrivals)
    begun = time.process_time()
    await engine.tick(arrivals[-1].received_at)
    return readings, cpu_s + time.process_time() - begun


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run(folder: Path, gateways: int, rounds: int, tree: Path = ROOT) -> dict[str, Any]:
    """What ``judged`` returns, from a process of its own, with the modules of ``tree``."""
    folder.mkdir()
    command = (sys.executable, "-m", "bench.alerts.engine", str(folder.resolve()), str(gateways), str(rounds))
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3_600, cwd=tree)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def compiled() -> Iterator[Path]:
    """A copy of what the bench needs in which judging is compiled (``make compiled``); outside the tree, as that must be."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run((sys.executable, str(ROOT / "scripts" / "compile_judging.py"), folder), check=True, capture_output=True)
        for name in ("bench", "config"):
            shutil.copytree(ROOT / name, Path(folder) / name)
        yield Path(folder)


def rows(folder: Path) -> Iterator[Row]:
    yield from _rows(run(folder / "plain", GATEWAYS, ROUNDS), "", None)
    with compiled() as tree:
        yield from _rows(run(folder / "compiled", GATEWAYS, ROUNDS, tree), ", compiled", 250_000)


def _rows(found: dict[str, Any], how: str, bar: float | None) -> Iterator[Row]:
    yield Row(f"judged for a core{how}", found["readings"] / found["cpu_s"], "readings/s", bar)
    yield Row(f"judged{how}, CPU for each", found["cpu_s"] / found["readings"] * 1e6, "us")
    yield Row(f"the first word of each device{how}, CPU", found["first_us"], "us")
    yield Row(f"432,000 devices{how}: resident", found["resident_mb"], "MB", 1_000, at_least=False)
    yield Row(f"432,000 devices{how}: all read back at a start, CPU", found["start_s"], "s", 30, at_least=False)
    yield Row(f"432,000 devices{how}: of it before anything is judged", found["empty_mb"], "MB")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(json.dumps(asyncio.run(judged(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
