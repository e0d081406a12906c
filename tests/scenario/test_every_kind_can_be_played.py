"""Every kind of alert that a device with a profile can tell of, from its device through a gateway to the centre's alert."""

from collections import defaultdict
from pathlib import Path

import pytest

from device_profiles import load_library
from linli.paths import config_dir
from simulators import load_stage
from tests.community import Community

STAGE = config_dir() / "kinds"
STORY = load_stage(STAGE / "world.yaml", load_library()).story


@pytest.mark.slow
def test_each_kind_of_the_story_is_raised_where_it_happens(tmp_path: Path) -> None:
    with Community(tmp_path, "--stage", "kinds") as community:
        community.start()
        try:
            community.wait(lambda: community.kinds() >= STORY.kinds, 240, "every kind")
        except AssertionError as error:
            raise AssertionError(f"never raised: {sorted(STORY.kinds - community.kinds())}") from error
        places = defaultdict(set)
        for alert in community.alerts():
            places[alert["kind"]].add(alert["device"])
        assert places["fire_release"] == {"fire-panel"}
        assert places["lift_fault"] == {"lift-1"}
        assert places["barrier_hit"] == {"south-barrier"}
        assert places["gas_leak"] == {"kitchen-gas"}
        assert places["phase_loss"] >= {"meter"}
