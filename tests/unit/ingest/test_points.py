"""The step of the telemetry store's sink: no batch is confirmed before what had to be left out of it is durable."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.metrics import Stats
from ingest.points import Points
from ingest.store import EmbeddedStore
from telemetry.batch import Lane, Poison
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

ROOT = Path(__file__).parents[3]
T0 = Micros(1_700_000_000_000_000)
STREAM = Stream("411202002001", "gw-test", "0123456789abcdef", Lane.BULK)
SOUND = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0, values={"voltage": 230.0})
UNSOUND = Reading(device="b3-meter", kind=Kind.ENERGY, at=T0 + 1, values={"voltage": "much"})
POISONED = Arrival(STREAM, 1, (SOUND,), T0, (Poison(b"{}", "no device"),))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.metrics import Stats
from ingest.points import Points
from ingest.store import EmbeddedStore
from tests.unit.ingest.test_points import SOUND, STREAM, T0, UNSOUND

class Killed(EmbeddedStore):
    async def write(self, *arguments):
        await super().write(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

async def main(folder):
    store = Killed(folder / "telemetry.duckdb")
    await store.open()
    await Points(store, Database(folder / "centre.db"), Stats(), lambda: T0).keep([Arrival(STREAM, 1, (SOUND, UNSOUND), T0)])

asyncio.run(main(Path(sys.argv[1])))
"""


class World:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "centre.db"
        self.database = Database(self.file)
        self.store = EmbeddedStore(folder / "telemetry.duckdb")
        self.stats = Stats()
        self.points = Points(self.store, self.database, self.stats, lambda: T0)

    def letters(self) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.file) as other:
            return other.execute("SELECT gateway, origin, reason, times FROM dead_letter ORDER BY reason").fetchall()

    def rename(self, table: str, name: str) -> None:
        with sqlite3.connect(self.file) as other:
            other.execute(f"ALTER TABLE {table} RENAME TO {name}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.store.open()
    yield made
    await made.store.close()
    made.database.close()


async def test_poison_is_durable_with_where_it_stood_when_its_batch_is_confirmed(world: World) -> None:
    await world.points.keep([POISONED])
    assert world.letters() == [("gw-test", "0123456789abcdef bulk 1", "no device", 1)]
    assert (await world.store.watermarks())[STREAM] == 1
    assert world.stats.dead_letters == 1


async def test_without_room_for_its_letter_a_batch_is_not_stored(world: World) -> None:
    world.rename("dead_letter", "away")
    with pytest.raises(StoreUnavailable):
        await world.points.keep([POISONED])
    assert STREAM not in await world.store.watermarks()
    world.rename("away", "dead_letter")
    await world.points.keep([POISONED])
    assert len(world.letters()) == 1


async def test_what_the_store_refuses_is_set_aside_though_the_database_was_down_at_first(world: World) -> None:
    world.rename("dead_letter", "away")
    with pytest.raises(StoreUnavailable):
        await world.points.keep([Arrival(STREAM, 1, (SOUND, UNSOUND), T0)])
    world.rename("away", "dead_letter")
    await world.points.keep([Arrival(STREAM, 1, (SOUND, UNSOUND), T0)])
    ((_, origin, reason, times),) = world.letters()
    assert (origin, times) == ("0123456789abcdef bulk 1", 1)
    assert "voltage" in str(reason)


async def test_a_store_that_is_down_counts_no_letter_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.store.close()
    down = EmbeddedStore(world.file.parent)  # a folder is no file
    points = Points(down, world.database, world.stats, lambda: T0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await points.keep([POISONED])
    await down.close()
    assert [times for *_, times in world.letters()] == [1]
    assert world.stats.dead_letters == 1
    world.store = EmbeddedStore(world.file.parent / "telemetry.duckdb")


async def test_a_kill_as_soon_as_the_store_has_committed_loses_no_letter(tmp_path: Path) -> None:
    command = (sys.executable, "-c", KILLED, str(tmp_path))
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == -signal.SIGKILL
    after = World(tmp_path)
    await after.store.open()
    assert (await after.store.watermarks())[STREAM] == 1
    ((_, origin, _, times),) = after.letters()
    assert (origin, times) == ("0123456789abcdef bulk 1", 1)
    await after.store.close()
    after.database.close()
