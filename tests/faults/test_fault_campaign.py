"""A short campaign from a fixed seed, and that a seed tells the same story each time."""

import random
from pathlib import Path

import pytest

from tests.faults import campaign

SEED = "411202:1103"
"""With root or without, with InfluxDB or without, the centre dies in it: what a gateway forgets too early is lost then."""


@pytest.mark.slow
def test_a_short_campaign_finds_nothing(tmp_path: Path) -> None:
    played = campaign.play(tmp_path, SEED, seconds=8)
    assert played.problems == []
    assert played.accepted > 200
    assert played.alerts >= 4
    assert len(played.steps) >= 4


def test_a_seed_gives_the_same_faults_each_time() -> None:
    first, again, other = (
        list(campaign.plan(random.Random(seed), 60, sorted(campaign.FAULTS))) for seed in ("1:2", "1:2", "1:3")
    )
    assert first == again != other
    assert {step.fault for step in first} <= campaign.FAULTS.keys()
