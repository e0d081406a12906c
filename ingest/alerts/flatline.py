"""A device of a zone that says the same value again and again while its siblings move: stuck, not calm.

1. A device is found stuck by its own words alone, so that one that falls silent is not: it is absent, which is another alert.
2. Nothing is stuck while fewer than ``peers`` siblings move: at night a quiet room is quiet.
3. What was found stuck stays so until it says another value, whatever the others do then; or until it has said nothing for a day.
4. At most ``MAX_SIBLINGS`` devices are remembered, those heard last.
"""

from dataclasses import dataclass

from ingest.alerts.anomaly import MAX_SIBLINGS
from ingest.alerts.machine import Sample
from ingest.alerts.memory import Stillness, Stretch
from ingest.alerts.schedule import HOUR_US
from ingest.alerts.sense import Shown

FORGOTTEN_US = 24 * HOUR_US


@dataclass(frozen=True)
class Flatline:
    """``moved_by`` is how far a sibling must have gone within the window, which is judged by its halves."""

    metric: str
    within_us: int
    moved_by: float
    peers: int

    initial = Stillness()
    many = True

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset((self.metric,))

    def hear(self, memory: Stillness, sample: Sample, raised: bool) -> Stillness:
        value, old = sample.values.get(self.metric), memory.devices.get(sample.device)
        if value is None or isinstance(value, str) or not sample.fresh or (old is not None and sample.at <= old.at):
            return memory
        own = self._stretched(old, sample.at, float(value))
        devices = {**memory.devices, sample.device: own} if old is not None else _joined(memory.devices, sample.device, own)
        if sample.device not in devices:
            return memory  # heard before, and let go since: where there is no room it is not the newest
        stuck = self._stuck(memory.stuck, devices, own) if memory.stuck else memory.stuck
        if own.at - own.since >= self.within_us and self._moving(devices, sample.device) >= self.peers:
            stuck = {**stuck, sample.device: own.since}
        return Stillness(devices, stuck)

    def holds(self, memory: Stillness, at: int, raised: bool) -> bool | None:
        return bool(memory.stuck)

    def turns(self, memory: Stillness, after: int, raised: bool) -> int | None:
        return None

    def shown(self, memory: Stillness, at: int) -> Shown:
        """Of the one that has been stuck for longest."""
        if not memory.stuck:
            return Shown()
        name = min(memory.stuck, key=lambda name: (memory.stuck[name], name))
        return Shown(memory.devices[name].value, None, "", name)

    @property
    def half(self) -> int:
        return max(self.within_us // 2, 1)

    def _stretched(self, old: Stretch | None, at: int, value: float) -> Stretch:
        half = at // self.half
        if old is None:
            return Stretch(at, at, value, half, value, value, value, value)
        since = old.since if value == old.value else at
        if half == old.half:
            now, before = (min(old.low, value), max(old.high, value)), (old.low_before, old.high_before)
        else:
            now, before = (value, value), (old.low, old.high) if half == old.half + 1 else (old.value, old.value)
        return Stretch(since, at, value, half, *now, *before)

    def _stuck(self, stuck: dict[str, int], devices: dict[str, Stretch], newest: Stretch) -> dict[str, int]:
        """Those that still are."""
        last_words = {name: devices[name] for name in stuck if name in devices}
        return {
            name: one.since for name, one in last_words.items() if one.since == stuck[name] and newest.at - one.at <= FORGOTTEN_US
        }

    def _moving(self, devices: dict[str, Stretch], name: str) -> int:
        """How many others move."""
        first = devices[name].at // self.half - 1
        return sum(self._moves(one) for other, one in devices.items() if other != name and one.half >= first)

    def _moves(self, one: Stretch) -> bool:
        return max(one.high, one.high_before) - min(one.low, one.low_before) >= self.moved_by


def _joined(devices: dict[str, Stretch], name: str, own: Stretch) -> dict[str, Stretch]:
    """With one more; where there are too many, without the one that has been silent for longest."""
    all_of_them = {**devices, name: own}
    kept = sorted(all_of_them, key=lambda one: (all_of_them[one].at, one))[-MAX_SIBLINGS:]
    return {one: all_of_them[one] for one in kept}
