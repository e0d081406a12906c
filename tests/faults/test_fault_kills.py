"""Rows 1 to 5 and 28: gateway, centre and broker die at random moments, alone and together."""

import random
import shutil
import time
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.devices import RARE
from tests.faults.rig import LINLI, Rig, broken
from tests.servers import Server, mosquitto

pytestmark = pytest.mark.slow

COMMIT_S = {"meter": 1.0, "alarm": 0.0}
SLACK_S = 0.6
"""A poll on its way and a machine that is busy."""


def test_row_1_a_gateway_killed_twenty_times_loses_only_what_was_not_committed_yet(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path, wave=RARE) as rig:
        rig.start()
        ends = []
        for _ in range(10):
            time.sleep(chance.uniform(0.25, 0.7))  # it may not even have begun
            ends.append(time.time())
            rig.edge.again()
            rig.until_accepted(chance.randint(5, 40))
            ends.append(time.time())
            rig.edge.again()
        rig.until_accepted(50)
        ends.append(time.time())
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
        assert len(rig.settled) >= 100
        rows = rig.stored()
        ends = [end * 1e6 for end in ends]
        for device, at in oracle.unaccepted(rows, rig.devices, rig.units):
            before = (COMMIT_S[device.partition("-")[0]] + SLACK_S) * 1e6
            assert any(end - before <= at <= end + SLACK_S * 1e6 for end in ends), f"{device} answered at {at}, killed at {ends}"


def test_rows_2_and_28_a_centre_killed_between_store_alerts_and_acknowledgement(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path) as rig:
        rig.centre.script = dying_at("judged", chance)
        rig.start()
        for point in ("stored", "acknowledging"):
            rig.centre.wait(30)
            rig.centre.script = dying_at(point, chance)
            rig.centre.start(wait=False)
        rig.centre.wait(30)
        rig.centre.script = LINLI
        rig.centre.start()
        rig.settle()
        assert rig.verdict() == []
        assert len(rig.alerts()) >= len(rig.devices)


def test_row_2_a_centre_that_starts_again_finds_no_gap_where_there_is_none(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start()
        rig.until_accepted(200)
        rig.centre.kill()
        rig.centre.start()
        resumes_within(rig, 30)
        assert "gap in a stream" not in rig.centre.words()


def dying_at(point: str, chance: random.Random) -> tuple[str, ...]:
    return broken("dying_centre", point, str(chance.randint(1, 6)))


def test_row_3_a_broker_without_memory_killed_twenty_times(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path) as rig:
        rig.start()
        for _ in range(20):
            time.sleep(chance.uniform(0.1, 0.6))
            rig.broker.kill()
            rig.broker.start()
        assert resumes_within(rig, 20) < 15  # below 5 s on a machine with nothing else to do
        rig.settle()
        assert rig.verdict() == []


def resumes_within(rig: Rig, patience_s: float) -> float:
    """Seconds until something that is read from now on stands in the store."""
    began, now = time.monotonic(), time.time_ns() // 1000
    rig.until(lambda: any(row.at > now and row.device.startswith("alarm") for row in rig.stored()), patience_s, "work resumed")
    return time.monotonic() - began


def persistent(folder: Path) -> Server:
    memory = folder / "broker-memory"
    memory.mkdir()
    settings = (
        f"allow_anonymous true\npersistence true\npersistence_location {memory}/\nautosave_on_changes true\nautosave_interval 1\n"
    )
    return mosquitto(folder, settings=settings)


def test_row_4_a_broker_that_loses_its_whole_disk(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path, broker=persistent, wave=RARE) as rig:
        rig.start()
        for _ in range(3):
            rig.until_accepted(chance.randint(50, 150))
            rig.until(lambda: any((tmp_path / "broker-memory").iterdir()), 10, "something on the broker's disk")
            rig.broker.kill()
            shutil.rmtree(tmp_path / "broker-memory")
            (tmp_path / "broker-memory").mkdir()
            rig.broker.start()
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []


def test_row_5_gateway_broker_and_centre_die_at_random_together(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path, wave=RARE) as rig:
        rig.start()
        for number, victim in enumerate(chance.sample(("edge", "centre", "broker") * 3, 9)):
            if number % 2:
                rig.until_accepted(25)  # however long a busy machine takes
            else:
                time.sleep(chance.uniform(0.05, 1.0))
            if victim == "broker":
                rig.broker.kill()
                time.sleep(chance.choice((0.0, 0.5)))
                rig.broker.start()
            else:
                (rig.edge if victim == "edge" else rig.centre).again()
        everybody = {device.id for device in rig.devices}
        rig.until(lambda: {device for device, _ in rig.accepted.keys} >= everybody, 30, "a word of every device")
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
