"""The table of words for dry contacts in the installers' guide: each can be configured, each raises what it says."""

import re
from pathlib import Path

import pytest

from device_profiles import Meaning, input_faults, load_library
from ingest.alerts import load_rules
from linli.paths import config_dir
from telemetry.metric import Kind

GUIDE = (Path(__file__).parents[2] / "docs" / "installer.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in GUIDE.partition("### Dry contacts")[2].splitlines() if line.startswith("| ")][1:]
MODULE = load_library().profiles["wellpro-wp8028"]
KINDS = load_rules([config_dir() / "rules"]).kinds


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize("row", ROWS[:8], ids=lambda row: row[0].strip())
def test_a_row_can_be_configured_and_raises_kinds_that_ship(row: list[str]) -> None:
    _, kind, said, raises = row
    inputs = {f"input_{number}": Meaning(word) for number, word in enumerate(words(said), 1)}
    assert inputs and list(input_faults(MODULE, inputs, Kind(*words(kind)) if words(kind) else Kind.SAFETY)) == []
    assert words(raises) and set(words(raises)) <= KINDS.keys()
