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
STUCK_US = 1_000_000
"""As many readings at one instant are told apart over a restart, which remembers only the last of them."""


class Stamps:
    """Instants used, by device."""

    def __init__(self) -> None:
        self._devices: dict[str, _Used] = {}

    def recall(self, device: str, at: int) -> None:
        """An instant that an earlier run used; said from the newest on, so what no longer fits is left out."""
        self._devices.setdefault(device, _Used()).recall(at)

    def stamp(self, device: str, at: int) -> int:
        """``at``, or the first free instant after it. UTC microseconds."""
        return self._devices.setdefault(device, _Used()).take(at)


class _Used:
    """An insertion-ordered set of one device's instants, the oldest first; and the run of a clock that stands still.

    Such a clock says one instant for ever, so its ties outgrow what is remembered; the run is never begun again.
    """

    def __init__(self) -> None:
        self._ats: dict[int, None] = {}
        self._first = self._last = 0
        self._run = range(0)

    def recall(self, at: int) -> None:
        if len(self._ats) >= ATS_KEPT:
            return
        self._ats = {at: None, **self._ats}
        if at + 1 != self._first:
            self._last = at
        self._first = at
        if self._last - at >= ATS_KEPT - 1:
            self._run = range(at - STUCK_US, self._last + 1)

    def take(self, at: int) -> int:
        if at in self._run:
            at = self._run.stop
        while at in self._ats:
            at += 1
        self._ats[at] = None
        if len(self._ats) > ATS_KEPT:
            del self._ats[next(iter(self._ats))]
        if at != self._last + 1:
            self._first = at
        self._last = at
        if at == self._run.stop and self._run:
            self._run = range(self._run.start, at + 1)
        elif at - self._first >= ATS_KEPT - 1:
            self._run = range(self._first, at + 1)
        return at


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
