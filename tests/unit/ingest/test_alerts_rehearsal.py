"""What a rule would have raised is summed up as people count it, and shown by pages; how far back a review must begin."""

from itertools import cycle
from pathlib import Path

import pytest
from alerts_world import rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerts import Alert, Colour, Family
from ingest.alerts.episode import Episode, Key, alert_id
from ingest.alerts.forecast import Holt, Outlook
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Smoothed
from ingest.alerts.rehearsal import flood_minutes, part, rehearsal
from ingest.alerts.review import FADED, MARGIN_US, lookback_us
from telemetry.presence import Words

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


def begun(minute: int, device: str, over: int | None = None) -> tuple[Key, Episode]:
    key, at = Key("one_rule", "411202001001", f"gw-1/{device}"), 1_700_000_000_000_000 + minute * MINUTE
    alert = Alert(
        id=alert_id(key, at),
        rule="one_rule",
        kind="one",
        family=Family.ENVIRONMENT,
        colour=Colour.YELLOW,
        title=Words(),
        text=Words(),
        device=device,
        gateway="gw-1",
        community=key.community,
        place=Words(),
        opened_at=at,
    )
    return key, Episode(alert, False, None if over is None else at + over * MINUTE)


def test_each_alert_is_the_one_that_was_raised_for_the_same_or_none() -> None:
    would = [begun(0, "a", 5), begun(3, "b", 5), begun(20, "a", 5)]
    fired = [begun(1, "a", 2), begun(4, "c", 2)]
    found = rehearsal(would, fired, 0, MINUTE, 9)
    assert (found.alerts, found.fired, found.both) == (3, 2, 1)
    page = part(found, None, 10)
    assert [one.fired for one in page.alerts] == [fired[0][1].alert.id, "", ""]
    assert (page.missed, page.more, page.after) == ([fired[1][1].alert.id], 0, None)


@settings(deadline=None)
@given(
    would=st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), unique=True),
    fired=st.lists(st.tuples(st.integers(0, 5), st.sampled_from("bcd")), unique=True),
    limit=st.integers(1, 4),
)
def test_pages_of_any_size_hold_every_line_once_and_in_order(
    would: list[tuple[int, str]], fired: list[tuple[int, str]], limit: int
) -> None:
    found = rehearsal((begun(*one, 0) for one in would), (begun(*one, 0) for one in fired), 0, MINUTE, 0)
    alerts, missed, after, lines = [], [], None, 0
    while True:
        page = part(found, after, limit)
        assert len(page.alerts) + len(page.missed) <= limit
        alerts += page.alerts
        missed += page.missed
        lines += len(page.alerts) + len(page.missed)
        assert page.more == len(found.lines) - lines
        after = page.after
        if after is None:
            break
    whole = part(found, None, 1_000)
    assert (alerts, missed) == (whole.alerts, whole.missed)
    assert len(alerts) == len(would)
    assert len(missed) == len(fired) - found.both


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


def test_a_review_of_what_forgets_slowly_begins_twenty_windows_before(tmp_path: Path) -> None:
    holt = "{type: forecast, method: holt, metric: temperature, unit: degC, limit: 40, gate_at: 30, within_s: 600, window_s: 900}"
    rule = rules_of(tmp_path, RULE.format(when=f"when: {holt}")).watchers["one_rule"].rule
    assert lookback_us(rule) == (2 * 1_500 + FADED * 900) * 1_000_000 + MARGIN_US


@settings(deadline=None)
@given(
    began=st.tuples(st.floats(-100, 100), st.floats(-1, 1)),
    elapsed=st.lists(st.sampled_from((1, 7, 30, 60, 200, 400)), min_size=1, max_size=40),
)
def test_holt_forgets_where_it_began_after_so_many_windows(began: tuple[float, float], elapsed: list[int]) -> None:
    holt = Holt(Outlook("temperature", 40, 30, "above", 600, 900 * 1_000_000))
    one, other = Smoothed(1, 1, 1, *began, 5.0), Smoothed(1, 1, 1, 20.0)
    at, values = 1, cycle((20.0, 21.5, 23.0, 20.5, 35.0))
    for pause in cycle(elapsed):
        at += pause * 1_000_000
        sample = Sample(at, "a", {"temperature": next(values)})
        one, other = holt.hear(one, sample, False), holt.hear(other, sample, False)
        if at > FADED * 900 * 1_000_000:
            break
    assert (one.level, one.trend, one.error) == pytest.approx((other.level, other.trend, other.error), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("method", ["cusum", "ewma", "seasonal"])
def test_what_goes_by_all_that_was_ever_said_is_reviewed_from_what_was_kept_alone(tmp_path: Path, method: str) -> None:
    rule = rules_of(tmp_path, RULE.format(when=f"when: {{{BASELINE}, method: {method}}}")).watchers["one_rule"].rule
    assert lookback_us(rule) is None
