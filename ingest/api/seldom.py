"""A logger that strangers can make speak: each of its warnings once a minute, with how often it came meanwhile."""

import logging
import time
from collections.abc import Callable

EVERY_S = 60.0
MESSAGES = 100
"""How many different warnings are told apart; the library's own are few and fixed."""


class Seldom(logging.Filter):
    """Lets errors pass, and of equal warnings the first of each ``EVERY_S`` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.WARNING:
            return True
        now, message = self._clock(), record.getMessage()
        at, held_back = self._said.get(message, (-EVERY_S, 0))
        if now - at < EVERY_S:
            self._said[message] = (at, held_back + 1)
            return False
        if len(self._said) >= MESSAGES:
            self._said.clear()
        self._said[message] = (now, 0)
        if held_back:
            record.msg, record.args = f"{message} ({held_back} more before)", None
        return True
