"""Personal data and groups, over every kind that ships: what the catalogue calls private never reaches one, nor does a text."""

import re
import typing

import pytest

from ingest.alerts import load_rules
from ingest.alerts.rule import CatalogueKind, Rule
from ingest.notify.routes import targets_of
from ingest.notify.targets import Change
from ingest.notify.words import BEGUN, CHANGES, for_group
from linli.paths import config_dir
from telemetry.presence import Words
from tests.notices import changed, notify_of

RULES = load_rules([config_dir() / "rules"])
KINDS = list(RULES.kinds.values())
NOTIFY = notify_of("""
targets:
  platform: {type: webhook, url: "https://example.org/", secrets_file: s}
  d: {type: dingtalk, url_file: u}
  f: {type: feishu, url_file: u}
  w: {type: wecom, url_file: u}
routes: [{to: [platform, d, f, w]}]
""")
PLATE, CARD, NAME = "豫M·88Q21", "04A3F2917C", "王师傅"
DRAFT = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_what_the_catalogue_calls_private_reaches_no_group_and_all_else_does(kind: CatalogueKind) -> None:
    told = targets_of(NOTIFY, changed(kind=kind.id, family=kind.family, colour=kind.colour))
    assert told == (["platform"] if kind.private else ["platform", "d", "f", "w"])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.private], ids=lambda kind: kind.id)
def test_a_group_reads_no_plate_card_or_name_of_any_kind_at_any_change(kind: CatalogueKind) -> None:
    place = Words(f"东门 {PLATE} {CARD}", f"east gate {PLATE} {CARD}")
    personal = {"value": PLATE, "limit": CARD, "text": Words(f"{NAME} {PLATE}", NAME)}
    personal |= dict.fromkeys(("acked_by", "note", "assigned_to", "shelved_by", "shelf_reason"), NAME)
    for transition in typing.get_args(Change):
        said = for_group(changed(transition, kind=kind.id, title=kind.title, place=place, **personal))
        assert kind.title.zh in said
        assert not [secret for secret in (PLATE, CARD, NAME) if secret in said]


@pytest.mark.parametrize("rule", [watcher.rule for watcher in RULES.watchers.values()], ids=lambda rule: rule.id)
def test_no_title_is_made_of_what_was_read(rule: Rule) -> None:
    """Titles are all that a group reads of a rule's own words."""
    assert not DRAFT.search(rule.title.zh + rule.title.en)


def test_every_change_that_can_be_asked_for_has_its_words() -> None:
    assert set(CHANGES) == set(typing.get_args(Change))
    assert set(BEGUN) < set(CHANGES)
