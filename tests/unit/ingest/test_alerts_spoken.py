"""Which kinds of alert no device could raise today, and which only a contact: the guide names them, no more and no fewer."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from device_profiles import load_library
from ingest.alerts import load_rules
from ingest.alerts.rule import Rule
from ingest.alerts.when import Absence
from linli.paths import config_dir
from telemetry.metric import METRICS, Kind, ValueType

GUIDE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
NAMING_METRICS = ("metric", "counter", "census")
NAMING_CONDITIONS = ("where", "happens", "again", "ends", "than", "more", "plus", "minus")


@cache
def said() -> dict[Kind, tuple[set[str], set[str]]]:
    """The metrics and the words of events that profiles know, by kind of reading."""
    found: dict[Kind, tuple[set[str], set[str]]] = {kind: (set(), set()) for kind in Kind}
    for profile in load_library().profiles.values():
        metrics, events = found[profile.kind]
        metrics.update(profile.metrics)
        for rule in profile.mqtt.rules if profile.mqtt else ():
            events.update({rule.event} if isinstance(rule.event, str) else rule.event[1].values() if rule.event else ())
    return found


def conditions(when: Any) -> Iterator[dict[str, Any]]:
    for name, value in when.items():
        if name in NAMING_CONDITIONS and value:
            yield value
        elif name in NAMING_METRICS and value:
            yield {value: None}
        elif name == "of":
            for one in value:
                yield from conditions(one) if "type" in one else [one]


def is_said(kinds: tuple[Kind, ...], metric: str, wanted: Any, wired: bool) -> bool:
    if metric != "event" or isinstance(wanted, dict):
        by_contact = {
            kind for kind in kinds if wired and metric in METRICS[kind] and METRICS[kind][metric].type is ValueType.BOOL
        }
        return bool(by_contact) or any(metric in said()[kind][0] for kind in kinds)
    words = wanted if isinstance(wanted, list | tuple) else [wanted]
    return any(word in said()[kind][1] for kind in kinds for word in words)


def can_be_raised(rule: Rule, wired: bool) -> bool:
    """Whether devices say what a rule asks for; ``wired``: or a site's contacts may."""
    kinds = rule.applies_to.kinds
    if isinstance(rule.when, Absence) or Kind.GATEWAY in kinds:  # told by gateways and the centre themselves
        return True
    needed = conditions(msgspec.to_builtins(rule.when))
    return all(is_said(kinds, metric, wanted, wired) for condition in needed for metric, wanted in condition.items())


def mute(wired: bool) -> set[str]:
    rules = [watcher.rule for watcher in load_rules([config_dir() / "rules"]).watchers.values()]
    return {rule.kind for rule in rules} - {rule.kind for rule in rules if can_be_raised(rule, wired)}


def named(beginning: str) -> set[str]:
    told = re.search(beginning + r"[^:]*:[^`]*(.*?)\n\n", GUIDE, re.DOTALL)
    assert told is not None
    return set(re.findall(r"`(\w+)`\s\(", told[1]))


def test_the_guide_names_the_kinds_that_no_device_with_a_profile_can_raise() -> None:
    assert named("No device with a profile says") == mute(wired=True)


def test_the_guide_names_the_kinds_that_come_through_contacts_alone() -> None:
    assert named("Some kinds come through dry contacts") == mute(wired=False) - mute(wired=True)
