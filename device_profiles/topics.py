"""Topic patterns of device families: ``{name}`` stands for one level, ``{name...}`` for one or several, ``+`` for any one.

A device's address fills the names; what is left is an MQTT topic filter.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from device_profiles.registers import Unfit

if TYPE_CHECKING:
    from device_profiles.profile import MqttMap, Profile

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)(\.\.\.)?\}")


def names(pattern: str) -> frozenset[str]:
    """The parameters of a pattern."""
    return frozenset(found[1] for found in _NAME.finditer(pattern))


def deep_names(pattern: str) -> frozenset[str]:
    """Those of them that may span several levels."""
    return frozenset(found[1] for found in _NAME.finditer(pattern) if found[2])


def faults(pattern: str) -> Iterator[str]:
    """What is wrong with a pattern."""
    rest = _NAME.sub("x", pattern)
    if set(rest) & set("{}"):
        yield f"{pattern!r} has a brace that is no parameter: write {{name}} or {{name...}}"
    if "#" in rest or "\0" in rest:
        yield f"{pattern!r} has a # or a NUL: name each topic"
    if any("+" in level and level != "+" for level in rest.split("/")):
        yield f"{pattern!r}: + stands for a whole level"


def fill(pattern: str, parameters: Mapping[str, str]) -> str:
    """The topic filter of a device. Raises ``KeyError`` for a parameter that is not given."""
    return _NAME.sub(lambda found: parameters[found[1]], pattern)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter without ``#`` matches a topic."""
    if "+" not in topic_filter:
        return topic_filter == topic
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(one in ("+", level) for one, level in zip(wanted, levels, strict=True))


def subscriptions(profile: "Profile", parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The topic filters a device of this profile is heard on. Raises ``KeyError`` for a parameter that is not given."""
    if profile.mqtt is None:
        return ()
    filled = {**profile.mqtt.defaults, **parameters}
    return tuple(dict.fromkeys(fill(rule.topic, filled) for rule in profile.mqtt.rules))


def address_faults(profile: "Profile", parameters: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the parameters of a device's address, by parameter; empty when they fill every topic of its profile.

    A profile that does not speak MQTT has no parameters.
    """
    if profile.mqtt is None:
        return dict.fromkeys(parameters, f"profile {profile.id} does not speak MQTT")
    wanted, known = profile.mqtt.parameters, profile.mqtt.known
    found = dict.fromkeys(sorted(wanted - parameters.keys()), "is missing")
    found |= dict.fromkeys(sorted(parameters.keys() - known), f"is no parameter of {profile.id}")
    for name in sorted(known & parameters.keys()):
        value = parameters[name]
        if not value or set(value) & set("+#\0") or len(value) > 256:
            found[name] = f"{value!r} cannot stand in a topic"
        elif "/" in value and name not in profile.mqtt.deep:
            found[name] = f"{value!r} has several levels; one is meant"
        elif (fault := _value_fault(profile.mqtt, name, value)) is not None:
            found[name] = fault
    return found


def _value_fault(mqtt: "MqttMap", name: str, value: str) -> str | None:
    """What is wrong with a parameter that is itself the value of a point."""
    for pick in (pick for rule in mqtt.rules for pick in rule.picks if pick.take.parameter == name):
        try:
            pick.conversion.value(value)
        except Unfit:
            return f"{value!r} is no {pick.point.name}"
    return None
