"""MQTT messages of a device to observations: which rules apply, what each says, when, and how far it is believed.

Pure and total: on whatever bytes, ``extract`` returns observations or raises ``PayloadInvalid``.

1. A retained copy is a state of unknown age, never an event: events in it say nothing, state is stale.
2. Identifiers of people and vehicles leave here masked and hashed; in clear only where the community's keys say so.
3. A field that is missing changes nothing; one that is wrong costs that field alone, and its fault is said.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from device_profiles import plates, topics
from device_profiles.clock import device_time
from device_profiles.conversion import key_of
from device_profiles.format import Personal
from device_profiles.payload import MISSING, Condition, Heard, Path, PayloadInvalid, at, decode_json, decode_text
from device_profiles.profile import MessageRule, Pick, Point, Profile
from device_profiles.registers import Unfit
from telemetry.metric import Kind, Value
from telemetry.privacy import mask, normalise, reference
from telemetry.quality import Quality

MAX_EACH = 1_000
_MAX_EVENT_ID = 128


class Message(NamedTuple):
    """One MQTT message as it came; ``arrived_at`` in UTC microseconds."""

    topic: str
    payload: bytes
    retained: bool
    arrived_at: int


class Observation(NamedTuple):
    """What a message says: metrics in their own units; ``at`` is ``None`` where the arrival counts.

    ``faults`` tells, by metric, what came and could not be taken.
    """

    values: dict[str, Value]
    at: int | None = None
    event_id: str | None = None
    quality: Quality = Quality.GOOD
    urgent: bool = False
    faults: dict[str, str] | None = None


class Keys(NamedTuple):
    """``personal``: the community's key for hashes. ``clear``: kinds of identifiers (plate, credential) kept unmasked."""

    personal: bytes
    clear: frozenset[str] = frozenset()


class _Route(NamedTuple):
    """A rule with the parameters of one device filled in."""

    topic: str
    rule: MessageRule
    conditions: tuple[Condition, ...]
    picks: tuple[Pick, ...]


class _Taken(NamedTuple):
    values: dict[str, Value]
    faults: dict[str, str]
    hashes: dict[Path, str]
    urgent: bool


def extract(profile: Profile, parameters: Mapping[str, str], message: Message, keys: Keys) -> tuple[Observation, ...]:
    """The observations in a message for the device with these topic parameters; empty when it is none of its business.

    Raises ``PayloadInvalid`` for a payload that cannot be decoded, and ``KeyError`` for a parameter that is not given.
    """
    routes = _routes(profile, tuple(sorted(parameters.items())))
    here = [route for route in routes if topics.matches(route.topic, message.topic)]
    if not here or not message.payload:  # a retained message is deleted by an empty one
        return ()
    found: list[Observation] = []
    undecodable: PayloadInvalid | None = None
    for route in here:
        try:
            found += _observations(profile, route, message, keys)
        except PayloadInvalid as error:  # a firmware's older form may be another rule's
            undecodable = error
    if undecodable is not None and not found:
        raise undecodable
    return tuple(found)


@lru_cache(maxsize=16_384)
def _routes(profile: Profile, parameters: tuple[tuple[str, str], ...]) -> tuple[_Route, ...]:
    if profile.mqtt is None:
        return ()
    filled = {**profile.mqtt.defaults, **dict(parameters)}
    return tuple(
        _Route(
            topics.fill(rule.topic, filled),
            rule,
            tuple(condition.bound(filled) for condition in rule.conditions),
            tuple(pick._replace(take=pick.take.bound(filled)) for pick in rule.picks),
        )
        for rule in profile.mqtt.rules
    )


def _observations(profile: Profile, route: _Route, message: Message, keys: Keys) -> Iterator[Observation]:
    rule = route.rule
    if message.retained and rule.retained == "ignore":
        return
    whole = decode_json(message.payload) if rule.json else decode_text(message.payload)
    for heard in _heard(rule, whole, message.topic):
        if all(condition.holds(heard) for condition in route.conditions) and _changed(rule, heard):
            observation = _observation(profile, route, heard, message, keys)
            if observation is not None:
                yield observation


def _heard(rule: MessageRule, whole: Any, topic: str) -> list[Heard]:
    all_of_it = Heard(whole, whole, topic)
    if rule.each is None:
        return [all_of_it]
    found = at(all_of_it, rule.each)
    return [Heard(element, whole, topic) for element in found[:MAX_EACH]] if isinstance(found, list) else []


def _changed(rule: MessageRule, heard: Heard) -> bool:
    if not rule.any_changed:
        return True
    try:
        return any(at(heard, before) != at(heard, after) for before, after in rule.any_changed)
    except RecursionError as error:
        raise PayloadInvalid("nested too deeply") from error


def _observation(profile: Profile, route: _Route, heard: Heard, message: Message, keys: Keys) -> Observation | None:
    rule, taken = route.rule, _taken(route.picks, heard, keys)
    if any(name not in taken.values for name in rule.require):
        return None
    _derive(profile, taken)
    event = _event(rule, heard)
    if rule.event is not None and event is None:
        return None
    if event is not None:
        taken.values["event"] = event
    if not taken.values and not taken.faults:
        return None
    happened, quality = _when(rule, heard, message)
    if not taken.values:
        quality = Quality.BAD
    urgent = event is not None or taken.urgent or profile.kind in (Kind.ACCESS, Kind.SAFETY)
    event_id = None if event is None else _event_id(rule, heard, taken.hashes)
    return Observation(taken.values, happened, event_id, quality, urgent, taken.faults or None)


def _when(rule: MessageRule, heard: Heard, message: Message) -> tuple[int | None, Quality]:
    quality = Quality.STALE if message.retained and rule.retained == "stale" else Quality.GOOD
    told = MISSING if rule.clock is None else at(heard, rule.clock.path)
    if rule.clock is None or told is MISSING or told is None:
        return None, quality
    happened = device_time(rule.clock, told, message.arrived_at)
    if happened is None and quality is Quality.GOOD:
        quality = Quality.UNCERTAIN
    return happened, quality


def _taken(picks: tuple[Pick, ...], heard: Heard, keys: Keys) -> _Taken:
    taken = _Taken({}, {}, {}, any(pick.point.urgent for pick in picks))
    for point, take, conversion in picks:
        try:
            raw = take.raw(heard)
            if raw is MISSING:
                continue
            value = conversion.value(raw)
        except Unfit as error:
            if point.metric is not None:
                taken.faults[point.metric] = f"bad: {error}"
            continue
        if point.personal is None:
            taken.values[point.metric or point.name] = value
        elif (identifier := _cleaned(point, str(value))) != "":
            taken.values.update(_guarded(point, point.metric or point.name, identifier, keys))
            if take.steps is not None:
                taken.hashes[take.steps] = reference(identifier, keys.personal)
    return taken


def _derive(profile: Profile, taken: _Taken) -> None:
    """Adds what is worked out of the values of this message; nothing where one of them did not come."""
    for point in profile.derived:
        if point.derivation is None or point.metric is None or not point.derivation.points:
            continue
        inputs = {name: profile.points[name].metric or name for name in point.derivation.points}
        if not all(metric in taken.values for metric in inputs.values()):
            continue
        try:
            known = {name: taken.values[metric] for name, metric in inputs.items()}
            taken.values[point.metric] = point.conversion.value(point.derivation.value(known))
        except Unfit as error:
            taken.faults[point.metric] = f"bad: {error}"


def _cleaned(point: Point, identifier: str) -> str:
    if point.personal is Personal.PLATE:
        return plates.clean(identifier)
    return identifier.strip() if normalise(identifier) else ""


def _guarded(point: Point, metric: str, identifier: str, keys: Keys) -> dict[str, Value]:
    hashed = reference(identifier, keys.personal)
    if point.personal is Personal.PERSON:
        return {metric: hashed}
    shown = normalise(identifier) if point.personal in keys.clear else mask(identifier)
    return {metric: shown, f"{metric}_ref": hashed}


def _event(rule: MessageRule, heard: Heard) -> str | None:
    if not isinstance(rule.event, tuple):
        return rule.event
    where, named = rule.event
    found = at(heard, where)
    return named.get(key_of(found)) if isinstance(found, str | int | float) else None


def _event_id(rule: MessageRule, heard: Heard, hashes: Mapping[Path, str]) -> str | None:
    """The key of an event, ``None`` when a part of it is missing; an identifier in it is hashed."""
    parts: list[str] = []
    for take in rule.event_id:
        try:
            found = hashes.get(take.steps or ()) or take.raw(heard)
        except Unfit:
            return None
        if not isinstance(found, str | int | float):
            return None
        parts.append(key_of(found))
    key = ":".join(parts)
    if not key:
        return None
    return key if len(key) <= _MAX_EVENT_ID else hashlib.sha256(key.encode()).hexdigest()
