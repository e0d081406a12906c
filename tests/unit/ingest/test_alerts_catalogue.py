"""The catalogue that ships: every kind has a rule, a trace that raises it, and a trace for each of its traps."""

import re
import typing
from pathlib import Path

import msgspec
import pytest

from ingest.alerts import load_rules, trial, when
from ingest.alerts.rule import CatalogueKind, Override, Rule, ScheduleSpec, StageSpec
from linli.paths import config_dir

RULES = load_rules([config_dir() / "rules"])
TABLES = [trial.load_table(file) for file in sorted((Path(__file__).parents[2] / "rules" / "catalogue").glob("*.yaml"))]
CASES = [case for loaded in TABLES for case in loaded.table.cases]
KINDS_OF_THE_CATALOGUE = 66


def test_the_whole_catalogue_ships_and_every_rule_raises_one_of_its_kinds() -> None:
    assert {watcher.rule.kind for watcher in RULES.watchers.values()} == RULES.kinds.keys()
    assert set(range(1, KINDS_OF_THE_CATALOGUE + 1)) <= {kind.number for kind in RULES.kinds.values()}


def test_numbers_are_given_once_and_a_kind_agrees_with_its_rules() -> None:
    numbers = [kind.number for kind in RULES.kinds.values()]
    assert len(numbers) == len(set(numbers))
    for kind in RULES.kinds.values():
        rules = [watcher.rule for watcher in RULES.watchers.values() if watcher.rule.kind == kind.id]
        assert kind.colour in {rule.colour for rule in rules}, kind.id


@pytest.mark.parametrize("kind", list(RULES.kinds.values()), ids=lambda kind: kind.id)
def test_a_kind_is_raised_by_a_trace_and_each_trap_has_one_of_its_own(kind: CatalogueKind) -> None:
    raised = {RULES.watchers[one.rule].rule.kind for case in CASES for one in case.expect}
    assert kind.id in raised
    traps = {case.trap for case in CASES if case.trap}
    assert {f"{kind.id}/{trap}" for trap in kind.traps} <= traps


def test_every_trap_of_the_tables_is_in_the_catalogue() -> None:
    known = {f"{kind.id}/{trap}" for kind in RULES.kinds.values() for trap in kind.traps}
    assert {case.trap for case in CASES if case.trap} == known


@pytest.mark.parametrize("rule", list(RULES.watchers))
def test_every_shipped_rule_is_raised_by_some_trace(rule: str) -> None:
    assert rule in {one.rule for case in CASES for one in case.expect}


GUIDE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "part", [*typing.get_args(when.When), when.Dated, Rule, StageSpec, ScheduleSpec, Override, CatalogueKind]
)
def test_the_guide_names_every_key_of_the_format(part: type[msgspec.Struct]) -> None:
    owned_elsewhere = {"case"}  # of work orders: docs/manager.md
    missing = [name for name in part.__struct_fields__ if not re.search(rf"\b{name}\b", GUIDE)]
    assert set(missing) <= owned_elsewhere
