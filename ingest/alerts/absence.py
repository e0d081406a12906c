"""Absence: a device that says nothing good while its gateway goes on speaking.

1. The clock of an absence is the gateway's own bulk data, never the wall: a gateway that is down makes no progress, so
   what is behind it is unknown and nothing fires. (Urgent readings overtake bulk ones and would make them look late.)
2. The first reading of a new epoch starts every device's grace anew.
3. A reading without a good value does not end an absence. Any reading with one does.
4. Of devices that it has not heard of, it learns of ``MAX_DEVICES`` a gateway: what is known is written down each time.
5. No time runs ahead of the centre's receipt, so that a device with a fast clock cannot make the others look silent.
"""

from typing import NamedTuple

import msgspec

from ingest.alerts.machine import Change, Transition, Transitions
from ingest.alerts.when import Absence, micros
from telemetry.batch import Lane
from telemetry.presence import Device
from telemetry.quality import Quality
from telemetry.reading import Reading

MAX_DEVICES = 10_000


class Presence(msgspec.Struct, omit_defaults=True, tag="presence"):
    """What is known of one gateway's devices, times in event time. ``heard``: newest good reading; ``failing``: since when
    it is said not to answer. A working copy is changed in place."""

    newest: int = 0
    epoch: str = ""
    epoch_at: int = 0
    heard: dict[str, int] = {}
    failing: dict[str, int] = {}

    def copy(self) -> "Presence":
        return Presence(self.newest, self.epoch, self.epoch_at, dict(self.heard), dict(self.failing))

    def devices(self) -> set[str]:
        return self.heard.keys() | self.failing.keys()


class Absent(msgspec.Struct, frozen=True, omit_defaults=True, tag="absent"):
    """``since`` is when the absence was raised, 0 while the device is there; ``heard`` the last good reading before it."""

    since: int = 0
    heard: int = 0


class Silence(NamedTuple):
    """When a device counts as absent, and after how many seconds of what."""

    at: int
    seconds: float


def hear(presence: Presence, reading: Reading, epoch: str, lane: str, received_at: int) -> None:
    """Takes one reading into ``presence``."""
    at = min(reading.at, received_at)
    if epoch != presence.epoch and at > presence.newest:
        presence.epoch, presence.epoch_at = epoch, at
    if lane == Lane.BULK:
        presence.newest = max(presence.newest, at)
    device = reading.device
    known = device in presence.heard or device in presence.failing
    if not known and len(presence.heard) + len(presence.failing) >= MAX_DEVICES:
        return
    if is_good(reading):
        if at >= presence.heard.get(device, 0):
            presence.heard[device] = at
            presence.failing.pop(device, None)
    elif says_silent(reading) and at > presence.heard.get(device, 0):
        presence.failing.setdefault(device, at)


def is_good(reading: Reading) -> bool:
    """Whether a reading shows that its device is there: not when all it says is that the device is not."""
    if reading.quality in (Quality.BAD, Quality.STALE) or not reading.values:
        return False
    return not (reading.values.get("online") is False and len(reading.values) == 1)


def says_silent(reading: Reading) -> bool:
    """Whether the gateway says that it got no answer (more than that some values are unsound), or the device that it leaves."""
    return "*" in (reading.faults or {}) or reading.values.get("online") is False


def silence(spec: Absence, presence: Presence, device: Device) -> Silence | None:
    """When ``device`` becomes absent if nothing more is heard of it; ``None`` when that cannot be said."""
    found: list[Silence] = []
    seconds = limit_s(spec, device.interval_s)
    if seconds is not None:
        reference = max(presence.heard.get(device.id, 0), presence.epoch_at)
        found.append(Silence(reference + micros(seconds), seconds))
    failing = presence.failing.get(device.id)
    if failing is not None and spec.failing_s is not None:
        found.append(Silence(max(failing, presence.epoch_at) + micros(spec.failing_s), spec.failing_s))
    return min(found, default=None)


def limit_s(spec: Absence, interval_s: float | None) -> float | None:
    """Seconds of silence that are too many, or ``None`` for a device that need not speak."""
    if spec.after_s is not None:
        return spec.after_s
    return max(spec.min_s, spec.intervals * interval_s) if interval_s else None


def judge(spec: Absence, state: Absent, presence: Presence, device: Device | None, name: str) -> tuple[Absent, Transitions]:
    """The state and what changed, now that ``presence`` is known. ``device`` is ``None`` when the inventory has it no more."""
    heard = presence.heard.get(name, 0)
    if state.since:
        gone = device is None
        return _returned(state, presence.newest if gone else heard) if gone or heard > state.heard else (state, ())
    due = silence(spec, presence, device) if device else None
    if due is None or presence.newest < due.at:
        return state, ()
    return Absent(due.at, heard), (Transition(Change.RAISE, due.at, limit=due.seconds, device=name),)


def _returned(state: Absent, at: int) -> tuple[Absent, Transitions]:
    return Absent(), (Transition(Change.CLEAR, max(at, state.since)),)
