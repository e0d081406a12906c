"""Tells the rules which gateways are gone, so that each is an alert: what is behind a gateway is unknown while it is.

1. A gateway is gone when it or its broker said so (the last will), or when it is said to be there and nothing of it has come for
   ``SILENT_US`` while others speak: when nobody does, it is our side that is deaf.
2. While the centre has no connection to the broker, and ``SETTLE_US`` after it, nothing is said: nothing is known.
3. Only a change is told. After a start every gateway is told once, those that are gone first: what a rule had begun to time may
   be over. At most ``MAX_TOLD`` at a time.

How long a gateway may be gone before somebody is told is the rule's.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from telemetry.identity import GatewayRef
from telemetry.metric import Kind, Value
from telemetry.reading import Micros, Reading

EVERY_US = 5_000_000
SILENT_US = 30_000_000
SETTLE_US = 30_000_000
MAX_TOLD = 200


class Attendance(NamedTuple):
    """What is known of a gateway's being there: what it or its broker said last and when that came; when its newest batch came,
    0 when none did since the start."""

    online: bool
    said_at: int
    spoke_at: int


class Roll(Protocol):
    """Who should be there."""

    def attendance(self) -> Mapping[GatewayRef, Attendance]: ...

    def safety_devices(self, ref: GatewayRef) -> int:
        """How many devices behind it protect life."""
        ...


class GatewayWatch:
    """``observe`` judges a reading that the centre makes of a gateway. Times are UTC microseconds, the wall's."""

    def __init__(self, roll: Roll, observe: Callable[[GatewayRef, Reading, int], Awaitable[None]]) -> None:
        self._roll = roll
        self._observe = observe
        self._said: dict[GatewayRef, dict[str, Value]] = {}
        self._looked_at: int | None = None
        self._hears_since: int | None = None

    async def look(self, now: int, connected: bool) -> None:
        """Looks every five seconds, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        if not connected:
            self._hears_since = None
            return
        if self._hears_since is None or now < self._hears_since:
            self._hears_since = now
        is_early = self._looked_at is not None and 0 <= now - self._looked_at < EVERY_US
        if is_early or now - self._hears_since < SETTLE_US:
            return
        words = self._roll.attendance()
        gone = absent(words, now, self._hears_since)
        news = [(ref, values) for ref in sorted(words) if (values := self._values(ref, gone)) != self._said.get(ref)]
        news.sort(key=lambda one: bool(one[1]["online"]))
        for ref, values in news[:MAX_TOLD]:
            await self._observe(ref, Reading(device=ref.gateway, kind=Kind.GATEWAY, at=Micros(now), values=values), now)
            self._said[ref] = values
        if len(news) <= MAX_TOLD:
            self._looked_at = now

    def _values(self, ref: GatewayRef, gone: frozenset[GatewayRef]) -> dict[str, Value]:
        return {"online": False, "safety_devices": self._roll.safety_devices(ref)} if ref in gone else {"online": True}


def absent(words: Mapping[GatewayRef, Attendance], now: int, hears_since: int) -> frozenset[GatewayRef]:
    """The gateways that are gone, by what has been heard since the centre hears."""
    newest = max((word.spoke_at for word in words.values()), default=0)
    is_deaf = now - newest >= SILENT_US
    return frozenset(
        ref
        for ref, word in words.items()
        if not word.online or (not is_deaf and now - max(word.spoke_at, word.said_at, hears_since) >= SILENT_US)
    )
