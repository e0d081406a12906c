"""Series in few words: ``20+0.5x30 _x5 stale`` is what a sensor says, one word after the other at equal distances.

``a`` says a value once, ``axn`` n times; ``a+bxn`` and ``a-bxn`` say a, then n more, each by b up or down. ``_`` says nothing,
``_xn`` nothing n times. ``stale`` repeats the last value as one of unknown age; ``silent`` is the gateway's word that the device
does not answer. A value is a number, ``true``, ``false``, or any other word as text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from telemetry.metric import Value

MAX_WORDS = 10_000

_RAMP = re.compile(r"(?P<first>-?\d+(?:\.\d+)?)(?P<sign>[+-])(?P<step>\d+(?:\.\d+)?)x(?P<times>\d{1,5})")
_REPEAT = re.compile(r"(?P<word>.+?)x(?P<times>\d{1,5})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_TIME = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


class Word(NamedTuple):
    """``said`` is ``""``, ``stale`` or ``silent``; ``value`` is ``None`` when nothing is said."""

    value: Value | None
    said: str = ""


def words(text: str) -> list[Word]:
    """Raises ``ValueError`` for a series that is too long or whose ``stale`` has nothing before it."""
    found: list[Word] = []
    for part in text.split():
        if part == "stale":
            if not found or found[-1].value is None:
                raise ValueError("nothing stands before 'stale'")
            found.append(Word(found[-1].value, "stale"))
        else:
            found += _expanded(part)
        if len(found) > MAX_WORDS:
            raise ValueError(f"more than {MAX_WORDS} readings")
    return found


def seconds(text: float | str) -> float:
    """Seconds, or a time as ``1d2h30m`` in seconds. Raises ``ValueError``."""
    if not isinstance(text, str):
        return float(text)
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time, as 90 or 1d2h30m10s")
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _expanded(part: str) -> Iterator[Word]:
    if ramp := _RAMP.fullmatch(part):
        step = float(ramp["sign"] + ramp["step"])
        yield from (Word(round(float(ramp["first"]) + step * number, 9)) for number in range(int(ramp["times"]) + 1))
    elif repeat := _REPEAT.fullmatch(part):
        yield from [_word(repeat["word"])] * int(repeat["times"])
    else:
        yield _word(part)


def _word(text: str) -> Word:
    match text:
        case "_":
            return Word(None)
        case "silent":
            return Word(None, "silent")
        case "true" | "false":
            return Word(text == "true")
        case _:
            return Word(float(text) if _NUMBER.fullmatch(text) else text)
