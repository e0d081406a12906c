"""Rules from YAML files: read strictly, checked against the vocabulary, every problem of every file at once."""

import math
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from device_profiles import read_text
from ingest.alerts.rule import (
    Absence,
    Duration,
    Listed,
    ListSpec,
    Match,
    Rule,
    RulesFile,
    Scalar,
    Sequence,
    Test,
    Threshold,
    Where,
)
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.text import NAMES, faults
from telemetry.document import nearest, read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.metric import METRICS, Kind, Metric, ValueType
from telemetry.privacy import reference

_Fault = tuple[str, str, str]  # path inside the rule, reason, cure


def load_rules(paths: Iterable[Path], site_keys: Mapping[str, bytes] | None = None) -> Rules:
    """The rules of YAML files and of folders of them, in the order of their names.

    ``site_keys`` maps a community to its privacy key; lists are hashed with each. Raises ``ConfigInvalid`` with every problem.
    """
    problems: list[Problem] = []
    files: list[tuple[Path, RulesFile]] = []
    for file in _files(paths, problems):
        try:
            files.append((file, read(read_text(file), str(file), RulesFile)))
        except ConfigInvalid as error:
            problems += error.problems
    listed = _lists(files, site_keys or {}, problems)
    problems += _duplicates(files)
    for file, content in files:
        for number, rule in enumerate(content.rules):
            problems += (Problem(str(file), f"rules[{number}].{path}", *rest) for path, *rest in rule_faults(rule, listed))
    if problems:
        raise ConfigInvalid(problems)
    return Rules(Watcher(rule, _listed(rule, listed)) for _, content in files for rule in content.rules)


def rule_faults(rule: Rule, lists: Iterable[str]) -> Iterator[_Fault]:
    """Everything wrong with one rule beyond its shape: path inside the rule, reason, cure."""
    yield from _text_faults(rule)
    yield from _clearing_faults(rule)
    kinds = rule.applies_to.kinds
    if isinstance(rule.when, Absence):
        if rule.subject != "device" or rule.discriminator:
            yield "subject", "an absence is of a device", "leave out subject and discriminator"
        return
    if not kinds:
        yield "applies_to.kinds", "is missing", f"name the kinds of reading it watches: {', '.join(Kind)}"
        return
    if rule.discriminator:
        yield from _metric_faults(rule.discriminator, kinds, "discriminator", (ValueType.TEXT, ValueType.INT))
    yield from _when_faults(rule.when, kinds, lists)


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not found:
            problems.append(Problem(str(path), "", "holds no *.yaml", "name a folder of rules or a file"))
        yield from found


def _lists(files: Iterable[tuple[Path, RulesFile]], keys: Mapping[str, bytes], problems: list[Problem]) -> dict[str, Listed]:
    found: dict[str, Listed] = {}
    for file, content in files:
        for number, spec in enumerate(content.lists):
            try:
                entries = _entries(file, spec)
            except ConfigInvalid as error:
                problems += (Problem(str(file), f"lists[{number}].file", *problem[2:]) for problem in error.problems)
                entries = []
            found[spec.id] = {community: frozenset(reference(entry, key) for entry in entries) for community, key in keys.items()}
    return found


def _entries(file: Path, spec: ListSpec) -> list[str]:
    path = file.parent / spec.file
    lines = (line.partition("#")[0].strip() for line in read_text(path).splitlines())
    mode = stat.S_IMODE(path.stat().st_mode)
    if spec.secret and mode & 0o077:
        raise ConfigInvalid([Problem(str(path), "", f"{path} can be read by others (mode {mode:04o})", f"chmod 600 {path}")])
    return [line for line in lines if line]


def _listed(rule: Rule, lists: Mapping[str, Listed]) -> Listed:
    return lists[rule.when.list] if isinstance(rule.when, Match) and rule.when.list else {}


def _duplicates(files: Iterable[tuple[Path, RulesFile]]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for file, content in files:
        ids = [("rules", number, rule.id) for number, rule in enumerate(content.rules)]
        ids += [("lists", number, spec.id) for number, spec in enumerate(content.lists)]
        for what, number, id in ids:
            here = f"{what}[{number}]"
            first = seen.setdefault((what, id), f"{file}: {here}")
            if first != f"{file}: {here}":
                yield Problem(str(file), f"{here}.id", f"{id!r} is already {first}", "each id stands once in all files")


def _text_faults(rule: Rule) -> Iterator[_Fault]:
    for name, words in (("title", rule.title), ("text", rule.text)):
        for language in ("zh", "en"):
            template: str = getattr(words, language)
            if not template.strip():
                yield f"{name}.{language}", "is missing", "say it in both languages"
            for fault in faults(template):
                yield f"{name}.{language}", fault, f"known: {', '.join(sorted(NAMES))}"


def _clearing_faults(rule: Rule) -> Iterator[_Fault]:
    when = rule.when
    is_event = isinstance(when, Match) or (isinstance(when, Sequence) and "event" in when.happens)
    if rule.clear_after_quiet_s is not None and not is_event:
        yield "clear_after_quiet_s", "is for events; this condition says itself when it is over", "leave it out"
    if rule.clear_after_quiet_s is None and is_event and not rule.latch:
        yield "latch", "an event is over at once and the alert with it", "give latch: true or clear_after_quiet_s"


def _when_faults(
    when: Threshold | Duration | Sequence | Match, kinds: tuple[Kind, ...], lists: Iterable[str]
) -> Iterator[_Fault]:
    match when:
        case Threshold():
            yield from _threshold_faults(when, kinds)
        case Duration():
            yield from _where_faults(when.where, kinds, "when.where", empty=False)
        case Sequence():
            yield from _where_faults(when.happens, kinds, "when.happens", empty=False)
            if not when.without:
                yield "when.without", "is empty", "name at least one thing that should have come with it, or use match"
            for number, where in enumerate(when.without):
                yield from _where_faults(where, kinds, f"when.without[{number}]", empty=False)
        case Match():
            yield from _where_faults(when.where, kinds, "when.where", empty=when.list is not None)
            yield from _match_faults(when, kinds, lists)
    if isinstance(when, Duration | Match) and when.show is not None:
        yield from _metric_faults(when.show, kinds, "when.show", tuple(ValueType))


def _threshold_faults(when: Threshold, kinds: tuple[Kind, ...]) -> Iterator[_Fault]:
    yield from _metric_faults(when.metric, kinds, "when.metric", (ValueType.FLOAT, ValueType.INT))
    for kind in kinds:
        metric = METRICS[kind].get(when.metric)
        if metric and metric.unit != when.unit:
            yield (
                "when.unit",
                f"{kind}.{when.metric} is in {metric.unit!r}, not {when.unit!r}",
                f"convert the limits to {metric.unit!r}",
            )
    for name in ("raise_at", "clear_at"):
        value = getattr(when, name)
        if value is not None and not math.isfinite(value):
            yield f"when.{name}", "is not a finite number", "give a number"
    if when.clear_at is not None:
        above = when.direction == "above"
        if when.clear_at > when.raise_at if above else when.clear_at < when.raise_at:
            where, side = ("above", "at or below") if above else ("below", "at or above")
            yield "when.clear_at", f"{when.clear_at:g} is {where} raise_at {when.raise_at:g}", f"give a value {side} it"


def _match_faults(when: Match, kinds: tuple[Kind, ...], lists: Iterable[str]) -> Iterator[_Fault]:
    if when.list is not None and when.list not in lists:
        yield "when.list", f"no list {when.list!r}", nearest(when.list, lists)
    if (when.list is None) != (when.metric is None):
        yield "when.metric", "metric and list go together", "give both or neither"
    if when.metric is not None:
        yield from _metric_faults(when.metric, kinds, "when.metric", (ValueType.TEXT,))


def _metric_faults(name: str, kinds: tuple[Kind, ...], path: str, types: tuple[ValueType, ...]) -> Iterator[_Fault]:
    for kind in kinds:
        metric = METRICS[kind].get(name)
        if metric is None:
            yield path, f"{kind} has no metric {name!r}", nearest(name, METRICS[kind])
        elif metric.type not in types:
            yield path, f"{kind}.{name} is {metric.type}", f"it must be {' or '.join(types)}"


def _where_faults(where: Where, kinds: tuple[Kind, ...], path: str, *, empty: bool) -> Iterator[_Fault]:
    if not where and not empty:
        yield path, "is empty", "name a metric and what it must be"
    for name, wanted in where.items():
        here = f"{path}.{name}"
        yield from _metric_faults(name, kinds, here, tuple(ValueType))
        for kind in kinds:
            if metric := METRICS[kind].get(name):
                yield from _test_faults(metric, wanted, here)


def _test_faults(metric: Metric, wanted: Scalar | tuple[Scalar, ...] | Test, path: str) -> Iterator[_Fault]:
    if isinstance(wanted, Test):
        if wanted.contains and metric.type is not ValueType.TEXT:
            yield f"{path}.contains", f"it is {metric.type}, not text", "contains is for comma-separated text"
        if (wanted.at_least is not None or wanted.at_most is not None) and metric.type in (ValueType.TEXT, ValueType.BOOL):
            yield path, f"it is {metric.type}, not a number", "at_least and at_most are for numbers"
        if wanted == Test():
            yield path, "tests nothing", "give contains, other_than, at_least or at_most"
        values = wanted.other_than
    else:
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        if not values:
            yield path, "an empty list is never satisfied", "name what it may be"
    for value in values:
        if not _fits(metric, value):
            yield path, f"{value!r} can never be the value of {metric.type}", f"it is {metric.type}: {metric.meaning}"


def _fits(metric: Metric, value: Scalar) -> bool:
    match metric.type:
        case ValueType.BOOL:
            return isinstance(value, bool)
        case ValueType.TEXT:
            return isinstance(value, str)
        case _:
            return not isinstance(value, bool | str)
