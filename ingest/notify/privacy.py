"""What a group may read of an alert: place and kind, and nothing that tells who. Pure.

1. Alerts about a person (``ingest.alerts.persons``) never reach a group.
2. Of values only numbers pass: text may be a plate, a card or a name.
3. What looks like a plate, a card, an identity number or a telephone number in the words is masked, whoever wrote them.
"""

import re

from telemetry.metric import Value

MASK = "***"

_PLATE = re.compile(
    "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领]"
    "[ ·•]?[A-Za-z][ ·•-]?[A-Za-z0-9*]{4,5}[A-Za-z0-9*挂学警港澳]"
)
_RUN = re.compile("(?<![0-9A-Za-z])[0-9A-Fa-f](?:[ -]?[0-9A-Fa-f]){6,18}[0-9A-FXa-fx](?![0-9A-Za-z])")
"""Eight signs or more of a number, decimal or hexadecimal; it is one when half of them are digits."""


def masked(words: str) -> str:
    """``words`` without plates, cards, identity and telephone numbers."""
    return _RUN.sub(_hidden, _PLATE.sub(MASK, words))


def number(value: Value | None) -> str:
    """A value that may be said to a group: a number as people read it, else ``""``."""
    if value is None or isinstance(value, bool | str):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _hidden(run: re.Match[str]) -> str:
    signs = [sign for sign in run[0] if sign.isalnum()]
    return MASK if 2 * sum(sign.isdigit() for sign in signs) >= len(signs) else run[0]
