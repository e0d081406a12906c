"""Row 8: a store comes back without what it had confirmed; ``linli replay`` refills it, and ``linli audit`` proves it."""

import random
import shutil
import time
from pathlib import Path

import pytest

from tests.faults import oracle
from tests.faults.disk import Disk
from tests.faults.rig import Rig
from tests.servers import Server, influxdb

pytestmark = pytest.mark.slow


def now() -> str:
    """As ``--from`` takes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def audited(rig: Rig, within_s: float = 30) -> tuple[int, str]:
    """What ``linli audit`` says once nothing is on its way any more."""
    give_up = time.monotonic() + within_s
    while "pending" in (answer := rig.linli("audit"))[1] and time.monotonic() < give_up:
        time.sleep(0.5)
    return answer


def refilled(rig: Rig, since: str) -> list[str]:
    """What is wrong after an operator has replayed; the gateway keeps what was acknowledged for that."""
    before = rig.alerts()
    status, said = rig.linli("replay", "--from", since)
    assert status == 0, said
    found = oracle.judge(rig.settled, rig.stored(), rig.devices, rig.units)
    status, said = audited(rig)
    assert (status, ", 0 missing" in said) == (0, True), said
    assert rig.alerts() == before, "a replay reached the rules"
    return found


def test_row_8_an_embedded_store_put_back_from_a_backup_is_refilled(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start()
        rig.until_accepted(300)
        since = now()
        rig.centre.stop()
        backup = shutil.copytree(rig.centre_data, tmp_path / "backup")
        rig.centre.start()
        rig.until_accepted(300)
        rig.settle()
        rig.centre.stop()
        for file in rig.centre_data.glob("telemetry.duckdb*"):
            file.unlink()
        for file in backup.glob("telemetry.duckdb*"):
            shutil.copy(file, rig.centre_data)
        rig.centre.start()
        assert oracle.missing(rig.settled, rig.stored()), "nothing was forgotten"
        assert refilled(rig, since) == []


def repaired(database: Server) -> None:
    """As docs/operator.md says."""
    for series in database.folder.glob("data/**/_series"):
        shutil.rmtree(series)


def on(database: Server, folder: Path) -> Rig:
    return Rig(folder, store=f"influx:{database.url}/linli")


def test_row_8_influxdb_1_6_after_a_power_cut_is_repaired_and_refilled(tmp_path: Path, chance: random.Random) -> None:
    with Disk(tmp_path, megabytes=256) as disk, influxdb(disk.folder) as database, on(database, tmp_path) as rig:
        disk.sync()
        rig.start()
        rig.until_accepted(100)
        since = now()
        rig.until_accepted(200)
        time.sleep(chance.uniform(0, 2))
        disk.cut()
        database.kill()
        disk.mount_again()
        repaired(database)
        database.start()
        rig.settle()
        assert refilled(rig, since) == []
