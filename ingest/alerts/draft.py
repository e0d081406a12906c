"""Rules that somebody wants to try before they are in force: text from outside, so it may name nothing on this machine.

Schedules, calendars and lists are those of the rules in force, by their names.
"""

from collections.abc import Iterator

from ingest.alerts.faults import rule_faults
from ingest.alerts.machines import NO_TIMES, Times
from ingest.alerts.rule import Listed, Rule, RulesFile
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.when import Absence, Match
from ingest.alerts.when_faults import Known
from telemetry.document import read
from telemetry.errors import ConfigInvalid, Problem

NAME = "rules"
MOST_RULES = 100


def drafted(text: str, force: Rules) -> Rules:
    """The rules of a YAML text, beside those in force. Raises ``ConfigInvalid`` with every problem."""
    content = read(text, NAME, RulesFile)
    times = next((one.times for one in force.watchers.values()), NO_TIMES)
    lists = {one.rule.when.list: one.listed for one in force.watchers.values() if isinstance(one.rule.when, Match)}
    problems = [Problem(NAME, *fault) for fault in _faults(content, times, lists)]
    if problems:
        raise ConfigInvalid(problems)
    return Rules((Watcher(rule, _listed(rule, lists), times) for rule in content.rules), force.kinds.values())


def replayable(rule: Rule) -> bool:
    """An absence is judged by when its gateway's batches came, which no store remembers."""
    return not isinstance(rule.when, Absence)


def _faults(content: RulesFile, times: Times, lists: dict[str | None, Listed]) -> Iterator[tuple[str, str, str]]:
    for name in ("lists", "calendars", "schedules", "overrides", "kinds"):
        if getattr(content, name):
            yield name, "cannot be tried", "name those of the rules in force"
    if not 1 <= len(content.rules) <= MOST_RULES:
        yield "rules", f"holds {len(content.rules)} rules", f"give 1 to {MOST_RULES}"
    known = Known(frozenset(filter(None, lists)), frozenset(times.schedules), frozenset(times.calendars))
    seen: set[str] = set()
    for number, rule in enumerate(content.rules[:MOST_RULES]):
        here = f"rules[{number}]"
        if rule.id in seen:
            yield f"{here}.id", f"{rule.id!r} stands twice", "each rule has an id of its own"
        seen.add(rule.id)
        if not replayable(rule):
            yield f"{here}.when", "an absence cannot be tried on the past", "leave it out"
        for path, reason, cure in rule_faults(rule, known):
            yield f"{here}.{path}", reason, cure


def _listed(rule: Rule, lists: dict[str | None, Listed]) -> Listed:
    return lists.get(rule.when.list, {}) if isinstance(rule.when, Match) and rule.when.list else {}
