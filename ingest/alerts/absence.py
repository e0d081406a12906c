"""Absence: a device that says nothing good while its gateway goes on speaking.

1. The clock of an absence is the gateway's own bulk data, never the wall: a gateway that is down makes no progress, so
   what is behind it is unknown and nothing fires. (Urgent readings overtake bulk ones and would make them look late.)
2. The first reading of a new epoch starts every device's grace anew, and so does the first after ``UNHEARD_US`` without a word:
   a gateway may have stood still without an end, and what it held until its clock was known comes in a later epoch.
3. A reading without a good value does not end an absence. Any reading with one does.
4. Of devices that it has not heard of, it learns of ``MAX_DEVICES`` a gateway: what is known is written down each time.
5. No time runs ahead of the centre's receipt, so that a device with a fast clock cannot make the others look silent.
"""

from typing import Final, NamedTuple

from ingest.alerts.machine import Change, Transition, Transitions
from ingest.alerts.memory import Absent
from ingest.alerts.seat import Presence, Seat
from ingest.alerts.when import Absence, micros
from telemetry.presence import Device
from telemetry.quality import Quality
from telemetry.reading import Reading

_GOOD: Final = Quality.GOOD
_UNCERTAIN: Final = Quality.UNCERTAIN

UNHEARD_US = 300_000_000
"""A gateway that runs says something of itself each minute, also when a full outbox is thinned."""


class Silence(NamedTuple):
    """When a device counts as absent, and after how many seconds of what."""

    at: int
    seconds: float


def hear(presence: Presence, seat: Seat, reading: Reading, epoch: str, is_bulk: bool, received_at: int) -> bool:
    """Takes one reading of ``seat`` into ``presence``. Whether there is anything to look at: when it is absent next, whether it
    is again there, or whether the gateway's word has come to where another is missed."""
    at: int = reading.at
    if at > received_at:
        at = received_at
    if at > presence.newest:
        if epoch != presence.epoch or (is_bulk and at - presence.newest > UNHEARD_US):
            presence.epoch, presence.epoch_at = epoch, at
        if is_bulk:
            presence.newest = at
    news = not seat.heard and not seat.failing
    if (reading.quality is _GOOD and len(reading.values) > 1) or is_good(reading):
        if at >= seat.heard:
            news = news or seat.failing != 0
            seat.heard, seat.failing = at, 0
    elif not seat.failing and at > seat.heard and says_silent(reading):
        seat.failing, news = at, True
    return news or seat.is_absent or presence.newest >= presence.next_silence


def is_good(reading: Reading) -> bool:
    """Whether a reading shows that its device is there: not when all it says is that the device is not."""
    values, quality = reading.values, reading.quality
    if not values or (quality is not _GOOD and quality is not _UNCERTAIN):
        return False
    return len(values) > 1 or values.get("online") is not False


def says_silent(reading: Reading) -> bool:
    """Whether the gateway says that it got no answer (more than that some values are unsound), or the device that it leaves."""
    return "*" in (reading.faults or {}) or reading.values.get("online") is False


def silence(spec: Absence, presence: Presence, seat: Seat, interval_s: float | None) -> Silence | None:
    """When the device becomes absent if nothing more is heard of it; ``None`` when that cannot be said."""
    found: list[Silence] = []
    seconds = limit_s(spec, interval_s)
    if seconds is not None:
        reference = max(seat.heard, presence.epoch_at)
        found.append(Silence(reference + micros(seconds), seconds))
    if seat.failing and spec.failing_s is not None:
        found.append(Silence(max(seat.failing, presence.epoch_at) + micros(spec.failing_s), spec.failing_s))
    return min(found, default=None)


def limit_s(spec: Absence, interval_s: float | None) -> float | None:
    """Seconds of silence that are too many, or ``None`` for a device that need not speak."""
    if spec.after_s is not None:
        return spec.after_s
    return max(spec.min_s, spec.intervals * interval_s) if interval_s else None


def judge(spec: Absence, state: Absent, presence: Presence, seat: Seat, device: Device | None) -> tuple[Absent, Transitions]:
    """The state and what changed, now that ``presence`` is known. ``device`` is ``None`` when the inventory has it no more."""
    if state.since:
        gone = device is None
        return _returned(state, presence.newest if gone else seat.heard) if gone or seat.heard > state.heard else (state, ())
    due = silence(spec, presence, seat, device.interval_s) if device else None
    if due is None or presence.newest < due.at:
        return state, ()
    return Absent(due.at, seat.heard), (Transition(Change.RAISE, due.at, limit=due.seconds, device=seat.name),)


def _returned(state: Absent, at: int) -> tuple[Absent, Transitions]:
    return Absent(), (Transition(Change.CLEAR, max(at, state.since)),)
