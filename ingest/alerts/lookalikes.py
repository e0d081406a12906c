"""Spellings that a camera may have read in place of a plate: one character taken for one that looks like it.

Only a hash of a plate reaches the rules, so that nearness cannot be measured there; the spellings are made from the list instead.
"""

from telemetry.privacy import normalise

ALIKE = ("0ODQ", "1IL", "2Z", "5S", "6G", "8B", "VY", "苏鲁")
"""Characters that recognition takes for each other."""

_OTHERS = {one: tuple(other for other in group if other != one) for group in ALIKE for one in group}


def lookalikes(plate: str) -> frozenset[str]:
    """Every spelling that differs from the plate in one character that looks alike; never the plate itself."""
    text = normalise(plate)
    return frozenset(f"{text[:at]}{other}{text[at + 1 :]}" for at, one in enumerate(text) for other in _OTHERS.get(one, ()))
