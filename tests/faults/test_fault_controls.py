"""Runs that must fail: with one promise broken on purpose, the oracle finds the loss. A test that cannot fail proves nothing."""

import random
import time
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.disk import Disk
from tests.faults.rig import LINLI, Rig, cut_power

pytestmark = pytest.mark.slow


def lost(rig: Rig) -> list[oracle.Key]:
    """What was accepted and is nowhere, after everything else has had its time."""
    rig.settle(in_order=False, still_s=8)
    return oracle.missing(rig.settled, rig.stored())


def test_without_the_centres_acknowledgement_a_broker_that_is_killed_loses_readings(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.edge.script = ("-m", "tests.faults.programs.forgetful_edge", "--")
        rig.start()
        rig.until_accepted(100)
        rig.centre.kill()
        rig.until_accepted(300)
        rig.broker.kill()
        rig.broker.start()
        assert lost(rig)
        assert any(words.startswith("missing") for words in rig.verdict(alerts=False))


def test_without_syncing_every_commit_a_power_cut_loses_readings(tmp_path: Path, chance: random.Random) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data") as rig:
        rig.edge.script = ("-m", "tests.faults.programs.careless_edge", "NORMAL", "--")
        rig.start()
        rig.broker.kill()
        rig.until_accepted(200)
        time.sleep(chance.uniform(0.0, 0.5))
        cut_power(disk, rig.edge)
        rig.edge.script = LINLI
        assert lost(rig)


@pytest.mark.parametrize(("program", "loses"), [("epochless_edge", True), ("careless_edge", False)])
def test_without_a_new_epoch_what_is_read_after_a_rollback_is_taken_for_old(tmp_path: Path, program: str, loses: bool) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data") as rig:
        rig.edge.script = ("-m", f"tests.faults.programs.{program}", *(("NORMAL",) if program == "careless_edge" else ()), "--")
        rig.start()
        rig.until_accepted(50)
        rig.edge.stop()
        rig.edge.start()
        rig.until_accepted(300)
        cut_power(disk, rig.edge)
        began = time.time() * 1e6
        rig.edge.start()
        rig.until_accepted(100)
        after = [key for key in lost(rig) if key[1] > began]
        assert bool(after) == loses, after[:5]


def test_a_centre_that_loses_alert_commits_has_every_reading_and_not_the_alerts(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.centre.script = ("-m", "tests.faults.programs.forgetful_centre", "--")
        rig.start()
        rig.until_accepted(600)
        rig.settle()
        found = rig.verdict()
        assert found
        assert all(words.startswith("alert ") for words in found), found
