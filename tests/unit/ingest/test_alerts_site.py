"""What rules name must be there, when it is known what there is."""

from pathlib import Path

import pytest

from ingest.alerts import load_rules
from ingest.alerts.site import Place, Site
from telemetry.errors import ConfigInvalid

SITE = Site(
    [
        Place("411202002001", "b3-pump-level", "environment", "level-qdy30a", "pump-room"),
        Place("411202002001", "b3-roof-door", "access", "zigbee2mqtt-contact", "roof"),
        Place("411202002001", "gw-jianye-1", "gateway"),
    ],
    zones=["elder"],
    profiles=["level-4-20ma"],
)
RULE = """
rules:
  - id: a_rule
    kind: a_kind
    family: environment
    colour: yellow
    title: {{zh: 高, en: High}}
    text: {{zh: 高, en: High}}
    applies_to: {{kinds: [environment], {to}}}
    when: {{type: threshold, metric: level, unit: m, raise_at: 1.2}}
overrides:
  - {{rule: a_rule, {where}, set: {{raise_at: 1.5}}}}
"""
THERE = "zones: [pump-room, elder], devices: [b3-pump-level], profiles: [level-qdy30a, level-4-20ma], communities: ['411202']"


def check(folder: Path, to: str = THERE, where: str = "zones: [pump-room], devices: [b3-pump-level]") -> None:
    (folder / "rules.yaml").write_text(RULE.format(to=to, where=where))
    load_rules([folder / "rules.yaml"], site=SITE)


def test_what_is_there_is_taken(tmp_path: Path) -> None:
    check(tmp_path)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("zones: [elder, pum-room]", "zones[1]: no device stands in the zone 'pum-room' (did you mean 'pump-room'?)"),
        ("devices: [b3-pump-levle]", "devices[0]: there is no device 'b3-pump-levle' (did you mean 'b3-pump-level'?)"),
        ("devices: [b3-roof-door]", "devices[0]: b3-roof-door is of the kind access: it can never fire"),
        ("profiles: [level-qdy30]", "profiles[0]: no device has the profile 'level-qdy30' (did you mean 'level-qdy30a'?)"),
        ("communities: ['411203']", "communities[0]: no community begins with '411203'"),
    ],
)
def test_what_is_nowhere_is_refused_by_its_path_with_a_cure(tmp_path: Path, to: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        check(tmp_path, to=to)
    (problem,) = caught.value.problems
    assert f"{problem.path}: {problem.reason} ({problem.cure})".startswith(f"rules[0].applies_to.{said}")
    assert Path(problem.file).name == "rules.yaml"


def test_overrides_and_rules_are_looked_at_together(tmp_path: Path) -> None:
    where = "zones: [roof, cellar], communities: ['42'], devices: [gw-jianye-1, nobody]"
    with pytest.raises(ConfigInvalid) as caught:
        check(tmp_path, to="zones: [attic]", where=where)
    assert [problem.path for problem in caught.value.problems] == [
        "rules[0].applies_to.zones[0]",
        "overrides[0].communities[0]",
        "overrides[0].zones[1]",
        "overrides[0].devices[1]",
    ]


def test_a_file_of_a_wrong_shape_is_looked_at_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        check(
            tmp_path,
            to="zones: [attic]",
            where="zones: [cellar], set: {raise_at: 2}}\n  - {rool: a_rule, devices: [b3-pump-level]",
        )
    assert {"rules[0].applies_to.zones[0]", "overrides[0].zones[0]"} <= {problem.path for problem in caught.value.problems}
