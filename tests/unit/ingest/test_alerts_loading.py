"""Rules that are refused: every problem at once, each with its path and its cure. And those that ship load."""

from pathlib import Path

import pytest
from alerts_world import COMMUNITY, KEY, rules_of

from ingest.alerts import load_rules
from ingest.alerts.lookalikes import lookalikes
from ingest.alerts.text import faults, plain, render
from telemetry.errors import ConfigInvalid
from telemetry.privacy import reference

CONFIG = Path(__file__).parents[3] / "config"

SOUND = """
rules:
  - id: a_rule
    kind: sump_high
    family: environment
    colour: yellow
    title: {zh: 高, en: High}
    text: {zh: 高, en: "{value}"}
    applies_to: {kinds: [environment]}
    when: {type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}
"""
LATCHED = "\n    latch: true"


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        rules_of(folder, text)
    return [str(problem).removeprefix(f"{folder}/rules.yaml: ") for problem in caught.value.problems]


def test_the_rules_that_ship_load() -> None:
    kinds = {watcher.rule.kind for watcher in load_rules([CONFIG / "rules"], {COMMUNITY: KEY}).watchers.values()}
    wanted = {"door_forced", "door_held_open", "fire_lane_occupied", "sump_high", "water_leak", "device_offline"}
    assert wanted <= kinds
    assert "plate_blacklist" in kinds


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("metric: level", "metric: levle", "rules[0].when.metric: environment has no metric 'levle' (did you mean 'level'?)"),
        ("unit: m,", "unit: cm,", "rules[0].when.unit: environment.level is in 'm', not 'cm' (convert the limits to 'm')"),
        ("clear_at: 1.0", "clear_at: 1.3", "rules[0].when.clear_at: 1.3 is above raise_at 1.2 (give a value at or below it)"),
        (
            "clear_at: 1.0",
            "clear_at: 1.0, direction: below",
            "rules[0].when.clear_at: 1 is below raise_at 1.2 (give a value at or above it)",
        ),
        ("raise_at: 1.2", "raise_at: .nan", "rules[0].when.raise_at: is not a finite number (give a number)"),
        ("clear_at: 1.0", "for_s: -1", "rules[0].when.for_s: Expected `float` >= 0.0; it says -1"),
        ("clear_at: 1.0", "fore_s: 1", "rules[0].when.fore_s: unknown key 'fore_s' (did you mean 'for_s'?)"),
        (
            "colour: yellow",
            "colour: pink",
            "rules[0].colour: Invalid enum value 'pink'; it says 'pink' (one of red, orange, yellow, blue)",
        ),
        ("{value}", "{value.__class__}", "rules[0].text.en: {value.__class__} is not a name that can stand here"),
        ("{value}", "{value", "rules[0].text.en: a brace stands alone"),
        ("zh: 高, en: High", "en: High", "rules[0].title.zh: is missing (say it in both languages)"),
        ("kinds: [environment]", "zones: [a]", "rules[0].applies_to.kinds: is missing"),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: duration, where: {}}",
            "rules[0].when.where: is empty",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: duration, where: {running: 1}}",
            "rules[0].when.where.running: 1 can never be the value of bool",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: match, where: {event: x}}",
            "rules[0].latch: an event is over at once and the alert with it (give latch: true or clear_after_quiet_s)",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: match, metric: event, list: nobody}" + LATCHED,
            "rules[0].when.list: no list 'nobody' (nothing is known here)",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: match, where: {event: x}, unless: {event: x}}" + LATCHED,
            "rules[0].when.unless: is the same as where: it can never fire",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: match, where: {event: x}, unless: {evnt: x}}" + LATCHED,
            "rules[0].when.unless.evnt: environment has no metric 'evnt' (did you mean 'event'?)",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: match, where: {event: x}, spelling: alike}" + LATCHED,
            "rules[0].when.spelling: is of a list, and none is named",
        ),
        (
            "{type: threshold, metric: level, unit: m, raise_at: 1.2, clear_at: 1.0}",
            "{type: sequence, happens: {running: true}, without: []}",
            "rules[0].when.without: is empty",
        ),
        ("colour: yellow", "colour: yellow\n    clear_after_quiet_s: 5", "rules[0].clear_after_quiet_s: is for events"),
        ("colour: yellow", "colour: yellow\n    discriminator: level", "rules[0].discriminator: environment.level is float"),
        (
            "environment]",
            'environment], communities: ["41120"]',
            "rules[0].applies_to.communities[0]: Expected `str` matching regex",
        ),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_path_and_cure(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert rules_of(tmp_path, SOUND)
    assert old in SOUND
    found = problems(tmp_path, SOUND.replace(old, new))
    assert any(problem.startswith(said) for problem in found), found


def test_every_problem_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SOUND.replace("level", "levle").replace("{value}", "{it}"))
    (tmp_path / "b.yaml").write_text("rules: 5")
    (tmp_path / "c.yaml").write_text(SOUND)
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigInvalid) as caught:
        load_rules([tmp_path, tmp_path / "missing.yaml"])
    places = {(Path(problem.file).name, problem.path) for problem in caught.value.problems}
    assert places == {
        ("a.yaml", "rules[0].when.metric"),
        ("a.yaml", "rules[0].text.en"),
        ("b.yaml", "rules"),
        ("c.yaml", "rules[0].id"),
        ("d.yaml", ""),
        ("missing.yaml", ""),
    }


BROKEN = """
rules:
  - {colour: pink}
  - id: limit
    kind: limit
    family: environment
    colour: yellow
    title: {zh: 高, en: High}
    text: {zh: 高, en: "{it}"}
    applies_to: {kinds: [environment]}
    during: nihgt
    when: {type: threshold, metric: level, unit: cm, raise_at: 1.2}
calendars: [{id: china, file: 5}]
schedules: [{id: night, hours: ["25:00-06:00"], calendar: china}]
overrides:
  - {rule: limit, zones: [a], set: {rise_at: 3}}
  - {rule: limti, zones: [a], set: {raise_at: 3}}
"""


def test_a_wrong_shape_hides_no_other_fault_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN)
    with pytest.raises(ConfigInvalid) as caught:
        load_rules([tmp_path])
    paths = [problem.path for problem in caught.value.problems]
    assert [path for path in paths if not path.startswith("rules[0]")] == [
        "calendars[0].file",
        "rules[1].text.en",
        "rules[1].during",
        "rules[1].when.unit",
        "schedules[0].hours[0]",
        "overrides[0].set.rise_at",
        "overrides[1].rule",
    ]


def test_what_stands_in_a_file_of_a_wrong_shape_is_known_in_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN)
    (tmp_path / "b.yaml").write_text(
        SOUND.replace("colour: yellow", "colour: yellow\n    during: night")
        + "schedules: [{id: day, hours: ['08:00-18:00'], calendar: china}]\n"
        + "overrides: [{rule: limit, zones: [a], set: {raise_at: 2}}]\n"
    )
    with pytest.raises(ConfigInvalid) as caught:
        load_rules([tmp_path])
    assert {Path(problem.file).name for problem in caught.value.problems} == {"a.yaml"}


def test_a_folder_without_rules_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"holds no \*\.yaml"):
        load_rules([tmp_path])


LISTED = """
lists:
  - {id: blocked, file: blocked.txt}
rules:
  - id: blocked
    kind: plate_blacklist
    family: parking
    colour: yellow
    title: {zh: 名单, en: Listed}
    text: {zh: "{value}", en: "{value}"}
    applies_to: {kinds: [parking]}
    latch: true
    when: {type: match, metric: plate_ref, list: blocked, show: plate}
"""


def test_a_list_is_hashed_with_the_key_of_each_community(tmp_path: Path) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text("# blocked\n豫M·B8888  # grey van\n\n豫ma1234\n", encoding="utf-8")
    file.chmod(0o600)
    other = b"o" * 32
    listed = rules_of(tmp_path, LISTED, {COMMUNITY: KEY, "411203001001": other}).watchers["blocked"].listed
    assert listed == {
        COMMUNITY: {reference("豫MB8888", KEY), reference("豫MA1234", KEY)},
        "411203001001": {reference("豫MB8888", other), reference("豫MA1234", other)},
    }


def test_what_looks_like_an_entry_is_matched_without_the_entries_themselves(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(LISTED.replace("list: blocked", "list: blocked, spelling: alike"), encoding="utf-8")
    for entries, likely in ([["豫M·7777B"], {"豫M77778"}], [["豫M·7777B", "豫M77778"], set[str]()]):
        rules = load_rules([file], {COMMUNITY: KEY}, {"blocked": list(entries)})
        assert rules.watchers["blocked"].listed == {COMMUNITY: {reference(plate, KEY) for plate in likely}}


def test_an_optional_list_that_is_not_there_is_empty_and_one_that_is_there_is_guarded(tmp_path: Path) -> None:
    rule = LISTED.replace("blocked.txt", "blocked.txt, optional: true")
    assert rules_of(tmp_path, rule, {COMMUNITY: KEY}).watchers["blocked"].listed == {COMMUNITY: frozenset()}
    file = tmp_path / "blocked.txt"
    file.write_text("豫MB8888")
    file.chmod(0o644)
    assert problems(tmp_path, rule)[0].endswith(f"(chmod 600 {file})")


@pytest.mark.parametrize(
    ("plate", "alike"),
    [
        ("豫A12345", {"豫AI2345", "豫AL2345", "豫A1Z345", "豫A1234S"}),
        ("苏E·7777", {"鲁E7777"}),
        ("京ad0", {"京A00", "京AO0", "京AQ0", "京ADO", "京ADD", "京ADQ"}),
        ("", set()),
    ],
)
def test_one_character_is_taken_for_one_that_looks_like_it(plate: str, alike: set[str]) -> None:
    assert lookalikes(plate) == alike


def test_a_list_that_others_can_read_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    (missing,) = problems(tmp_path, LISTED)
    assert missing.startswith("lists[0].file: cannot be read")
    file = tmp_path / "blocked.txt"
    file.write_text("豫MB8888")
    file.chmod(0o644)
    (open_to_all,) = problems(tmp_path, LISTED)
    assert open_to_all == f"lists[0].file: {file} can be read by others (mode 0644) (chmod 600 {file})"


def test_a_text_takes_plain_names_alone_and_never_looks_into_what_it_put_in() -> None:
    assert render("{place}: {value} {unit}", {"place": "{value}", "value": "1", "unit": "m"}) == "{value}: 1 m"
    assert faults("{place} {value!r} {limit:>9} {0} {device.id}") == [
        "{value!r} is not a name that can stand here",
        "{limit:>9} is not a name that can stand here",
        "{0} is not a name that can stand here",
        "{device.id} is not a name that can stand here",
    ]


@pytest.mark.parametrize(("value", "shown"), [(1.3800001, "1.38"), (12, "12"), (True, "true"), ("豫M", "豫M"), (None, "-")])
def test_values_are_shown_as_a_person_reads_them(value: float | str | None, shown: str) -> None:
    assert plain(value) == shown
