"""Rules at another pace wait less and ask for the same."""

from pathlib import Path

import pytest
import yaml

from ingest.alerts import load_rules
from linli.pace import paced
from linli.paths import config_dir
from telemetry.document import parse

RULES = sorted((config_dir() / "rules").glob("*.yaml"))


def when(text: str, pace: float = 60) -> object:
    return paced(parse(text, "rule.yaml"), pace)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{type: duration, where: {smoke: true}, for_s: 300}", {"type": "duration", "where": {"smoke": True}, "for_s": 5}),
        ("{type: count, count: 5, within_s: 120}", {"type": "count", "count": 5, "within_s": 120}),
        ("{type: mean, within_s: 600, raise_at: 2}", {"type": "mean", "within_s": 10, "raise_at": 2}),
        ("{type: rate, course: no_rise, within_s: 600}", {"type": "rate", "course": "no_rise", "within_s": 10}),
        ("{type: rate, course: rise, within_s: 600}", {"type": "rate", "course": "rise", "within_s": 600}),
        ("[{colour: red, after_s: 840, when: {for_s: 120}}]", [{"colour": "red", "after_s": 14, "when": {"for_s": 2}}]),
    ],
)
def test_a_wait_is_shorter_and_a_window_of_things_together_is_not(text: str, said: object) -> None:
    assert when(text) == said


def test_no_wait_becomes_less_than_a_second_and_none_comes_to_be() -> None:
    assert when("{for_s: 30, clear_for_s: 0, after_s: 0.5}") == {"for_s": 1.0, "clear_for_s": 0, "after_s": 0.5}


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_at_its_own_pace_a_catalogue_is_what_it_was(file: Path) -> None:
    plain = parse(file.read_text(encoding="utf-8"), str(file))
    assert paced(plain, 1) == plain


def test_the_catalogue_at_another_pace_is_sound(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "calendar").symlink_to(config_dir() / "calendar")
    for file in RULES:
        (tmp_path / "rules" / file.name).write_text(yaml.safe_dump(paced(parse(file.read_text("utf-8"), str(file)), 30)))
    assert len(load_rules([tmp_path / "rules"])) == len(load_rules([config_dir() / "rules"]))
