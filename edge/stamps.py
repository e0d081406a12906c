"""The instant of a reading is unique per device, for ever; the same event is not taken twice.

1. A tie moves by 1 us, and again until it is free, once, before the outbox; nothing moves it later.
2. Restarts keep to it: the memory of instants begins with what the outbox last accepted.
3. Bounded: a device remembers its last ``ATS_KEPT`` instants, a gateway its last ``EVENTS_KEPT`` events.

Instants need not increase: devices deliver histories, and clocks step back.
"""

from collections.abc import Iterable, Mapping

from telemetry.metric import Value

ATS_KEPT = 256
EVENTS_KEPT = 4096


class Stamps:
    """``recent``: device and instant of readings accepted by an earlier run, the newest first."""

    def __init__(self, recent: Iterable[tuple[str, int]] = ()) -> None:
        newest: dict[str, list[int]] = {}
        for device, at in recent:
            ats = newest.setdefault(device, [])
            if len(ats) < ATS_KEPT:
                ats.append(at)
        self._used = {device: dict.fromkeys(reversed(ats)) for device, ats in newest.items()}

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

    def is_repeat(self, device: str, event_id: str, values: Mapping[str, Value]) -> bool:
        """Whether this very event of this device was seen before; it is remembered from now on."""
        key = hash((device, event_id, tuple(sorted(values.items()))))
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > EVENTS_KEPT:
            del self._seen[next(iter(self._seen))]
        return False
