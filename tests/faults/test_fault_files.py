"""Rows 11 and 13 to 16, and 31: the card is full, fails, turns read-only; the outbox on it is damaged, or of another version."""

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.devices import RARE
from tests.faults.disk import Disk
from tests.faults.rig import Rig, broken
from tests.faults.tap import Tap

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).parents[1] / "recorded" / "gateway"
OLD_FIRST_US, OLD_RUN_US, OLD_SECONDS = 1_795_000_000_000_000, 100_000_000, 12


def test_row_11_a_gateway_whose_disk_is_full_gives_up_the_oldest_bulk_and_says_what(tmp_path: Path) -> None:
    with Disk(tmp_path, megabytes=32) as disk, Rig(tmp_path, edge_data=disk.folder / "data", wave=RARE) as rig:
        rig.edge.script = broken("hasty_edge")
        fill_up(rig, disk)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        losses = oracle.certificates(rig.stored())
        assert losses and not [loss for loss in losses if loss.device.startswith("alarm")], losses


def fill_up(rig: Rig, disk: Disk) -> None:
    """Others take all room of the gateway's disk while it can send nothing, and give it back."""
    rig.start()
    rig.until_accepted(100)
    rig.centre.kill()
    others = disk.fill()
    rig.until(lambda: "the disk is full" in rig.edge.words(), 20, "a word about the disk")
    rig.until_accepted(200)
    others.unlink()


def test_row_13_a_sync_that_fails_once_publishes_nothing_that_is_not_on_the_disk(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path, wave=RARE) as rig, Tap(rig.broker.port) as tap:
        trace, failing = tmp_path / "strace", f"inject=fdatasync:error=EIO:when={chance.randint(20, 60)}"
        rig.edge.under = ("strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=fdatasync", "-e", failing)
        rig.start()
        rig.until(lambda: "INJECTED" in trace.read_text(), 30, "a sync that fails")
        rig.until_accepted(50)
        rig.edge.kill()
        rig.edge.under = ()
        rig.edge.start()
        rig.until_accepted(50)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        assert tap.reused == []


def test_row_14_a_card_that_turns_read_only_is_worked_around_and_nothing_accepted_is_lost(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data", wave=RARE) as rig:
        rig.start()
        rig.until_accepted(100)
        disk.fail()
        rig.until(lambda: "outbox cannot be written" in rig.edge.words(), 10, "a word about the card")
        time.sleep(2)
        assert rig.edge.runs
        rig.edge.signal(signal.SIGTERM)
        rig.edge.wait(10)
        disk.mount_again()
        rig.edge.start()
        rig.until_accepted(50)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []


def damaged_runs(rig: Rig, damage: Callable[[Path], None]) -> None:
    """A full queue, damaged while the gateway is off, and emptied; it must start, and a second time too."""
    rig.start()
    rig.until_accepted(50)
    rig.centre.kill()
    rig.until_accepted(400)
    rig.edge.kill()
    damage(rig.edge_data / "outbox.db")
    rig.edge.start()
    rig.until_accepted(100)
    rig.edge.stop()
    rig.edge.start()
    rig.until_accepted(50)
    rig.settle(in_order=False, still_s=12)


def test_row_15_flipped_bits_cost_what_they_hit_and_never_the_start(tmp_path: Path, chance: random.Random) -> None:
    def flip(outbox: Path) -> None:
        with closing(sqlite3.connect(outbox)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with outbox.open("r+b") as file:
            for _ in range(50):
                place = chance.randrange(outbox.stat().st_size)
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes((byte ^ 1 << chance.randrange(8),)))

    with Rig(tmp_path) as rig, Tap(rig.broker.port) as tap:
        damaged_runs(rig, flip)
        assert untold(rig) == []
        assert tap.reused == []


def test_row_16_a_torn_log_never_makes_a_new_reading_a_duplicate(tmp_path: Path, chance: random.Random) -> None:
    def tear(outbox: Path) -> None:
        log = outbox.with_name("outbox.db-wal")
        with log.open("r+b") as file:
            file.truncate(chance.randrange(log.stat().st_size // 2, log.stat().st_size))

    with Rig(tmp_path) as rig, Tap(rig.broker.port) as tap:
        rig.units.quiet = False
        damaged_runs(rig, tear)
        begun = max(at for _, at in rig.settled) - 1_000_000
        assert [key for key in oracle.missing(rig.settled, rig.stored()) if key[1] > begun] == []
        assert tap.reused == []


def untold(rig: Rig) -> list[str]:
    """What the verdict finds, but for what nobody can know of a damaged page: how much it held, and what of it was stored."""
    unknowable = ("certificates speak", "stored 2", "the answer")
    return [words for words in rig.verdict(alerts=False, clocks=False) if not words.startswith(unknowable)]


def old_readings() -> dict[oracle.Key, float]:
    """What waits in the recorded outbox, by key its number."""
    found: dict[oracle.Key, float] = {}
    for run in range(2):
        for second in range(OLD_SECONDS):
            now, number = OLD_FIRST_US + run * OLD_RUN_US + second * 1_000_000, float(run * OLD_SECONDS + second + 1)
            found |= {(f"meter-{meter:03d}", now + meter): number for meter in (1, 2, 3)}
            if second % 5 == 0 and run == 1:  # those of the first run were acknowledged
                found["alarm-001", now + 500_000] = number
    return found


def recorded_outbox(folder: Path) -> Path:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "outbox.db")) as outbox:
        outbox.execute("PRAGMA journal_mode=WAL")
        outbox.executescript((RECORDED / "outbox-1.sql").read_text())
    return folder


def test_row_31_an_outbox_of_the_first_version_with_a_full_queue_reaches_the_centre_whole(tmp_path: Path) -> None:
    with Rig(tmp_path, meters=3, alarms=1, edge_data=recorded_outbox(tmp_path / "old")) as rig:
        rig.start()
        numbers = {device.id: device.number for device in rig.devices}

        def arrived() -> dict[oracle.Key, float]:
            return {
                (row.device, row.at): float(row.value or 0)
                for row in rig.stored()
                if row.at < OLD_FIRST_US + 10 * OLD_RUN_US and row.metric == numbers.get(row.device)
            }

        rig.until(lambda: len(arrived()) >= len(old_readings()), 15, "the old queue at the centre")
        assert arrived() == old_readings()


def test_row_31_an_outbox_of_a_newer_version_is_refused_in_one_clear_line(tmp_path: Path) -> None:
    folder = recorded_outbox(tmp_path / "new")
    with closing(sqlite3.connect(folder / "outbox.db")) as outbox:
        outbox.execute("PRAGMA user_version=99")
    before = (folder / "outbox.db").read_bytes()
    with Rig(tmp_path, edge_data=folder) as rig:
        rig.edge.start(wait=False)
        assert rig.edge.wait(10) == 1
        assert rig.edge.words().count("\n") == 1 and "version 99" in rig.edge.words()
    assert (folder / "outbox.db").read_bytes() == before
