"""The gateway as a device of its own: what it counts, and the reading it makes of it.

Counters grow from the start of the program; ``poll_lateness`` is the largest since the last reading.
"""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge.accept import Accept
from edge.logbook import Logbook
from edge.outbox import Outbox, OutboxFailing, Pending
from edge.uplink import Uplink
from telemetry.metric import Value


@dataclass
class UnitTally:
    """What one unit was asked and how it failed. A damaged answer is no time-out."""

    requests: int = 0
    timeouts: int = 0
    damaged: int = 0
    refused: int = 0


@dataclass
class Tally:
    """What pollers and device brokers count. One event loop, so plain numbers."""

    polls: int = 0
    polls_missed: int = 0
    timeouts: int = 0
    refused: int = 0
    undecodable: int = 0
    poll_lateness_s: float = 0.0
    units: dict[str, UnitTally] = field(default_factory=dict)

    def unit(self, device: str) -> UnitTally:
        return self.units.setdefault(device, UnitTally())

    def late(self, lateness_s: float) -> None:
        self.poll_lateness_s = max(self.poll_lateness_s, lateness_s)


class Measured(NamedTuple):
    """What is looked up for one reading. ``now`` in UTC microseconds, ``offset_s``: the centre's clock minus ours."""

    now: int
    pending: Pending
    accepted: int
    outbox_bytes: int
    memory_bytes: int
    uptime_s: float
    offset_s: float | None


def gateway_values(tally: Tally, measured: Measured) -> dict[str, Value]:
    """The values of the gateway's reading."""
    oldest_at = measured.pending.oldest_at
    values: dict[str, Value] = {
        "oldest_unsent": max(0.0, (measured.now - oldest_at) / 1e6) if oldest_at else 0.0,
        "unsent": measured.pending.batches,
        "outbox": measured.outbox_bytes,
        "accepted": measured.accepted,
        "poll_lateness": round(tally.poll_lateness_s, 4),
        "polls": tally.polls,
        "polls_missed": tally.polls_missed,
        "timeouts": tally.timeouts,
        "refused": tally.refused,
        "undecodable": tally.undecodable,
        "memory": measured.memory_bytes,
        "uptime": round(measured.uptime_s, 1),
    }
    if measured.offset_s is not None:
        values["clock_offset"] = round(measured.offset_s, 6)
    return values


class Health:
    """Writes the gateway's reading into the logbook."""

    def __init__(self, gateway: str, tally: Tally, logbook: Logbook, outbox: Outbox, accept: Accept, uplink: Uplink) -> None:
        self._gateway = gateway
        self._tally = tally
        self._logbook = logbook
        self._outbox = outbox
        self._accept = accept
        self._uplink = uplink
        self._started = logbook.monotonic()

    async def run(self, interval_s: float) -> None:
        """A reading every ``interval_s``, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                measured = await self._measure()
            except OutboxFailing:
                continue  # whoever writes to it says so
            self._logbook.own(self._gateway, gateway_values(self._tally, measured))
            self._tally.poll_lateness_s = 0.0

    async def _measure(self) -> Measured:
        return Measured(
            now=self._logbook.utc(),
            pending=await self._outbox.call(self._outbox.pending),
            accepted=self._accept.accepted,
            outbox_bytes=_size_of(self._outbox.path),
            memory_bytes=_resident_now(),
            uptime_s=self._logbook.monotonic() - self._started,
            offset_s=self._uplink.clock_offset_s,
        )


def _resident_now() -> int:
    return resident_bytes(Path("/proc/self/statm").read_text(), os.sysconf("SC_PAGE_SIZE"))


def resident_bytes(statm: str, page_bytes: int) -> int:
    """Resident memory out of ``/proc/self/statm``."""
    return int(statm.split()[1]) * page_bytes


def _size_of(database: Path) -> int:
    """The file and its write-ahead log."""
    files = (database, database.with_name(database.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
