"""The instant of a reading is unique per device, for ever; the same event is not taken twice.

1. A tie moves by 1 us, and again until it is free, once, before the outbox; nothing moves it later.
2. Restarts keep to it: both memories begin with what the outbox last accepted.
3. Bounded: a device remembers its last ``ATS_KEPT`` instants, a gateway its last ``EVENTS_KEPT`` events.

Instants need not increase: devices deliver histories, and clocks step back.
"""

from collections.abc import Mapping

from telemetry.metric import Value

ATS_KEPT = 256
EVENTS_KEPT = 4096


class Stamps:
    """Instants used, by device: each an insertion-ordered set, the oldest first."""

    def __init__(self) -> None:
        self._used: dict[str, dict[int, None]] = {}

    def recall(self, device: str, at: int) -> None:
        """An instant that an earlier run used; said from the newest on, so what no longer fits is left out."""
        used = self._used.setdefault(device, {})
        if len(used) < ATS_KEPT:
            self._used[device] = {at: None, **used}

    def stamp(self, device: str, at: int) -> int:
        """``at``, or the first free instant after it. UTC microseconds."""
        used = self._used.setdefault(device, {})
        while at in used:
            at += 1
        self._take(used, at)
        return at

    @staticmethod
    def _take(used: dict[int, None], at: int) -> None:
        used[at] = None
        if len(used) > ATS_KEPT:
            del used[next(iter(used))]


class Repeats:
    """Events that were taken: a broker delivers a message again when it did not hear our acknowledgement."""

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def recall(self, device: str, event_id: str, values: Mapping[str, Value]) -> None:
        """An event that an earlier run took."""
        if len(self._seen) < EVENTS_KEPT:
            self._seen[self._key(device, event_id, values)] = None

    @staticmethod
    def _key(device: str, event_id: str, values: Mapping[str, Value]) -> int:
        return hash((device, event_id, tuple(sorted(values.items()))))

    def is_repeat(self, device: str, event_id: str, values: Mapping[str, Value]) -> bool:
        """Whether this very event of this device was seen before; it is remembered from now on."""
        key = self._key(device, event_id, values)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > EVENTS_KEPT:
            del self._seen[next(iter(self._seen))]
        return False
