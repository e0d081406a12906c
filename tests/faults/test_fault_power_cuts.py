"""Rows 6, 7 and 12: the power goes while gateway or centre write, and the card that holds everything vanishes."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.devices import RARE
from tests.faults.disk import Disk
from tests.faults.rig import Rig, cut_power
from tests.faults.tap import Tap

pytestmark = pytest.mark.slow

CUTS = 3
"""Each costs about two seconds here; the campaign makes many more."""


def test_row_6_a_gateway_whose_power_is_cut_keeps_what_it_accepted_and_uses_no_key_twice(
    tmp_path: Path, chance: random.Random
) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data", wave=RARE) as rig, Tap(rig.broker.port) as tap:
        rig.start()
        for _ in range(CUTS):
            time.sleep(chance.uniform(0.5, 2.0))
            cut_power(disk, rig.edge)
            with closing(sqlite3.connect(f"file:{disk.folder}/data/outbox.db?mode=ro", uri=True)) as outbox:
                assert outbox.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rig.edge.start(wait=False)
        rig.until_accepted(50)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        assert len(tap.batches) > 20
        assert tap.reused == []


def test_row_7_a_centre_whose_power_is_cut_keeps_what_it_acknowledged(tmp_path: Path, chance: random.Random) -> None:
    with Disk(tmp_path, megabytes=128) as disk, Rig(tmp_path, centre_data=disk.folder / "data") as rig:
        rig.start()
        for _ in range(CUTS):
            time.sleep(chance.uniform(0.5, 3.0))
            cut_power(disk, rig.centre)
            rig.centre.start()
        rig.settle()
        assert rig.verdict() == []


def test_row_12_a_card_that_vanishes_accepts_nothing_more_and_confirms_nothing_that_is_not_on_it(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data", wave=RARE) as rig:
        rig.start()
        rig.until_accepted(100)
        rig.edge.pause()
        disk.cut()
        rig.edge.resume()
        time.sleep(0.3)
        accepted = len(rig.accepted.keys)
        time.sleep(1.5)
        assert len(rig.accepted.keys) == accepted
        assert "outbox cannot be written" in rig.edge.words(), rig.edge.words()
        rig.edge.signal(signal.SIGTERM)
        rig.edge.wait(10)
        disk.mount_again()
        rig.edge.start()
        rig.until_accepted(50)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
