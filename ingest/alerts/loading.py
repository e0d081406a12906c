"""Rules from YAML files: read strictly, checked against the vocabulary, every problem of every file at once."""

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from device_profiles import read_text
from ingest.alerts.faults import override_faults, rule_faults
from ingest.alerts.lookalikes import lookalikes
from ingest.alerts.machines import Times
from ingest.alerts.rule import Listed, ListSpec, Override, Rule, RulesFile, ScheduleSpec
from ingest.alerts.rules import Rules, Watcher, overridden
from ingest.alerts.salvage import SECTIONS, Salvaged, salvaged
from ingest.alerts.schedule import Schedule, minutes_of
from ingest.alerts.site import Site
from ingest.alerts.vocabulary import Fault
from ingest.alerts.when import Match
from ingest.alerts.when_faults import Known
from ingest.calendar import PLAIN, Calendar, load_calendar
from telemetry.document import convert, nearest, read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.privacy import normalise, reference

_T = TypeVar("_T")


class _File(NamedTuple):
    path: Path
    content: RulesFile


def load_rules(
    paths: Iterable[Path],
    site_keys: Mapping[str, bytes] | None = None,
    lists: Mapping[str, Sequence[str]] = MappingProxyType({}),
    site: Site | None = None,
) -> Rules:
    """The rules of YAML files and of folders of them, in the order of their names.

    ``site_keys`` maps a community to its privacy key; lists are hashed with each. What ``lists`` gives stands in for a list's
    file. With a ``site`` what rules name must be there. Raises ``ConfigInvalid`` with every problem.
    """
    problems: list[Problem] = []
    files: list[_File] = []
    broken: dict[Path, Salvaged] = {}
    for file in _files(paths, problems):
        text = ""
        try:
            text = read_text(file)
            files.append(_File(file, read(text, str(file), RulesFile)))
        except ConfigInvalid as error:
            problems += error.problems
            broken[file] = salvaged(text, str(file))
    said = _said(broken.values())
    entries = _lists(files, lists, problems)
    times = _times(files, said["calendars"], problems)
    problems += _duplicates(files)
    problems += _strange_inhibitions(files, said["kinds"])
    rules = {rule.id: rule for _, content in files for rule in content.rules}
    rules |= {rule.id: rule for sound in broken.values() for rule in sound.rules.values()}
    overrides = _overrides(files, rules, said["rules"], problems)
    known = Known(
        frozenset(entries) | said["lists"],
        frozenset(times.schedules) | said["schedules"],
        frozenset(times.calendars) | said["calendars"],
    )
    for file, content in files:
        problems += _rule_problems(file, dict(enumerate(content.rules)), dict(enumerate(content.overrides)), known, site)
    for file, sound in broken.items():
        problems += _rule_problems(file, sound.rules, sound.overrides, known, site)
        for number, spec in sound.schedules.items():
            problems += _at(file, f"schedules[{number}].", _schedule_faults(spec, known.calendars))
        for number, override in sound.overrides.items():
            problems += _override_problems(file, number, override, rules, said["rules"])
    if problems:
        raise ConfigInvalid(problems)
    watchers = (
        Watcher(rule, _listed(rule, entries, site_keys or {}), times, tuple(overrides.get(rule.id, ())))
        for _, content in files
        for rule in content.rules
    )
    return Rules(watchers, (kind for _, content in files for kind in content.kinds))


def _said(broken: Iterable[Salvaged]) -> Mapping[str, frozenset[str]]:
    """What each section of the files that could not be read names: who refers to it makes no mistake."""
    broken = list(broken)
    return {name: frozenset().union(*(one.ids.get(name, frozenset()) for one in broken)) for name in SECTIONS}


def _at(file: Path, prefix: str, faults: Iterable[Fault]) -> Iterator[Problem]:
    return (Problem(str(file), f"{prefix}{path}", reason, cure) for path, reason, cure in faults)


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not found:
            problems.append(Problem(str(path), "", "holds no *.yaml", "name a folder of rules or a file"))
        yield from found


def _lists(files: Iterable[_File], given: Mapping[str, Sequence[str]], problems: list[Problem]) -> dict[str, Sequence[str]]:
    """The entries of each list, in clear text."""
    found: dict[str, Sequence[str]] = {}
    for file, content in files:
        for number, spec in enumerate(content.lists):
            try:
                found[spec.id] = given[spec.id] if spec.id in given else _entries(file, spec)
            except ConfigInvalid as error:
                problems += (Problem(str(file), f"lists[{number}].file", *problem[2:]) for problem in error.problems)
                found[spec.id] = ()
    return found


def _entries(file: Path, spec: ListSpec) -> list[str]:
    path = file.parent / spec.file
    if spec.optional and not path.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in read_text(path).splitlines())
    mode = stat.S_IMODE(path.stat().st_mode)
    if spec.secret and mode & 0o077:
        raise ConfigInvalid([Problem(str(path), "", f"{path} can be read by others (mode {mode:04o})", f"chmod 600 {path}")])
    return [line for line in lines if line]


def _listed(rule: Rule, lists: Mapping[str, Sequence[str]], keys: Mapping[str, bytes]) -> Listed:
    """What counts for the rule, hashed with the key of each community."""
    if not isinstance(rule.when, Match) or rule.when.list is None:
        return {}
    entries = {normalise(entry) for entry in lists[rule.when.list]}
    counting = set[str]().union(*map(lookalikes, entries)) - entries if rule.when.spelling == "alike" else entries
    return {community: frozenset(reference(entry, key) for entry in counting) for community, key in keys.items()}


def _times(files: Iterable[_File], said: Collection[str], problems: list[Problem]) -> Times:
    """Calendars, then the schedules that may stand on them; one with a problem stands for itself with none."""
    files, calendars, schedules = list(files), dict[str, Calendar](), dict[str, Schedule]()
    for file, content in files:
        for number, named in enumerate(content.calendars):
            calendars[named.id] = PLAIN
            try:
                calendars[named.id] = load_calendar(file.parent / named.file)
            except ConfigInvalid as error:
                inside = (f"{problem.path} {problem.reason}".strip() for problem in error.problems)
                cures = (problem.cure for problem in error.problems)
                problems += (Problem(str(file), f"calendars[{number}].file", *one) for one in zip(inside, cures, strict=True))
    for file, content in files:
        for number, spec in enumerate(content.schedules):
            problems += _at(file, f"schedules[{number}].", _schedule_faults(spec, {*calendars, *said}))
            hours = tuple(span for text in spec.hours if (span := minutes_of(text)))
            schedules[spec.id] = Schedule(hours, spec.days, spec.outside, calendars.get(spec.calendar or "", PLAIN))
    return Times(schedules, calendars)


def _schedule_faults(spec: ScheduleSpec, calendars: Collection[str]) -> Iterator[Fault]:
    for number, text in enumerate(spec.hours):
        if minutes_of(text) is None:
            yield f"hours[{number}]", f"{text!r} is no span of hours", "as 22:00-06:00"
    if spec.calendar is not None and spec.calendar not in calendars:
        yield "calendar", f"no calendar {spec.calendar!r}", nearest(spec.calendar, calendars)


def _overrides(
    files: Iterable[_File], rules: Mapping[str, Rule], said: Collection[str], problems: list[Problem]
) -> dict[str, list[Override]]:
    """Overrides by rule."""
    found: dict[str, list[Override]] = {}
    for file, content in files:
        for number, override in enumerate(content.overrides):
            faults = _override_problems(file, number, override, rules, said)
            problems += faults
            if not faults:
                found.setdefault(override.rule, []).append(override)
    return found


def _override_problems(
    file: Path, number: int, override: Override, rules: Mapping[str, Rule], said: Collection[str]
) -> list[Problem]:
    """What is wrong with an override, checked together with the rule that it changes, if that can be read."""
    here, rule = f"overrides[{number}].", rules.get(override.rule)
    if rule is None:
        reason = f"no rule {override.rule!r}"
        return [] if override.rule in said else [Problem(str(file), f"{here}rule", reason, nearest(override.rule, rules))]
    return list(_at(file, here, override_faults(rule, override))) or _unfit(file, here, rule, override)


def _unfit(file: Path, here: str, rule: Rule, override: Override) -> list[Problem]:
    """What is wrong with the rule as overridden that was right before."""
    changed = {**msgspec.to_builtins(rule.when), **override.set}
    try:
        convert(changed, str(file), type(rule.when), f"{here}set")
    except ConfigInvalid as error:
        return list(error.problems)
    before = set(rule_faults(rule, Known()))
    after = (fault for fault in rule_faults(overridden(rule, [override]), Known()) if fault not in before)
    return [Problem(str(file), f"{here}set{path.removeprefix('when')}", reason, cure) for path, reason, cure in after]


def _rule_problems(
    file: Path, rules: Mapping[int, Rule], overrides: Mapping[int, Override], known: Known, site: Site | None
) -> Iterator[Problem]:
    """What is wrong with the rules of a file, and what they and overrides name that is nowhere."""
    for number, rule in rules.items():
        yield from _at(file, f"rules[{number}].", rule_faults(rule, known))
        yield from _at(file, f"rules[{number}].", site.rule_faults(rule.applies_to) if site else ())
    for number, override in overrides.items():
        yield from _at(file, f"overrides[{number}].", site.override_faults(override) if site else ())


def _strange_inhibitions(files: Iterable[_File], said: Collection[str]) -> Iterator[Problem]:
    """Kinds that inhibit what no file tells of, or themselves."""
    files = list(files)
    kinds = {one.id for _, content in files for one in content.kinds} | set(said)
    kinds |= {one.kind for _, content in files for one in content.rules}
    for file, content in files:
        for number, one in enumerate(content.kinds):
            here = f"kinds[{number}].inhibits"
            if one.id in one.inhibits:
                yield Problem(str(file), here, f"{one.id} cannot follow from itself", "name other kinds")
            for kind in sorted(set(one.inhibits) - kinds):
                yield Problem(str(file), here, f"no kind {kind!r}", nearest(kind, kinds))


def _duplicates(files: Iterable[_File]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for file, content in files:
        for what in ("rules", "lists", "calendars", "schedules", "kinds"):
            for number, one in enumerate(getattr(content, what)):
                here = f"{what}[{number}]"
                first = seen.setdefault((what, one.id), f"{file}: {here}")
                if first != f"{file}: {here}":
                    yield Problem(str(file), f"{here}.id", f"{one.id!r} is already {first}", "each id stands once in all files")
