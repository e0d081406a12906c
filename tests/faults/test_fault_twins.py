"""Two gateways with one identity, as after a card was copied: they drive each other off the broker, and nothing is lost."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.rig import LINLI, Program, Rig

pytestmark = pytest.mark.slow


def twin_of(rig: Rig) -> Program:
    """A second gateway with the same configuration and keys, and an outbox that holds the same."""
    folder = rig.folder / "twin"
    shutil.copytree(rig.folder / "edge", folder, ignore=shutil.ignore_patterns("*.sock"))
    file = folder / "gateway.yaml"
    file.write_text(file.read_text().replace(str(rig.edge_data), str(folder / "data")))
    report = ["--report-fd", str(rig.accepted.descriptor)]
    words = ["edge", "run", "--config", str(file), *report]
    return Program("twin", words, rig.folder / "twin.log", lambda logged: b"gateway runs" in logged, [rig.accepted.descriptor])


def test_two_gateways_with_one_identity_lose_nothing_that_either_accepted(tmp_path: Path) -> None:
    with Rig(tmp_path, meters=6, alarms=2) as rig, two_at_once(rig):
        rig.until(lambda: rig.verdict(alerts=False, clocks=False) == [], 20, "everything of both at the centre")


@contextmanager
def two_at_once(rig: Rig, script: tuple[str, ...] = LINLI) -> Iterator[None]:
    """The card of a gateway that lost power is copied. Both drive each other off for a while; then each is alone."""
    rig.edge.script = script
    rig.start()
    rig.until_accepted(100)
    rig.edge.kill()
    twin = twin_of(rig)
    twin.script = script
    try:
        for one in (twin, rig.edge):
            one.start()
        rig.until_accepted(600)
        assert "centre's broker cannot be reached" in rig.edge.words() + twin.words()
        twin.stop()
        rig.settle(within_s=10, in_order=False)
        rig.edge.stop()
        twin.start()
        yield
    finally:
        twin.end()
