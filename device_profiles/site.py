"""What the site knows and the model does not: parameters such as a transformer's ratio, bound into a profile.

A bound profile is used like any other: planned, decoded and encoded, with the site's factors inside.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import prod

from device_profiles.conversion import Conversion, exact
from device_profiles.profile import MqttMap, Pick, Point, Profile
from telemetry.document import nearest


def parameter_faults(profile: Profile, given: Mapping[str, float]) -> dict[str, str]:
    """What is wrong with the parameters of a device, by parameter; empty when its profile can be bound to them."""
    known = profile.parameters
    found = {
        name: f"is missing: {document.meaning}"
        for name, document in known.items()
        if document.default is None and name not in given
    }
    for name, value in given.items():
        if name not in known:
            found[name] = f"is no parameter of {profile.id}" + (f" ({nearest(name, known)})" if known else "")
        elif not known[name].range[0] <= value <= known[name].range[1]:
            low, high = known[name].range
            found[name] = f"{value:g} is out of range {low:g} to {high:g}"
    return found


def with_parameters(profile: Profile, given: Mapping[str, float]) -> Profile:
    """The profile of one device at its site; the profile itself where the model has no parameters.

    What ``parameter_faults`` finds is not checked again: a factor that is missing counts as 1.
    """
    return _bound(profile, tuple(sorted(given.items()))) if profile.parameters else profile


@lru_cache(maxsize=1024)
def _bound(profile: Profile, given: tuple[tuple[str, float], ...]) -> Profile:
    values = {name: document.default for name, document in profile.parameters.items() if document.default is not None}
    values |= dict(given)
    points = {name: _point(point, values) for name, point in profile.points.items()}
    return replace(profile, points=points, mqtt=None if profile.mqtt is None else _mqtt(profile.mqtt, points, values))


def _point(point: Point, values: Mapping[str, float]) -> Point:
    factor = _factor(point, values)
    link = point.derivation
    if link is not None:
        link = replace(link, given={name: values[name] for name in link.formula.names & values.keys()})
    if factor == 1:
        return replace(point, derivation=link)
    conversion = _times(point.conversion, factor)
    return replace(
        point,
        derivation=link,
        conversion=conversion,
        range=conversion.range,
        deadband=point.deadband * float(factor),
        wrap=None if point.wrap is None else point.wrap * float(factor),
    )


def _factor(point: Point, values: Mapping[str, float]) -> Fraction:
    return prod((exact(values[name]) for name in point.times if name in values), start=Fraction(1))


def _times(conversion: Conversion, factor: Fraction) -> Conversion:
    span = conversion.range
    scaled = None if span is None else (span[0] * float(factor), span[1] * float(factor))
    return replace(conversion.scaled(factor), range=scaled)


def _mqtt(mqtt: MqttMap, points: Mapping[str, Point], values: Mapping[str, float]) -> MqttMap:
    rules = tuple(
        replace(rule, picks=tuple(_pick(pick, points[pick.point.name], values) for pick in rule.picks)) for rule in mqtt.rules
    )
    return replace(mqtt, rules=rules)


def _pick(pick: Pick, point: Point, values: Mapping[str, float]) -> Pick:
    return Pick(point, pick.take, _times(pick.conversion, _factor(point, values)))
