"""Rules of every type that cannot be meant: refused with their path, the reason and the cure."""

from pathlib import Path

import pytest
from alerts_world import rules_of

from telemetry.errors import ConfigInvalid

HEAD = """
calendars: [{{id: china, file: cn.yaml}}]
schedules: [{{id: night, hours: ["22:00-06:00"], calendar: china}}]
rules:
  - id: a_rule
    kind: a_kind
    family: environment
    colour: yellow
    title: {{zh: 高, en: High}}
    text: {{zh: 高, en: "{{value}}"}}
    applies_to: {{kinds: [environment]}}
    {rest}
"""
THRESHOLD = "when: {type: threshold, metric: level, unit: m, raise_at: 1.2}"
RATE = "when: {type: rate, metric: level, unit: m, within_s: 60, course: rise, raise_at: 1}"
COUNT = "when: {type: count, where: {event: denied}, count: 3, within_s: 60}"
CORRELATION = "when: {type: correlation, of: [{running: true}], devices: 2, within_s: 60}\n    subject: zone"
FORECAST = "when: {type: forecast, metric: level, unit: m, limit: 2, gate_at: 1, within_s: 600, window_s: 900}"
ANOMALY = "when: {type: anomaly, method: seasonal, calendar: china, metric: noise, unit: dB, floor: 2}"
STAGED = THRESHOLD + "\n    during: night\n    stages: [{colour: red, after_s: 60, during: night}]"
MEAN = "when: {type: mean, metric: noise, unit: dB, average: energy, within_s: 900, unless: {wind_speed: 9}, raise_at: 48}"
FLATLINE = "subject: zone\n    when: {type: flatline, metric: humidity, unit: '%RH', within_s: 900, moved_by: 5}"
REPEAT = "when: {type: repeat, again: {event: opened}, ends: {event: closed}, within_s: 600}"
SURPLUS = "when: {type: surplus, counter: counter_1, than: {event: opened}, by: 3, within_s: 600}"
BALANCE = "when: {type: balance, plus: {event: opened}, minus: {event: closed}, census: members}"
BOTH = "when: {type: all, of: [{type: duration, where: {running: true}}, {type: duration, where: {motion: true}}]}"


def write(folder: Path, rest: str, more: str = "") -> str:
    (folder / "cn.yaml").write_text("time_zone: Asia/Shanghai\n")
    return HEAD.format(rest=rest) + more


@pytest.mark.parametrize(
    "rest", [THRESHOLD, RATE, COUNT, CORRELATION, FORECAST, ANOMALY, STAGED, MEAN, FLATLINE, REPEAT, SURPLUS, BALANCE, BOTH]
)
def test_a_sound_rule_of_each_type_is_taken(tmp_path: Path, rest: str) -> None:
    assert len(rules_of(tmp_path, write(tmp_path, rest))) == 1


@pytest.mark.parametrize(
    ("rest", "old", "new", "said"),
    [
        (THRESHOLD, "1.2}", "99999999}", "when.raise_at: 1e+08 is outside of what environment.level can be, -1000 to 100000 m"),
        (THRESHOLD, "1.2}", "1.2, samples: {need: 4, of: 3}}", "when.samples.need: 4 of 3 can never agree"),
        (
            THRESHOLD,
            "1.2}",
            "1.2, dated: [{raise_at: 1, clause: a, valid_from: 2026-03-01, valid_to: 2026-02-28}]}",
            "when.dated[0].valid_to: is before valid_from: the limit is never in force",
        ),
        (
            THRESHOLD,
            "1.2}",
            "1.2, dated: [{raise_at: 1, clause: ' ', valid_from: 2026-02-30}]}",
            "when.dated[0].valid_from: 2026-02-30 does not exist",
        ),
        (
            THRESHOLD,
            "1.2}",
            "1.2, dated: [{raise_at: 1, clear_at: 2, clause: a}]}",
            "when.dated[0].clear_at: 2 is above raise_at 1",
        ),
        (RATE, "unit: m,", "unit: mm,", "when.unit: environment.level is in 'm', not 'mm'"),
        (RATE, "raise_at: 1", "raise_at: 1, clear_at: 2", "when.clear_at: 2 is above raise_at 1"),
        (RATE, "course: rise", "course: still, gap_s: 5", "when.gap_s: 5 s is shorter than devices are silent"),
        (COUNT, "within_s: 60", "within_s: 60, for_s: 60", "when.for_s: 60 s is not below within_s: it can never fire"),
        (COUNT, "within_s: 60", "within_s: 60, distinct: device", "subject: one device can never be several"),
        (COUNT, "within_s: 60", "within_s: 60, distinct: crad", "when.distinct: environment has no metric 'crad'"),
        (REPEAT, "event: closed", "event: opened", "when.ends: is the same as again: it can never fire"),
        (REPEAT, "within_s: 600", "within_s: 60", "when.within_s: 60 s is not above apart_s and for_s: it can never fire"),
        (REPEAT, "{event: closed}", "{running: true}", "when.ends: names no event (what is counted must be an event"),
        (REPEAT, "within_s: 600", "within_s: 600, resets: '24:00'", "when.resets: Expected `str` matching regex"),
        (REPEAT, "within_s: 600", "within_s: 600, show: plat", "when.show: environment has no metric 'plat'"),
        (SURPLUS, "counter: counter_1, ", "", "when.more: more and counter are two ways to tell the same (give one of them)"),
        (SURPLUS, "counter_1", "counter_1, more: {event: closed}", "when.more: more and counter are two ways to tell the same"),
        (SURPLUS, "counter: counter_1", "more: {event: opened}", "when.than: is the same as more: it can never fire"),
        (SURPLUS, "counter_1", "counter1", "when.counter: environment has no metric 'counter1'"),
        (SURPLUS, "counter_1", "running", "when.counter: environment.running is bool"),
        (SURPLUS, "within_s: 600", "within_s: 600, for_s: 600", "when.for_s: 600 s is not below within_s: it can never fire"),
        (SURPLUS, "{event: opened}", "{running: true}", "when.than: names no event"),
        (BALANCE, "event: closed", "event: opened", "when.minus: is the same as plus: nothing would ever be there"),
        (BALANCE, "members", "mode", "when.census: environment.mode is text"),
        (BALANCE, "{event: opened}", "{}", "when.plus: is empty"),
        (CORRELATION, "subject: zone", "subject: device", "subject: one device can never be several"),
        (CORRELATION, "devices: 2, ", "", "when.of: one thing at one device is no correlation"),
        (CORRELATION, "running", "runing", "when.of[0].runing: environment has no metric 'runing' (did you mean 'running'?)"),
        (FORECAST, "gate_at: 1", "gate_at: 2", "when.gate_at: 2 is past the limit 2"),
        (ANOMALY, "seasonal", "peers", "subject: siblings are the devices of a zone"),
        (ANOMALY, "calendar: china", "calendar: chian", "when.calendar: no calendar 'chian' (did you mean 'china'?)"),
        (STAGED, "during: night\n", "during: nigth\n", "during: no schedule 'nigth' (did you mean 'night'?)"),
        (STAGED, "after_s: 60, during: night", "during: nite", "stages[0].during: no schedule 'nite'"),
        (STAGED, "{colour: red, after_s: 60, during: night}", "{colour: red}", "stages[0]: holds always"),
        (STAGED, "colour: red", "colour: yellow", "stages[0].colour: is yellow as the rule's own"),
        (MEAN, "noise, unit: dB", "pressure, unit: Pa", "when.average: 'Pa' is no sound level"),
        (MEAN, "unit: dB", "unit: Pa", "when.unit: environment.noise is in 'dB', not 'Pa'"),
        (MEAN, "raise_at: 48", "raise_at: 480", "when.raise_at: 480 is outside of what environment.noise can be"),
        (MEAN, "raise_at: 48", "raise_at: 48, clear_at: 50", "when.clear_at: 50 is above raise_at 48"),
        (MEAN, "wind_speed", "wind_sped", "when.unless.wind_sped: environment has no metric 'wind_sped'"),
        (FLATLINE, "subject: zone", "subject: community", "subject: siblings are the devices of a zone"),
        (FLATLINE, "moved_by: 5", "moved_by: 500", "when.moved_by: 500 is outside of what environment.humidity can be"),
        (FLATLINE, "humidity", "humidty", "when.metric: environment has no metric 'humidty' (did you mean 'humidity'?)"),
        (BOTH, "}}]}", "}}], unless: {maintenence: true}}", "when.unless.maintenence: environment has no metric 'maintenence'"),
        (BOTH, "motion: true", "motion: {at_least: 1}", "when.of[1].where.motion: it is bool, not a number"),
        (BOTH, "motion: true", "noise: {at_least: 9, at_most: 8}", "when.of[1].where.noise: nothing is at least 9 and at most 8"),
        (BOTH, "motion: true", "noise: {at_least: 900}", "when.of[1].where.noise: it is never outside of 0 to 200"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(tmp_path: Path, rest: str, old: str, new: str, said: str) -> None:
    assert old in rest
    problems = refused(tmp_path, write(tmp_path, rest.replace(old, new, 1)))
    assert any(problem.startswith(f"rules[0].{said}") for problem in problems), problems


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("{rule: b_rule, zones: [a], set: {raise_at: 2}}", "rule: no rule 'b_rule' (did you mean 'a_rule'?)"),
        ("{rule: a_rule, set: {raise_at: 2}}", "rule: it names no community, zone or device"),
        ("{rule: a_rule, zones: [a], set: {}}", "set: is empty"),
        ("{rule: a_rule, zones: [a], set: {rise_at: 2}}", "set.rise_at: a_rule has no 'rise_at' in its `when`"),
        ("{rule: a_rule, zones: [a], set: {for_s: soon}}", "set.for_s: Expected `float`, got `str`"),
        ("{rule: a_rule, zones: [a], set: {unit: mm}}", "set.unit: environment.level is in 'm', not 'mm'"),
        ("{rule: a_rule, zones: [a], set: {clear_at: 3}}", "set.clear_at: 3 is above raise_at 1.2"),
        ("{rule: a_rule, communities: ['41120'], set: {raise_at: 2}}", "communities[0]: Expected `str` matching regex"),
    ],
)
def test_an_override_is_checked_with_the_rule_that_it_changes(tmp_path: Path, override: str, said: str) -> None:
    problems = refused(tmp_path, write(tmp_path, THRESHOLD, f"overrides: [{override}]\n"))
    assert any(problem.startswith(f"overrides[0].{said}") for problem in problems), problems


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("metrics: [levle]", "applies_to.metrics: no device of environment says 'levle' (did you mean 'level'?)"),
        ("metrics: [level], without_metrics: [level, noise]", "applies_to.without_metrics: leaves out every device"),
    ],
)
def test_metrics_that_no_device_can_fit_are_refused(tmp_path: Path, scope: str, said: str) -> None:
    text = write(tmp_path, THRESHOLD).replace("kinds: [environment]", f"kinds: [environment], {scope}")
    assert any(problem.startswith(f"rules[0].{said}") for problem in refused(tmp_path, text))


def test_a_device_override_of_a_zone_s_rule_is_refused(tmp_path: Path) -> None:
    more = "overrides: [{rule: a_rule, devices: [pump], set: {within_s: 5}}]\n"
    (problem,) = refused(tmp_path, write(tmp_path, CORRELATION, more))
    assert problem.startswith("overrides[0].devices: a_rule judges a zone")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("22:00-06:00", "22-6", "schedules[0].hours[0]: '22-6' is no span of hours (as 22:00-06:00)"),
        ("22:00-06:00", "22:00-25:00", "schedules[0].hours[0]: '22:00-25:00' is no span of hours"),
        ("calendar: china", "calendar: chnia", "schedules[0].calendar: no calendar 'chnia'"),
        ("file: cn.yaml", "file: nowhere.yaml", "calendars[0].file: cannot be read"),
    ],
)
def test_schedules_and_calendars_are_checked_too(tmp_path: Path, old: str, new: str, said: str) -> None:
    problems = refused(tmp_path, write(tmp_path, THRESHOLD).replace(old, new))
    assert any(problem.startswith(said) for problem in problems), problems


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        rules_of(folder, text)
    return [str(problem).removeprefix(f"{folder}/rules.yaml: ") for problem in caught.value.problems]
