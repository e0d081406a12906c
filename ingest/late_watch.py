"""Tells the rules how much of what a gateway says comes late, so that a line that fails again and again is an alert.

1. ``late_share``: of the readings taken within ``WINDOW_US``, the share that was more than ``LATE_US`` old when it came. It is of
   what was judged, each reading once, however often its batch came.
2. Less than ``FEWEST`` readings are no share. Only a change is told, once a minute at most.
3. It is remembered for as long as the centre runs: after a start the hour begins anew, and what was raised before is over only
   when the new one has lasted ``SETTLE_US``.
4. Bounded: at most ``SLOTS`` + 1 counts a gateway, and none of one that has been silent for the window; of what was told only
   the shares that are not nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest.alerts.tables import alert
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

EVERY_US = 60_000_000
LATE_US = 900_000_000
SLOT_US = 300_000_000
SLOTS = 12
WINDOW_US = SLOTS * SLOT_US
SETTLE_US = 600_000_000
FEWEST = 100
METRIC = "late_share"
KIND = "gateway_backlog"


class Slot(NamedTuple):
    """What came within ``SLOT_US``, and how much of it was late."""

    taken: int = 0
    late: int = 0


class Punctuality:
    """How punctual each gateway was within the window."""

    def __init__(self) -> None:
        self._slots: dict[GatewayRef, dict[int, Slot]] = {}

    def note(self, arrivals: Sequence[Arrival]) -> None:
        """Batches that were judged, each once."""
        for arrival in arrivals:
            slots = self._slots.setdefault(arrival.stream.ref, {})
            number = arrival.received_at // SLOT_US
            old = slots.get(number, Slot())
            slots[number] = Slot(old.taken + len(arrival.readings), old.late + _late(arrival))
            if len(slots) > SLOTS + 1:
                del slots[min(slots)]

    def shares(self, now: int) -> dict[GatewayRef, float]:
        """Percent, to one decimal, of each gateway of which there is enough; what is older than the window is forgotten."""
        oldest = now // SLOT_US - SLOTS
        self._slots = {ref: slots for ref, slots in self._slots.items() if max(slots) > oldest}
        found: dict[GatewayRef, float] = {}
        for ref, slots in self._slots.items():
            recent = [slot for number, slot in slots.items() if number > oldest]
            taken, late = sum(slot.taken for slot in recent), sum(slot.late for slot in recent)
            if taken >= FEWEST:
                found[ref] = round(100 * late / taken, 1)
        return found


class LateWatch:
    """``observe`` judges a reading that the centre makes of a gateway. Times are UTC microseconds, the wall's."""

    def __init__(self, database: Database, observe: Callable[[GatewayRef, Reading, int], Awaitable[None]]) -> None:
        self._database = database
        self._observe = observe
        self._punctuality = Punctuality()
        self._said: dict[GatewayRef, float] = {}
        self._looked_at: int | None = None
        self._inherited: frozenset[GatewayRef] | None = None
        self._began_at = 0

    def note(self, arrivals: Sequence[Arrival]) -> None:
        """Batches that were judged, each once."""
        self._punctuality.note(arrivals)

    async def look(self, now: int) -> None:
        """Looks once a minute, however often it is called. Raises ``StoreUnavailable``; then it looks again."""
        if self._looked_at is not None and 0 <= now - self._looked_at < EVERY_US:
            return
        if self._inherited is None:
            self._inherited, self._began_at = await self._database.read(_raised), now
        settled = now - self._began_at >= SETTLE_US
        for ref, share in sorted(self._punctuality.shares(now).items()):
            if share != self._said.get(ref, 0.0) or (settled and ref in self._inherited):
                reading = Reading(device=ref.gateway, kind=Kind.GATEWAY, at=Micros(now), values={METRIC: share})
                await self._observe(ref, reading, now)
                if share:
                    self._said[ref] = share
                else:
                    self._said.pop(ref, None)
                self._inherited -= {ref}
        self._looked_at = now


def _late(arrival: Arrival) -> int:
    """How many readings were late; those of most batches all were, or none."""
    limit, reach = arrival.received_at - LATE_US, arrival.reach
    if reach is None or reach[0] >= limit:
        return 0
    if reach[1] < limit:
        return len(arrival.readings)
    return sum(reading.at < limit for reading in arrival.readings)


def _raised(connection: sa.Connection) -> frozenset[GatewayRef]:
    """Gateways of which such an alert is open."""
    wanted = sa.select(alert.c.community, alert.c.gateway).distinct()
    rows = connection.execute(wanted.where(alert.c.kind == KIND, alert.c.over_at.is_(None)))
    return frozenset(GatewayRef(*row) for row in rows)
