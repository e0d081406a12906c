"""Addresses that units refused, kept over a restart so that a gateway does not learn them anew by asking.

1. Written only when something was learned that was not in the file; the file is whole or as it was before.
2. An entry counts for the device, profile version and unit id that it was learned of, and no longer.
3. A file that cannot be read or written costs what it would have saved, and nothing else.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path

import msgspec
import structlog

from device_profiles import Table
from edge.provisioning.durable_file import replace
from edge.unit import NOTHING_REFUSED, Refused, Unit

log = structlog.get_logger()


class _Entry(msgspec.Struct, frozen=True):
    profile: str
    version: int
    unit_id: int
    addresses: tuple[tuple[Table, int], ...]
    points: dict[str, int]


class Refusals:
    """The file in memory. Without a ``file`` nothing outlives the program."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._entries = _read(file) if file is not None and file.exists() else {}
        self._writing = asyncio.Lock()

    def of(self, unit: Unit) -> Refused:
        """What this unit is known to refuse."""
        entry = self._entries.get(unit.device)
        if entry is None or (entry.profile, entry.version, entry.unit_id) != _key(unit):
            return NOTHING_REFUSED
        if not all(unit.profile.points[name].places for name in entry.points if name in unit.profile.points):
            return NOTHING_REFUSED
        known = sorted((name, code) for name, code in entry.points.items() if name in unit.profile.points)
        return Refused(frozenset(entry.addresses), tuple(known))

    async def note(self, unit: Unit, refused: Refused) -> None:
        """Remembers what a unit refuses now; durable on return, if it was news and the disk takes it."""
        if refused == self.of(unit):
            return
        self._entries[unit.device] = _Entry(*_key(unit), tuple(sorted(refused.addresses)), dict(refused.points))
        if self._file is None:
            return
        async with self._writing:
            text = msgspec.json.format(msgspec.json.encode(self._entries, order="sorted"), indent=1).decode()
            try:
                await asyncio.to_thread(replace, self._file, text, 0o600)
            except OSError as error:
                log.warning("refused addresses cannot be kept over a restart", file=str(self._file), reason=error.strerror)

    def keep_only(self, devices: Collection[str]) -> None:
        """Drops entries of devices that are gone; the file follows with the next note."""
        self._entries = {device: entry for device, entry in self._entries.items() if device in devices}


def _key(unit: Unit) -> tuple[str, int, int]:
    return unit.profile.id, unit.profile.version, unit.unit_id


def _read(file: Path) -> dict[str, _Entry]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, _Entry])
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("refused addresses are learned anew", file=str(file), reason=str(error))
        return {}
