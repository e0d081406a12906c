"""Runs that must fail: with one promise broken on purpose, the oracle finds the loss. A test that cannot fail proves nothing."""

import random
import time
from pathlib import Path

import pytest

from telemetry import topic
from tests.faults import campaign, oracle
from tests.faults.disk import Disk
from tests.faults.proxy import Proxy
from tests.faults.rig import LINLI, Rig, broken, cut_power
from tests.faults.tap import Tap
from tests.faults.test_fault_batches import say_all_again
from tests.faults.test_fault_campaign import SEED
from tests.faults.test_fault_files import fill_up
from tests.faults.test_fault_network import noticed_after, through
from tests.faults.test_fault_twins import two_at_once
from tests.servers import influxdb

pytestmark = pytest.mark.slow


def lost(rig: Rig) -> list[oracle.Key]:
    """What was accepted and is nowhere, after everything else has had its time."""
    rig.settle(in_order=False, still_s=8)
    return oracle.missing(rig.settled, rig.stored())


def test_without_the_centres_acknowledgement_a_broker_that_is_killed_loses_readings(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.edge.script = broken("forgetful_edge", "confirmed")
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
        rig.edge.script = broken("careless_edge", "NORMAL")
        rig.start()
        rig.broker.kill()
        rig.until_accepted(200)
        time.sleep(chance.uniform(0.0, 0.5))
        cut_power(disk, rig.edge)
        rig.edge.script = LINLI
        assert lost(rig)


@pytest.mark.parametrize(("program", "words", "loses"), [("epochless_edge", (), True), ("careless_edge", ("NORMAL",), False)])
def test_without_a_new_epoch_what_is_read_after_a_rollback_is_taken_for_old(
    tmp_path: Path, program: str, words: tuple[str, ...], loses: bool
) -> None:
    with Disk(tmp_path) as disk, Rig(tmp_path, edge_data=disk.folder / "data") as rig:
        rig.edge.script = broken(program, *words)
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
        rig.centre.script = broken("forgetful_centre")
        rig.start()
        rig.until_accepted(600)
        rig.settle()
        found = rig.verdict()
        assert found
        assert all(words.startswith("alert ") for words in found), found


def test_what_is_called_accepted_before_the_commit_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.edge.script = broken("boastful_edge")
        rig.start()
        for _ in range(3):
            rig.until_accepted(40)
            rig.edge.again()
        assert lost(rig)


def test_what_is_acknowledged_before_it_is_durable_is_lost_when_the_centre_is_killed(tmp_path: Path) -> None:
    with influxdb(tmp_path) as database, Rig(tmp_path, store=f"influx:{database.url}/linli") as rig:
        rig.centre.script = broken("hasty_centre")
        rig.start()
        rig.until_accepted(100)
        database.kill()
        rig.until_accepted(300)
        rig.centre.kill()
        database.start()
        assert lost(rig)


def test_without_any_acknowledgement_a_link_that_died_without_a_word_loses_readings(tmp_path: Path) -> None:
    with Proxy() as proxy, through(proxy, tmp_path) as rig:
        rig.edge.script = broken("forgetful_edge", "sent")
        noticed_after(proxy, rig)
        assert lost(rig)


def test_without_watermarks_what_comes_again_is_stored_again(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path) as rig, Tap(rig.broker.port) as batches, Tap(rig.broker.port, topic.Leaf.ACK) as words:
        rig.centre.script = broken("credulous_centre")
        say_all_again(rig, batches, words, chance)
        rig.settle()
        assert any(words.startswith("stored ") for words in rig.verdict(alerts=False, clocks=False))


def test_without_epochs_of_their_own_two_gateways_with_one_identity_lose_readings(tmp_path: Path) -> None:
    with Rig(tmp_path, meters=6, alarms=2) as rig, two_at_once(rig, broken("epochless_edge")):
        rig.drain(rig.settled, time.monotonic() + 30, still_s=8)
        assert oracle.missing(rig.settled, rig.stored())


def test_without_certificates_what_a_full_disk_costs_is_missing(tmp_path: Path) -> None:
    with Disk(tmp_path, megabytes=32) as disk, Rig(tmp_path, edge_data=disk.folder / "data") as rig:
        rig.edge.script = broken("silent_edge")
        fill_up(rig, disk)
        assert lost(rig)


def test_a_campaign_against_a_gateway_without_acknowledgement_finds_the_loss(tmp_path: Path) -> None:
    played = campaign.play(tmp_path, SEED, seconds=8, without="acknowledgement")
    assert any(words.startswith("missing") for words in played.problems), played.problems
