"""A writer that is killed where it stands: what was confirmed is there, and sending it all again stores it once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.arrival import Arrival
from ingest.store import EmbeddedStore, Query
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

ROOT = Path(__file__).parents[2]
START = 1_790_000_000_000_000
STREAM = Stream("411202002001", "gw-jianye-1", "0123456789abcdef", "bulk")
BATCH = 50
ALL = Query(("41",), limit=50_000, newest_first=False)

WRITER = """
import asyncio, sys
from pathlib import Path
from ingest.store import EmbeddedStore
from tests.contract.test_point_store_killed import batch

async def main():
    store = EmbeddedStore(Path(sys.argv[1]))
    await store.open()
    for seq in range(int(sys.argv[2]), 100_000):
        await store.write([batch(seq)])
        print(seq, flush=True)

asyncio.run(main())
"""


def batch(seq: int) -> Arrival:
    first = START + seq * BATCH
    readings = [Reading(device="b3-meter", kind=Kind.ENERGY, at=first + n, values={"frequency": 50.0}) for n in range(BATCH)]
    return Arrival(STREAM, seq, readings, START)


def write_until_killed(file: Path, first: int, kill_after: int) -> int:
    """Writes from ``first`` on in a process of its own; the last batch it confirmed before it was killed."""
    command = [sys.executable, "-c", WRITER, str(file), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        confirmed = [int(writer.stdout.readline()) for _ in range(kill_after)]
        writer.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in writer.stdout.read().splitlines() if line]
    return confirmed[-1]


@pytest.mark.slow
async def test_what_a_killed_writer_confirmed_is_there_once_after_everything_is_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "telemetry.duckdb"
    mark = 0
    for kill_after in (1, 7, 40):
        confirmed = write_until_killed(file, mark + 1, kill_after)
        store = EmbeddedStore(file)
        await store.open()
        found = await store.watermarks()
        assert found[STREAM] in (confirmed, confirmed + 1)
        mark = found[STREAM]
        assert [row.at for row in await store.read(ALL)] == list(range(START + BATCH, START + (mark + 1) * BATCH))
        await store.write([batch(seq) for seq in range(1, mark + 3)])
        mark += 2
        assert [row.at for row in await store.read(ALL)] == list(range(START + BATCH, START + (mark + 1) * BATCH))
        await store.close()


async def test_a_second_process_is_told_that_the_file_is_in_use(tmp_path: Path) -> None:
    file = tmp_path / "telemetry.duckdb"
    command = [sys.executable, "-c", WRITER, str(file), "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "1\n"
        store = EmbeddedStore(file)
        with pytest.raises(StoreUnavailable, match=r"cannot be opened.*lock"):
            await store.open()
        await store.close()
        writer.kill()
