"""Row 17: the gateway's clock jumps forward, back, to 1970, and is slewed; identity is not time."""

import os
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.rig import Rig

pytestmark = pytest.mark.slow


class Clock:
    """The wall clock of a program started with ``environment``; its monotonic clock is left alone."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, words: str) -> None:
        """As libfaketime reads them: ``+3600``, ``-2h``, ``+0 x1.01`` or ``@1970-01-02 00:00:00``."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{words}\n")
        draft.replace(self._file)


def _library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found or not shutil.which("faketime"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("libfaketime is not installed (apt install faketime)")
    return str(found[0])


def jumping(folder: Path, jumps: Sequence[str]) -> list[str]:
    """The verdict on a community whose gateway's clock did this, and was right at last."""
    clock = Clock(folder)
    with Rig(folder) as rig:
        rig.edge.environment = clock.environment
        rig.start()
        for jump in (*jumps, "+0"):
            rig.until_accepted(40)
            clock.set(jump)
            time.sleep(0.2)
        rig.until_accepted(60)
        rig.settle(within_s=15, in_order=False)
        return rig.verdict(alerts=False, clocks=False)


def test_row_17_a_clock_that_jumps_loses_nothing_and_uses_no_key_twice(tmp_path: Path, chance: random.Random) -> None:
    jumps = ["+3600", "+0", "-7200", "+0 x1.05", "@2024-01-02 00:00:00"]
    chance.shuffle(jumps)
    assert jumping(tmp_path, jumps) == []


def test_row_17_a_clock_in_1970_loses_nothing(tmp_path: Path) -> None:
    assert jumping(tmp_path, ["@1970-01-02 00:00:00"]) == []
