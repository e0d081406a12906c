"""Rows 11, 12 and 14 at the centre: the disk under its files is full, turns read-only, or vanishes."""

from pathlib import Path

import pytest

from tests.faults.devices import RARE
from tests.faults.disk import Disk
from tests.faults.rig import Rig

pytestmark = pytest.mark.slow


def on(disk: Disk, folder: Path) -> Rig:
    return Rig(folder, centre_data=disk.folder / "data", wave=RARE)


def is_failing(rig: Rig) -> bool:
    return not rig.centre.runs or rig.http.get("/healthz").json()["status"] == "failing"


def test_row_11_a_centre_whose_disk_is_full_goes_on_by_itself_when_there_is_room_again(tmp_path: Path) -> None:
    with Disk(tmp_path, megabytes=64) as disk, on(disk, tmp_path) as rig:
        rig.start()
        rig.until_accepted(200)
        others = disk.fill()
        rig.until(lambda: is_failing(rig), 60, "a word about the disk")
        rig.until_accepted(300)
        assert rig.centre.runs, rig.centre.words()
        others.unlink()
        rig.settle()
        assert rig.verdict() == []


def test_row_14_a_centre_whose_disk_turns_read_only_acknowledges_nothing_until_it_can_write(tmp_path: Path) -> None:
    with Disk(tmp_path, megabytes=64) as disk, on(disk, tmp_path) as rig:
        rig.start()
        rig.until_accepted(200)
        disk.fail()
        rig.until(lambda: is_failing(rig), 60, "a word about the disk")
        rig.until_accepted(200)
        rig.centre.stop()
        disk.mount_again()
        rig.settle()
        assert rig.verdict() == []


def test_row_12_a_centre_whose_disk_vanishes_has_acknowledged_nothing_that_was_not_on_it(tmp_path: Path) -> None:
    with Disk(tmp_path, megabytes=64) as disk, on(disk, tmp_path) as rig:
        rig.start()
        rig.until_accepted(200)
        rig.centre.pause()
        disk.cut()
        rig.centre.resume()
        rig.until(lambda: is_failing(rig), 60, "a word about the disk")
        rig.until_accepted(200)
        rig.centre.stop()
        disk.mount_again()
        rig.settle()
        assert rig.verdict() == []
