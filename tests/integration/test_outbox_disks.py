"""The outbox on a disk that fills up: a small file system of our own, where we may mount one."""

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox, ballast
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
SIZE = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "outbox-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def readings(n: int, count: int = 400) -> list[Reading]:
    chance = random.Random(n)
    return [
        Reading(device=f"meter-{k % 5}", kind=Kind.ENERGY, at=T0 + n * 1_000_000 + k, values={"voltage": chance.random()})
        for k in range(count)
    ]


def opened(disk: Path) -> Outbox:
    return Outbox.open(disk / "outbox.db", gateway="gw-test", now=T0)


def told(outbox: Outbox) -> tuple[int, int]:
    """Readings that would be sent, and readings that certificates tell of."""
    outbox.seal(Micros(T0 + 10**12), force=True)
    there = lost = 0
    for span in outbox.spans():
        after = span.first - 1
        while batches := outbox.batches(span.epoch, span.lane, after, 100):
            after = batches[-1].seq
            for sealed in batches:
                for one in decode(sealed.message(T0, False)).batch.readings:
                    there += one.kind is Kind.ENERGY
                    lost += int(one.values.get("loss_count", 0))
    return there, lost


@pytest.mark.slow
def test_a_full_disk_is_a_smaller_budget_and_nothing_is_lost_in_silence(disk: Path) -> None:
    outbox = opened(disk)
    accepted = 0
    for n in range(400):
        outbox.append(readings(n), Lane.BULK, Micros(T0 + n * 1_000_000))
        outbox.seal(Micros(T0 + n * 1_000_000))
        accepted += 400
    assert outbox.lost > 0
    there, lost = told(outbox)
    assert there + lost == accepted
    outbox.close()
    again = opened(disk)
    assert told(again)[0] > 0


def test_a_disk_that_others_filled_makes_way_and_the_ballast_comes_back(disk: Path) -> None:
    outbox = opened(disk)
    for n in range(100):
        outbox.append(readings(n), Lane.BULK, Micros(T0 + n * 1_000_000))
    filler = fill(disk)
    for n in range(100, 300):
        outbox.append(readings(n), Lane.BULK, Micros(T0 + n * 1_000_000))
    assert not ballast.path_beside(disk / "outbox.db").exists()
    assert outbox.lost > 0
    filler.unlink()
    outbox.seal(Micros(T0 + 10**9))
    assert ballast.path_beside(disk / "outbox.db").exists()
    assert sum(told(outbox)) == 300 * 400


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(os.urandom(size))
                    file.flush()
    return filler


def test_an_outbox_opens_on_a_full_disk(disk: Path) -> None:
    opened(disk).close()
    fill(disk)
    outbox = opened(disk)
    outbox.append(readings(1, 10), Lane.URGENT, T0)
    assert told(outbox)[0] == 10
