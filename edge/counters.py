"""The counters of all devices, followed over their wraps, also over a restart.

1. What passes is how far a counter has counted: what the device says, and the rounds before (see ``device_profiles.counters``).
2. A restart goes on from the last reading that was accepted, or from the last wrap when that came later.
3. The file is written only when the number of somebody's wraps has changed; it is whole or as it was before.
4. A count belongs to a device with one profile. Another profile, or a file that cannot be read, begins anew.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from device_profiles import Count, Decoded, Profile, count_of, unwrap
from edge.provisioning.durable_file import replace
from telemetry.reading import Reading

log = structlog.get_logger()


class _Kept(msgspec.Struct, frozen=True):
    """A counter that has wrapped, as it stood at ``at`` when it last did."""

    wraps: int
    position: float
    at: int


class _Entry(msgspec.Struct):
    """The counters of one device, by metric."""

    profile: str
    counters: dict[str, _Kept]


class _Total(NamedTuple):
    """What a metric said last in an earlier run."""

    value: float
    at: int


class Followed:
    """The counters of one device. ``wraps``: where each starts again, by metric, in its unit."""

    def __init__(self, wraps: Mapping[str, float], counts: dict[str, Count], turned: Callable[[str, Count, int], None]) -> None:
        self._wraps = wraps
        self._counts = counts
        self._turned = turned

    def follow(self, decoded: Iterable[Decoded], at: int) -> list[Decoded]:
        """One poll, with every counter as far as it has counted."""
        return [
            self._counted(point, point.metric, point.value, at)
            if point.metric is not None and point.metric in self._wraps and isinstance(point.value, int | float)
            else point
            for point in decoded
        ]

    def _counted(self, point: Decoded, metric: str, said: float, at: int) -> Decoded:
        wrap, before = self._wraps[metric], self._counts.get(metric)
        count = self._counts[metric] = unwrap(before, said, wrap)
        if count.wraps != (before.wraps if before else 0):
            self._turned(metric, count, at)
        return point._replace(value=count.total(said, wrap)) if count.wraps else point


class Counters:
    """Everybody's. Without a ``file`` a restart knows only what ``recall`` was told."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._entries = _read(file) if file is not None and file.exists() else {}
        self._recalled: dict[str, dict[str, _Total]] = {}
        self._counts: dict[str, tuple[str, dict[str, Count]]] = {}
        self._news = asyncio.Event()

    def recall(self, reading: Reading) -> None:
        """A reading of an earlier run; said from the newest on."""
        known = self._recalled.setdefault(reading.device, {})
        for metric, value in reading.values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                known.setdefault(metric, _Total(value, reading.at))

    def of(self, device: str, profile: Profile) -> Followed | None:
        """The counters of a device, as they are known; ``None`` when none of them wraps."""
        wraps = {point.metric: point.wrap for point in profile.points.values() if point.metric and point.wrap}
        recalled = self._recalled.pop(device, {})
        if not wraps:
            return None
        if self._entries.get(device, _Entry(profile.id, {})).profile != profile.id:
            del self._entries[device]
        known = self._counts.get(device)
        if known is None:
            kept = self._entries[device].counters if device in self._entries else {}
            begun = {metric: _begun(kept.get(metric), recalled.get(metric), wrap) for metric, wrap in wraps.items()}
            counts = {metric: count for metric, count in begun.items() if count is not None}
        else:
            counts = known[1] if known[0] == profile.id else {}
        self._counts[device] = profile.id, counts
        return Followed(wraps, counts, lambda metric, count, at: self._turn(device, profile.id, metric, count, at))

    def keep_only(self, devices: Collection[str]) -> None:
        """Forgets devices that are gone; the file follows with the next wrap."""
        self._entries = {device: entry for device, entry in self._entries.items() if device in devices}
        self._counts = {device: counts for device, counts in self._counts.items() if device in devices}

    async def run(self) -> None:
        """Keeps the file in step until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._write()

    def _turn(self, device: str, profile: str, metric: str, count: Count, at: int) -> None:
        counters = self._entries.setdefault(device, _Entry(profile, {})).counters
        if count.wraps:
            counters[metric] = _Kept(count.wraps, count.position, at)
        elif counters.pop(metric, None):
            log.warning("counter began again without its wraps", device=device, metric=metric)
        self._news.set()

    async def _write(self) -> None:
        if self._file is None:
            return
        text = msgspec.json.format(msgspec.json.encode(self._entries, order="sorted"), indent=1).decode()
        try:
            await asyncio.to_thread(replace, self._file, text, 0o600)
        except OSError as error:
            log.warning("counters' wraps cannot be kept over a restart", file=str(self._file), reason=error.strerror)


def _begun(kept: _Kept | None, total: _Total | None, wrap: float) -> Count | None:
    """Where a counter stood when the program ended."""
    wraps, at = (kept.wraps, kept.at) if kept else (0, 0)
    if total is not None and total.at >= at:
        last = count_of(total.value, wrap)
        if last.wraps in (wraps, wraps + 1):  # one wrap may have missed the file; more are a value of another profile
            return last
    return Count(kept.wraps, kept.position) if kept else None


def _read(file: Path) -> dict[str, _Entry]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, _Entry])
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("counters' wraps are counted anew", file=str(file), reason=str(error))
        return {}
