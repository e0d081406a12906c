"""The rules run over readings of the past: what alerts there were by them, and what each reading did. Pure.

1. The machines are those that judge live readings, from their beginning on: a review of all that was said, in the order in
   which it was said, comes to what living through it in order would have come to.
2. A reading counts here as it does for the engine: bad ones and those that a rule does not look at change nothing.
3. A rule that raises an error loses that subject's review, and no other.

A review begins some time before what it is asked about (``lookback_us``), so that every clock and window is full by then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from ingest.alerts import flapping
from ingest.alerts.anomaly import SIBLING_US
from ingest.alerts.episode import Episode, Key, acknowledged
from ingest.alerts.ledger import Moved, after
from ingest.alerts.machine import Change, Machine, Sample, Transitions
from ingest.alerts.memory import Graded, Held, Judged, Occurred, Watched
from ingest.alerts.quiet import with_
from ingest.alerts.rule import Rule
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.when import Absence, AllOf, Anomaly, AnyOf, Forecast, When, micros
from ingest.alerts.when import Sequence as Succession
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.quality import Quality
from telemetry.reading import Reading

MARGIN_US = 3_600_000_000
"""More than the clocks and windows of a rule need: devices say little while nothing changes."""

LEARNT = ("cusum", "ewma", "seasonal")
"""Methods that go by all that was ever said: a review cannot begin for them but from a state that was kept."""

FADED = 20
"""Windows after which ``holt`` has forgotten where it began, to the last digit that a number has."""


class Places(Protocol):
    """What exists, and where."""

    def find(self, ref: GatewayRef, device: str) -> Device | None: ...

    def zone_of(self, ref: GatewayRef, device: str) -> str: ...


class Heard(NamedTuple):
    """A reading and the gateway that it came by."""

    ref: GatewayRef
    reading: Reading


class Step(NamedTuple):
    """The state that a sample led to, or with ``sample`` ``None`` the passing of time until ``at``."""

    at: int
    sample: Sample | None
    state: Any
    transitions: Transitions


@dataclass
class Course:
    """How one rule went at one subject. ``seen`` is the newest reading of its subject, whether it says anything to it or not."""

    key: Key
    watcher: Watcher
    machine: Machine[Any]
    state: Any
    gateway: str
    device: str
    seen: int = 0
    moves: list[Moved] = field(default_factory=list)
    failed: bool = False

    def judge(self, heard: Heard, places: Places) -> Step | None:
        """What a reading does; ``None`` when the rule raised an error, now or before."""
        reading = heard.reading
        sample = Sample(reading.at, reading.device, reading.values, reading.quality is not Quality.STALE)
        self.gateway, self.device, self.seen = heard.ref.gateway, reading.device, max(self.seen, reading.at)
        return self._taken(lambda: self.machine.advance(self.state, sample), reading.at, sample, places)

    def fire(self, until: int, places: Places) -> Step | None:
        """What the passing of time does."""
        return self._taken(lambda: self.machine.fire(self.state, until), until, None, places)

    @property
    def due(self) -> int | None:
        """When the passing of time next does something."""
        return None if self.failed else self.machine.due(self.state)

    def raised_before(self, at: int) -> bool:
        """Whether the alert stood at the last instant before ``at``."""
        past = [moved.transition.change for moved in self.moves if moved.transition.at < at]
        return bool(past) and past[-1] is not Change.CLEAR

    def _taken(self, turn: Callable[[], tuple[Any, Transitions]], at: int, sample: Sample | None, places: Places) -> Step | None:
        if self.failed:
            return None
        try:
            self.state, transitions = turn()
        except Exception:
            self.failed = True
            return None
        self.moves += (self._moved(one, places) for one in transitions)
        return Step(at, sample, self.state, transitions)

    def _moved(self, transition: Any, places: Places) -> Moved:
        device = transition.device or self.device
        ref = GatewayRef(self.key.community, self.gateway)
        found = places.find(ref, device)
        place, zone = found.place if found else None, places.zone_of(ref, device)
        return Moved(self.key, self.watcher, transition, self.gateway, device, place, zone)


class Review:
    """Hears readings in the order of their instants; ``only`` names the rules that count, or all do."""

    def __init__(
        self,
        rules: Rules,
        places: Places,
        only: Iterable[str] | None = None,
        subject: str | None = None,
        states: Mapping[Key, Judged] = MappingProxyType({}),
    ) -> None:
        """With ``subject`` the others are passed over. ``states`` are those that do not begin at their beginning."""
        self._rules = rules
        self._places = places
        self._only = None if only is None else frozenset(only)
        self._subject = subject
        self._states = states
        self._watching: dict[tuple[GatewayRef, str, Kind], Sequence[tuple[Watcher, str]]] = {}
        self.courses: dict[Key, Course] = {}

    def hear(self, heard: Heard) -> Iterator[tuple[Course, Step]]:
        """Judges one reading by every rule that looks at it. Nothing is judged that is not iterated over."""
        reading = heard.reading
        if reading.quality is Quality.BAD or not reading.values:
            return
        for watcher, subject in self._watchers(heard):
            rule = watcher.rule
            discriminator = str(reading.values.get(rule.discriminator, "")) if rule.discriminator else ""
            if rule.discriminator and not discriminator:
                continue
            course = self._course(Key(rule.id, heard.ref.community, subject, discriminator), watcher, heard)
            course.seen = max(course.seen, reading.at)
            if course.machine.metrics.isdisjoint(reading.values):
                continue
            if (step := course.judge(heard, self._places)) is not None:
                yield course, step

    def fire(self, until: int) -> None:
        """Lets time pass for every subject."""
        for course in self.courses.values():
            course.fire(until, self._places)

    def _course(self, key: Key, watcher: Watcher, heard: Heard) -> Course:
        course = self.courses.get(key)
        if course is None:
            machine = watcher.machine(key.community)
            state = self._states.get(key, machine.initial)
            course = Course(key, watcher, machine, state, heard.ref.gateway, heard.reading.device)
            self.courses[key] = course
        return course

    def _watchers(self, heard: Heard) -> Sequence[tuple[Watcher, str]]:
        """The rules that look at a device, each with whose episode it would be."""
        ref, reading = heard
        place = (ref, reading.device, reading.kind)
        if place not in self._watching:
            device, zone = self._places.find(ref, reading.device), self._places.zone_of(ref, reading.device)
            found = self._rules.watching(reading.kind, ref.community, reading.device, device, zone)
            named = ((one, one.subject(ref.gateway, reading.device, zone)) for one in found)
            self._watching[place] = tuple(
                (one, subject)
                for one, subject in named
                if (self._only is None or one.rule.id in self._only) and self._subject in (None, subject)
            )
        return self._watching[place]


def lookback_us(rule: Rule) -> int | None:
    """How long before an instant a review must begin to be right at it; ``None`` when it cannot be told.

    Twice all the times that the rule names and an hour: a clock that ran when the review began has come to its end by then.
    """
    if isinstance(rule.when, Absence) or is_learnt(rule):
        return None
    parts = list(_parts(rule))
    siblings = SIBLING_US if any(isinstance(one, Anomaly) and one.method == "peers" for one in parts) else 0
    fading = [FADED * one.window_s for one in parts if isinstance(one, Forecast) and one.method == "holt"]
    seconds = _times({**msgspec.to_builtins(rule), "lateness": None})
    return 2 * (micros(seconds) + siblings) + micros(max(fading, default=0.0)) + MARGIN_US


def is_learnt(rule: Rule) -> bool:
    """Whether it goes by all that was ever said."""
    return any(isinstance(one, Anomaly) and one.method in LEARNT for one in _parts(rule))


def reach_us(rule: Rule) -> int:
    """How long before a reading the episode may have begun that it excuses."""
    return micros(rule.when.before_s + rule.when.settle_s) if isinstance(rule.when, Succession) else 0


def newest_judged(state: object) -> int:
    """The newest sample that a state goes by."""
    match state:
        case Held(seen=seen):
            return seen
        case Occurred(last=last):
            return last
        case Watched(sides=sides, excuses=excuses):
            return max((*(side.at for side in sides.values()), *excuses), default=0)
        case Graded(inner=inner, stages=stages):
            return max(newest_judged(inner), *(stage.seen for stage in stages), 0)
        case _:
            return 0


def episodes(moves: Iterable[Moved], known: Sequence[Episode] = ()) -> list[Episode]:
    """The episodes that transitions make, in the order of their beginnings.

    A person's word on one of ``known`` counts as it did then: what was acknowledged and over is never reopened. One that flaps
    goes on as long as it does.
    """
    found: list[Episode] = []
    raised: list[int] = []
    for moved in moves:
        at = moved.transition.at
        newest = _with_word(found[-1], known, at) if found else None
        flaps = False
        if moved.transition.change is Change.RAISE:
            before = sum(at - flapping.WINDOW_US < one <= at for one in raised)
            raised = [*raised, at][-flapping.LOOKED_BACK :]
            if newest is not None:
                flapped = newest.alert.flapping and flapping.flaps(True, before)
                flaps = flapping.flaps(flapped, before + 1)
                newest = with_(newest, flapping=flapped and flaps)
        came = after(newest, moved)
        if came is None:
            continue
        episode, word = came
        if moved.transition.change is Change.RAISE:
            episode = with_(episode, flapping=flaps)
        if word == "opened":
            found.append(episode)
        else:
            found[-1] = episode
    return found


def _with_word(episode: Episode, known: Sequence[Episode], at: int) -> Episode:
    alert = episode.alert
    for one in known:
        it = one.alert
        same = it.opened_at <= alert.opened_at and (one.over_at is None or one.over_at > alert.opened_at)
        if (same or it.opened_at == alert.opened_at) and it.acked_at is not None and it.acked_at <= at:
            return acknowledged(episode, it.acked_by or "", it.note, it.acked_at)
    return episode


def _parts(rule: Rule) -> Iterator[When]:
    """Its conditions, those of combinations and stages one by one."""
    for when in (rule.when, *(stage.when for stage in rule.stages if stage.when is not None)):
        yield from when.of if isinstance(when, AllOf | AnyOf) else (when,)


def _times(plain: object) -> float:
    """The sum of all seconds within a rule; what peers would have to learn is nothing."""
    if isinstance(plain, dict):
        own = {name: value for name, value in plain.items() if not (name == "learn_s" and plain.get("method") == "peers")}
        seconds = (value for name, value in own.items() if name.endswith("_s") and isinstance(value, int | float))
        return sum(seconds) + sum(_times(value) for value in own.values())
    return sum(map(_times, plain)) if isinstance(plain, list | tuple) else 0.0
