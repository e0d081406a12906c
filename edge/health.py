"""The gateway as a device of its own: the reading it makes of what it counts and of what its board says.

Counters grow from the start of the program; latenesses, the use of the wire and the bytes a reading cost are of the time since
the last reading. A unit whose requests fail notably more or less often than was said last has a reading of its own.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from edge.accept import Accept
from edge.board import BoardState, board_state
from edge.logbook import Logbook
from edge.outbox import Outbox, OutboxFailing, Pending
from edge.tally import Lateness, Rates, Tally, UnitRates, taken_lateness
from edge.uplink import Uplink
from telemetry.metric import Value


class Wire(Protocol):
    """A bus, as far as it is measured."""

    @property
    def used_s(self) -> float: ...


class Safety(NamedTuple):
    """What happened to readings that should not have, since the start; ``failing``: the disk takes nothing now."""

    failing: bool = False
    lost: int = 0
    refused: int = 0
    salvaged: int = 0
    acks_refused: int = 0
    rejected: int = 0
    taken_over: int = 0


class Measured(NamedTuple):
    """What is looked up for one reading. ``now`` in UTC microseconds, ``offset_s``: the centre's clock minus ours.

    ``wire_use``: the busiest bus and the share of its time that it was used for.
    """

    now: int
    pending: Pending
    accepted: int
    outbox_bytes: int
    uptime_s: float
    offset_s: float | None
    lateness: Lateness
    board: BoardState
    wire_use: tuple[str, float] | None = None
    written_per_reading: float | None = None
    safety: Safety = Safety()


def gateway_values(tally: Tally, measured: Measured) -> dict[str, Value]:
    """The values of the gateway's reading; what is not known is left out."""
    oldest_at, board = measured.pending.oldest_at, measured.board
    bus, use = measured.wire_use or (None, None)
    values: dict[str, Value | None] = {
        "oldest_unsent": max(0.0, (measured.now - oldest_at) / 1e6) if oldest_at else 0.0,
        "unsent": measured.pending.batches,
        "outbox": measured.outbox_bytes,
        "accepted": measured.accepted,
        "poll_lateness": round(measured.lateness.largest, 4),
        "poll_lateness_p99": round(measured.lateness.p99, 4),
        "polls": tally.polls,
        "polls_missed": tally.polls_missed,
        "timeouts": tally.timeouts,
        "damaged": tally.damaged,
        "refused": tally.refused,
        "undecodable": tally.undecodable,
        "thinned": tally.thinned,
        "memory": board.memory_bytes,
        "written": board.written_bytes,
        "written_per_reading": _rounded(measured.written_per_reading, 1),
        "device_temperature": board.temperature,
        "undervoltage": board.undervoltage,
        "on_battery": board.on_battery,
        "clock_synchronised": board.clock_synchronised,
        "clock_offset": _rounded(measured.offset_s, 6),
        "wire_bus": bus,
        "wire_use": None if use is None else round(100 * use, 2),
        "uptime": round(measured.uptime_s, 1),
        "outbox_failing": measured.safety.failing,
        "outbox_lost": measured.safety.lost + measured.safety.refused,
        "outbox_salvaged": measured.safety.salvaged,
        "acks_refused": measured.safety.acks_refused,
        "batches_rejected": measured.safety.rejected,
        "connections_taken": measured.safety.taken_over,
    }
    return {name: value for name, value in values.items() if value is not None}


def unit_values(device: str, rates: Rates) -> dict[str, Value]:
    """The values of a reading about one unit."""
    return {"of_device": device, "timeout_rate": rates.timeouts, "damaged_rate": rates.damaged}


class Since(NamedTuple):
    """What the last reading saw, to tell how far things went since: seconds, bytes, readings, seconds by bus."""

    at: float
    written: int
    accepted: int
    used_s: dict[str, float]


def busiest(before: Since, now: Since) -> tuple[str, float] | None:
    """The bus that was used most, and the share of the time."""
    elapsed_s = now.at - before.at
    shares = (
        {bus: (used_s - before.used_s.get(bus, 0.0)) / elapsed_s for bus, used_s in now.used_s.items()} if elapsed_s > 0 else {}
    )
    return max(shares.items(), key=lambda share: share[1], default=None)


def written_per_reading(before: Since, now: Since) -> float | None:
    readings = now.accepted - before.accepted
    return (now.written - before.written) / readings if readings else None


class Health:
    """Writes the gateway's readings into the logbook."""

    def __init__(
        self,
        gateway: str,
        tally: Tally,
        logbook: Logbook,
        outbox: Outbox,
        accept: Accept,
        uplink: Uplink,
        wires: Mapping[str, Wire],
    ) -> None:
        self._gateway = gateway
        self._tally = tally
        self._logbook = logbook
        self._outbox = outbox
        self._accept = accept
        self._uplink = uplink
        self._wires = wires
        self._rates = UnitRates()
        self._started = logbook.monotonic()
        self._since = self._reached(board_state())

    async def run(self, interval_s: float) -> None:
        """A reading every ``interval_s``, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                pending = await self._outbox.call(self._outbox.pending)
            except OutboxFailing:
                continue  # whoever writes to it says so
            self._logbook.own(self._gateway, gateway_values(self._tally, self._measure(pending)))
            for device, rates in self._rates.news(self._tally.units).items():
                self._logbook.own(self._gateway, unit_values(device, rates))

    def _measure(self, pending: Pending) -> Measured:
        board = board_state()
        before, self._since = self._since, self._reached(board)
        return Measured(
            now=self._logbook.utc(),
            pending=pending,
            accepted=self._accept.accepted,
            outbox_bytes=_size_of(self._outbox.path),
            uptime_s=self._logbook.monotonic() - self._started,
            offset_s=self._uplink.clock_offset_s,
            lateness=taken_lateness(self._tally),
            board=board,
            wire_use=busiest(before, self._since),
            safety=self._safety(),
            written_per_reading=None if board.written_bytes is None else written_per_reading(before, self._since),
        )

    def _safety(self) -> Safety:
        accept, outbox, uplink = self._accept, self._outbox, self._uplink
        return Safety(
            accept.failing,
            outbox.lost,
            accept.refused,
            outbox.salvaged,
            uplink.refused_acks,
            uplink.rejected,
            uplink.taken_over,
        )

    def _reached(self, board: BoardState) -> Since:
        used_s = {bus: wire.used_s for bus, wire in self._wires.items()}
        return Since(self._logbook.monotonic(), board.written_bytes or 0, self._accept.accepted, used_s)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _size_of(database: Path) -> int:
    """The file and its write-ahead log."""
    files = (database, database.with_name(database.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
