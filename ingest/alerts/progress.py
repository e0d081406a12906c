"""Whether a timer may fire: whether anything that was said before it can still be on its way.

A tick is the wall's time; a timer is event time. Between them stands what is not here yet: a batch still being filled,
a backlog after an outage or a restart of ours. An urgent timer fires once it is due by the wall plus as late as its gateway
is now; a bulk one also once the lane has shown a reading of its time or after it. Urgent readings overtake bulk ones, so
what is known of bulk holds for both.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from telemetry.batch import Lane
from telemetry.identity import GatewayRef

PATIENCE_US = {Lane.URGENT: 0, Lane.BULK: 12_000_000}
"""How long a lane holds a reading back while it works: bulk batches are sealed after 10 s at most."""

SILENT_US = 60_000_000
"""After our start, how long to wait for a gateway's first word before judging by what was known."""


class _Lately(NamedTuple):
    newest: int
    lag: int


@dataclass
class Progress:
    """In memory only: after a start nothing is known, and that is the point. ``at`` and ``now`` are UTC microseconds."""

    started_at: int | None = None
    _lanes: dict[tuple[GatewayRef, str], _Lately] = field(default_factory=dict)

    def note(self, ref: GatewayRef, lane: str, newest: int, received_at: int) -> None:
        """A batch came whose newest reading is of ``newest``. A clock that runs ahead is not believed."""
        newest = min(newest, received_at)
        old = self._lanes.get((ref, lane))
        self._lanes[ref, lane] = _Lately(max(newest, old.newest) if old else newest, received_at - newest)

    def permits(self, ref: GatewayRef, lane: str, due: int, now: int) -> bool:
        """Whether a timer due at ``due``, by the wall, may fire at ``now``."""
        lanes = (Lane.URGENT, Lane.BULK) if lane == Lane.URGENT else (Lane.BULK,)
        known = [lately for one in lanes if (lately := self._lanes.get((ref, one)))]
        if not known:
            return now - (self.started_at or now) >= SILENT_US and due <= now
        if lane == Lane.BULK and known[0].newest >= due:
            return True
        return due + min(lately.lag for lately in known) + PATIENCE_US[Lane(lane)] <= now
