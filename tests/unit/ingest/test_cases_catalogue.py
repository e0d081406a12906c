"""Which of the shipped rules make work orders by themselves: what is red or yellow, and never what is blue."""

import pytest

from ingest.alerts import Colour, load_rules
from ingest.alerts.rule import Rule
from linli.paths import config_dir

RULES = load_rules([config_dir() / "rules"])
NOT_OF_THE_DESK = {"alarm_flood", "watchlist_hit"}
"""A flood is put right with what causes it; a watch list is the police's alone."""


@pytest.mark.parametrize("rule", [watcher.rule for watcher in RULES.watchers.values()], ids=lambda rule: rule.id)
def test_a_rule_that_begins_red_or_yellow_makes_work_orders_and_a_blue_one_waits_to_be_asked(rule: Rule) -> None:
    expected = "ask" if rule.colour is Colour.BLUE or rule.kind in NOT_OF_THE_DESK else "auto"
    assert rule.case == expected
