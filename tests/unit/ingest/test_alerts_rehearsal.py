"""What a rule would have raised is summed up as people count it; how far back a review must begin."""

from pathlib import Path

import pytest
from alerts_world import rules_of

from ingest.alerts.rehearsal import flood_minutes
from ingest.alerts.review import MARGIN_US, lookback_us

MINUTE = 60_000_000


@pytest.mark.parametrize(
    ("instants", "minutes"),
    [
        ([], 0),
        ([place * MINUTE for place in range(10)], 0),
        ([place * 59_000_000 for place in range(11)], 1),
        ([0] * 11, 10),
        ([0] * 11 + [5 * MINUTE] * 11, 15),
        ([0] * 11 + [60 * MINUTE] * 11, 20),
    ],
)
def test_a_flood_is_more_than_ten_alerts_within_ten_minutes(instants: list[int], minutes: int) -> None:
    assert flood_minutes(instants) == minutes


RULE = """
rules:
  - id: one_rule
    kind: one
    family: environment
    colour: yellow
    title: {{zh: 试, en: Test}}
    text: {{zh: 试, en: Test}}
    applies_to: {{kinds: [environment]}}
    {when}
"""
LEVEL = "type: threshold, metric: temperature, unit: degC, raise_at: 30"
BASELINE = "type: anomaly, metric: temperature, unit: degC, floor: 1"


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        (f"when: {{{LEVEL}, for_s: 60, clear_for_s: 30}}", 90),
        (f"when: {{{LEVEL}, for_s: 60}}\n    reopen_s: 600", 660),
        (f"when: {{{LEVEL}, for_s: 60}}\n    stages: [{{colour: red, after_s: 900}}]", 960),
        (f"when: {{{LEVEL}, for_s: 60}}\n    lateness: {{late_s: 60, historical_s: 90}}", 60),
        (f"when: {{{BASELINE}, method: robust_z, learn_s: 3600}}", 3600),
    ],
)
def test_a_review_begins_twice_all_times_of_the_rule_and_an_hour_before(tmp_path: Path, when: str, seconds: int) -> None:
    rule = rules_of(tmp_path, RULE.format(when=when)).watchers["one_rule"].rule
    assert lookback_us(rule) == 2 * seconds * 1_000_000 + MARGIN_US


@pytest.mark.parametrize("method", ["cusum", "ewma", "seasonal"])
def test_what_goes_by_all_that_was_ever_said_cannot_be_reviewed(tmp_path: Path, method: str) -> None:
    rule = rules_of(tmp_path, RULE.format(when=f"when: {{{BASELINE}, method: {method}}}")).watchers["one_rule"].rule
    assert lookback_us(rule) is None
