"""The words of an alert: plain ``{name}`` from a fixed set, and nothing else between braces."""

import re
from collections.abc import Mapping

from telemetry.metric import Value

NAMES = frozenset(("place", "value", "limit", "unit", "device", "zone", "seconds", "clause"))

_BRACES = re.compile(r"\{([^{}]*)\}")


def faults(template: str) -> list[str]:
    """What is wrong with a template: names outside the set (attributes, formats), stray braces."""
    found = [f"{{{name}}} is not a name that can stand here" for name in _BRACES.findall(template) if name not in NAMES]
    if set(_BRACES.sub("", template)) & set("{}"):
        found.append("a brace stands alone")
    return found


def render(template: str, words: Mapping[str, str]) -> str:
    """``template`` with its names replaced; a replacement is never looked into again."""
    return _BRACES.sub(lambda match: words.get(match[1], match[0]), template)


def plain(value: Value | None) -> str:
    """A value as a person reads it: numbers with at most six digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
