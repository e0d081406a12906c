"""Gateways that nobody registered, told in one line a minute at most: whoever reaches the broker must not fill the journal.

1. A line says how many it is about and names the first ``NAMED`` of them; one that was named is not told again.
2. One that was only counted is named when it comes again: a true gateway goes on sending, a made-up name does not.
3. Bounded: ``MAX_NAMED`` are remembered, and after that nothing more is said; ``MAX_WAITING`` are counted a minute.
"""

import structlog

from telemetry.identity import GatewayRef
from telemetry.reading import Micros

EVERY_US = 60_000_000
NAMED = 10
MAX_NAMED = 10_000
MAX_WAITING = 10_000

log = structlog.get_logger()


class Strangers:
    def __init__(self) -> None:
        self._named: set[GatewayRef] = set()
        self._waiting: dict[GatewayRef, None] = {}
        self._told_at: Micros | None = None

    def heard(self, ref: GatewayRef, now: Micros) -> None:
        """Tells of it now, or with the first that is heard after the minute. A clock that stepped back keeps nothing untold."""
        if ref not in self._named and len(self._named) < MAX_NAMED and len(self._waiting) < MAX_WAITING:
            self._waiting[ref] = None
        if self._waiting and (self._told_at is None or not 0 <= now - self._told_at < EVERY_US):
            self._tell(now)

    def _tell(self, now: Micros) -> None:
        named = list(self._waiting)[:NAMED]
        log.warning(
            "gateways that are not registered were heard; nothing of them is taken",
            count=len(self._waiting),
            gateways=[str(ref) for ref in named],
            cure="linli ingest gateway add",
        )
        self._named.update(named)
        self._waiting.clear()
        self._told_at = now
