"""What time it is by the readings themselves, so that a wrong clock at the centre deletes nothing. Pure.

Each gateway's present is the newest batch's middle reading; the present of all is the median of theirs: one device or one
gateway whose clock is wild moves it no further than its neighbours allow.
"""

from collections.abc import Iterable
from statistics import median_low

from ingest.arrival import Arrival
from telemetry.identity import GatewayRef


class Present:
    """Learns from what was stored; knows nothing after a start until then."""

    def __init__(self) -> None:
        self._newest: dict[GatewayRef, int] = {}

    def learn(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            if (at := arrival.gist.middle) is not None:
                self._newest[arrival.stream.ref] = max(at, self._newest.get(arrival.stream.ref, 0))

    def median(self) -> int | None:
        return median_low(self._newest.values()) if self._newest else None
