"""The rules of a catalogue at another pace: what waits for minutes or hours waits a part of it, for who tries them.

1. What a rule asks for stays: its limits, its counts, and the windows in which several things must come together.
2. What it waits for is shorter: how long a condition must hold or be over, and the windows that must pass before it can.
"""

from typing import Any

WAITS = ("for_s", "clear_for_s", "after_s", "apart_s", "clear_after_quiet_s", "reopen_s", "failing_s")
WINDOWS = {"mean": "within_s", "flatline": "within_s", "anomaly": "learn_s"}
"""Of these conditions the window itself must pass."""

STILL = ("still", "no_rise", "no_fall")
LEAST_S = 1.0


def paced(document: Any, pace: float) -> Any:
    """A rules file as plain data, with its waits divided by ``pace``; none becomes shorter than a second."""
    if isinstance(document, list):
        return [paced(one, pace) for one in document]
    if not isinstance(document, dict):
        return document
    waits = {*WAITS, *_windows(document)}
    return {key: _shorter(value, pace) if key in waits else paced(value, pace) for key, value in document.items()}


def _windows(condition: dict[str, Any]) -> tuple[str, ...]:
    if condition.get("type") == "rate":
        return ("within_s",) if condition.get("course") in STILL else ()
    window = WINDOWS.get(str(condition.get("type")))
    return (window,) if window else ()


def _shorter(seconds: float, pace: float) -> float:
    """At pace 1 the same number, so that nothing is rewritten that need not be."""
    return seconds if pace == 1 or not seconds else max(round(seconds / pace, 3), min(seconds, LEAST_S))
