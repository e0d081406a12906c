"""Why an alert was raised, or why none was: the readings that decided, the phase after each, and in a sentence. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from ingest.alerts.machine import Change
from ingest.alerts.memory import Graded, Held, Occurred, Watched
from ingest.alerts.review import Course, Step
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Watcher
from ingest.alerts.text import plain
from ingest.alerts.when import Absence, Dated, Mean, Threshold, seconds_of
from telemetry.metric import Value
from telemetry.presence import Device, Words

MAX_TRACE = 40
"""Readings shown; those at which something changed stay, and the newest of the others."""

_CHINA = timezone(timedelta(hours=8))
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Traced(NamedTuple):
    """One reading, or with an empty ``device`` the passing of time, and the phase after it. ``change``: raise, grade, clear."""

    at: int
    device: str
    values: Mapping[str, Value]
    phase: str
    change: str


class Limit(NamedTuple):
    """The limit in force, with where it stands and its first and last day, if it says them."""

    value: float
    clause: str
    valid_from: str | None
    valid_to: str | None


def phase_of(state: object) -> str:
    """Clear, pending, firing or easing; of a machine of events clear or firing; of a sequence also pending, while an excuse may
    come."""
    match state:
        case Held(phase=phase):
            return phase.value
        case Graded(inner=inner):
            return phase_of(inner)
        case Occurred(active=active):
            return "firing" if active else "clear"
        case Watched(raised=raised, coming=coming):
            return "firing" if raised else "pending" if coming else "clear"
        case _:
            return "clear"


def traced(steps: Iterable[Step], metrics: frozenset[str]) -> list[Traced]:
    """The steps that people are shown, in their order."""
    found: list[tuple[bool, Traced]] = []
    before = "clear"
    for step in steps:
        phase = phase_of(step.state)
        changes = [one.change.value for one in step.transitions]
        values = {} if step.sample is None else {name: value for name, value in step.sample.values.items() if name in metrics}
        line = Traced(step.at, step.sample.device if step.sample else "", values, phase, ", ".join(changes))
        if step.sample is not None or changes:
            found.append((bool(changes) or phase != before, line))
        before = phase
    while len(found) > MAX_TRACE:
        place = next((number for number, (decisive, _) in enumerate(found) if not decisive), 0)
        del found[place]
    return [line for _, line in found]


def limit_of(rule: Rule, at: int) -> Limit | None:
    """The limit of a threshold or a mean that is in force at an instant."""
    when = rule.when
    if not isinstance(when, Threshold | Mean):
        return None
    day = (_START + timedelta(microseconds=at)).astimezone(_CHINA).date().isoformat()
    for one in when.dated:
        if _is_in_force(one, day):
            return Limit(one.raise_at, one.clause, one.valid_from, one.valid_to)
    return Limit(when.raise_at, "", None, None)


def _is_in_force(dated: Dated, day: str) -> bool:
    return (dated.valid_from or "") <= day <= (dated.valid_to or "9999-12-31")


def why(text: Words, rule: Rule, version: str, opened_at: int, trace: Sequence[Traced]) -> Words:
    """One sentence: what it said, for how long it had to hold, and by which reading it was known."""
    opened, seconds = clock(opened_at), plain(seconds_of(rule.when))
    raising = next((one for one in trace if one.at >= opened_at and Change.RAISE.value in one.change), None)
    said = [one for one in trace if one.values and (raising is None or one.at <= raising.at)][-1:]
    zh_said = "".join(f"，依据 {clock(one.at)} 的读数 {_values(one.values)}" for one in said)
    en_said = "".join(f", by the reading of {clock(one.at)}: {_values(one.values)}" for one in said)
    return Words(
        f"{text.zh.rstrip('。')}：{opened} 起满足规则 {rule.id}（版本 {version}，须持续 {seconds} 秒）{zh_said}。"[:MAX_WORDS],
        f"{text.en.rstrip('.')}: rule {rule.id} (version {version}, to hold for {seconds} s) held at {opened}{en_said}."[
            :MAX_WORDS
        ],
    )


MAX_WORDS = 1_000


class Reason(NamedTuple):
    """One thing that keeps a rule silent."""

    zh: str
    en: str


def why_not(watcher: Watcher | None, rule: Rule, device: Device | None, zone: str, name: str, community: str) -> list[Reason]:
    """Why a rule does not look at a device at all; ``watcher`` is the rule's when it does."""
    to = rule.applies_to
    found: list[Reason] = []
    if watcher is not None:
        return found
    if to.kinds and device is not None and device.kind not in to.kinds:
        found.append(
            Reason(
                f"设备类别是 {device.kind}，规则只看 {_listed(to.kinds)}",
                f"it is {device.kind}; the rule looks at {_listed(to.kinds)}",
            )
        )
    if to.communities and not community.startswith(to.communities):
        found.append(Reason(f"小区 {community} 不在规则范围内", f"community {community} is not among the rule's"))
    if to.devices and name not in to.devices:
        found.append(Reason("设备不在规则名单内", "the device is not among the rule's"))
    if to.zones and zone not in to.zones:
        found.append(Reason(f"区域 {zone or '未知'} 不在规则范围内", f"zone {zone or 'unknown'} is not among the rule's"))
    if to.profiles and (device is None or device.profile not in to.profiles):
        model = device.profile if device else "unknown"
        found.append(Reason(f"型号 {model} 不在规则范围内", f"profile {model} is not among the rule's"))
    if rule.subject == "zone" and not zone:
        found.append(Reason("规则按区域判断，而设备没有区域", "the rule judges zones, and the device has none"))
    return found or [Reason("规则不适用于该设备", "the rule does not look at this device")]


def silence(rule: Rule, course: Course | None, before: str, at: int, metrics: Iterable[str]) -> Reason:
    """Why a rule that looks at a device did not speak at an instant; ``before`` is the phase then."""
    told = "、".join(sorted(metrics))
    if isinstance(rule.when, Absence):
        return Reason("缺报由网关的进度判断，不能回放", "an absence is judged by its gateway's progress and cannot be run again")
    if course is None:
        return Reason(f"此前没有带 {told} 的读数", f"no reading told {told} before")
    if course.failed:
        return Reason("规则在判断时出错", "the rule raised an error")
    match before:
        case "firing" | "easing":
            return Reason("告警当时处于触发状态", "the alert stood at that instant")
        case "pending":
            due = course.due
            by = f"，最早 {clock(due)} 触发" if due else ""
            return Reason(
                f"条件已满足但持续时间不够{by}",
                f"the condition held, but not for long enough{f'; due at {clock(due)}' if due else ''}",
            )
        case _:
            return Reason("条件不满足", "the condition did not hold")


def clock(at: int) -> str:
    """An instant by China's clock."""
    return (_START + timedelta(microseconds=at)).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={plain(value)}" for name, value in sorted(values.items()))


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))
