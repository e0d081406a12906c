"""How much a channel takes: so many messages in so long, a part of them kept for red. Pure; the time is an argument.

1. In no window of any limit are there more messages than the limit, wherever the window begins: a bucket that refills would
   let twice as many pass.
2. The last ``reserve`` of each limit are for red alone.
3. A channel that says it has had enough gets nothing until the time it named.
4. When more waits than may still be sent one by one, one message tells them all.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")


class Limit(NamedTuple):
    """``reserve`` of ``most`` are for red."""

    most: int
    within_us: int
    reserve: int = 0


class Allowance:
    def __init__(self, limits: Sequence[Limit], sent: Iterable[int] = ()) -> None:
        """``sent``: when messages were sent lately, so that a restart opens no second allowance."""
        self._limits = limits
        self._longest = max((limit.within_us for limit in limits), default=0)
        self._sent = deque(sorted(sent))
        self._closed_until = 0

    def note(self, now: int) -> None:
        """A message went out."""
        self._sent.append(now)
        while self._sent and self._sent[0] <= now - self._longest:
            self._sent.popleft()

    def close(self, until: int) -> None:
        """Nothing before ``until``."""
        self._closed_until = max(self._closed_until, until)

    def left(self, now: int, red: bool) -> int | None:
        """How many may be sent now; ``None``: no limit."""
        if now < self._closed_until:
            return 0
        if not self._limits:
            return None
        return min(max(0, self._most(limit, red) - self._within(limit, now)) for limit in self._limits)

    def frees_at(self, now: int, red: bool) -> int:
        """When the next one may be sent, as it looks now."""
        at = max(now, self._closed_until)
        for limit in self._limits:
            most = self._most(limit, red)
            inside = [sent for sent in self._sent if sent > now - limit.within_us]
            if len(inside) >= most:
                at = max(at, inside[len(inside) - most] + limit.within_us)
        return at

    def _within(self, limit: Limit, now: int) -> int:
        return sum(sent > now - limit.within_us for sent in self._sent)

    def _most(self, limit: Limit, red: bool) -> int:
        return limit.most if red else limit.most - limit.reserve


def together(waiting: Sequence[_T], left: int | None, most: int) -> Sequence[_T]:
    """Which of those that wait go into the next message: one, or as many as fit when not each can have its own."""
    if left is None or len(waiting) < left or most == 1:
        return waiting[:1]
    return waiting[:most]
