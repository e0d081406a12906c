"""The community of kinds: its files fit each other, and the guide for testers says exactly what can be played."""

import re
from pathlib import Path

import pytest
import yaml

from device_profiles import load_library
from ingest.alerts import load_rules
from linli.demo import Options, lay_out
from linli.paths import config_dir
from linli.together import check_all
from simulators import load_stage

STAGE = config_dir() / "kinds"
STORY = load_stage(STAGE / "world.yaml", load_library()).story
CATALOGUE = load_rules([config_dir() / "rules"]).kinds
GUIDE = (Path(__file__).parents[3] / "docs" / "tester.md").read_text(encoding="utf-8")


def listed(heading: str) -> set[str]:
    paragraph = GUIDE.partition(heading)[2].partition("\n\n")[0]
    return set(re.findall(r"`([a-z0-9_]+)`", paragraph))


def test_everything_of_the_stage_is_in_order_and_every_rule_hears_no_schedule_but_all_day(tmp_path: Path) -> None:
    options = Options(tmp_path / "data", 8080, None, "duckdb", None, True, "kinds")
    check_all(options)
    rules = load_rules([lay_out(options).centre_file.parent / "rules"])
    assert rules.kinds.keys() == CATALOGUE.keys()


def test_every_device_of_the_world_is_one_of_the_gateway_or_a_module_of_several() -> None:
    devices = yaml.safe_load((STAGE / "devices.yaml").read_text(encoding="utf-8"))["devices"]
    modules = {each["address"]["unit_id"] for each in devices if "inputs" in each}
    world = yaml.safe_load((STAGE / "world.yaml").read_text(encoding="utf-8"))["devices"]
    assert {each["id"] for each in devices if "inputs" not in each} == {
        each["id"] for each in world if each["end"].get("unit_id") not in modules
    }


def test_a_story_plays_kinds_of_the_catalogue_alone() -> None:
    assert STORY.kinds <= CATALOGUE.keys()


def test_the_guide_lists_what_is_played_and_why_the_rest_is_not() -> None:
    assert listed("**Played**") == STORY.kinds
    assert listed("**Not played**") == CATALOGUE.keys() - STORY.kinds


@pytest.mark.parametrize("kind", sorted(STORY.kinds))
def test_each_kind_can_be_played_alone(kind: str) -> None:
    assert min(step.at_s for step in STORY.only([kind]).steps) == 5
