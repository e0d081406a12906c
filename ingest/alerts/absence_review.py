"""Absences of the past by what is stored of it, and what late readings make of those that were raised. Pure.

1. They are judged as live ones are, by the device's own word and its gateway's; where both are silent for ``UNHEARD_US``, or the
   gateway began anew, the device's grace begins anew: nothing is known of that time.
2. One that was raised is changed only if the device is known now to have said something good within it, or within the silence
   that led to it.
3. One that was not is entered, and one that was begins earlier, only if the silence touches the time of the late readings. What
   is not over is left to who judges live.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ingest.alerts import absence
from ingest.alerts.absence import UNHEARD_US
from ingest.alerts.episode import Episode, Key
from ingest.alerts.ledger import Moved
from ingest.alerts.machine import Change, Transition
from ingest.alerts.memory import Absent
from ingest.alerts.review import Heard, Places
from ingest.alerts.rules import Watcher
from ingest.alerts.seat import Presence
from ingest.alerts.when import Absence, micros
from telemetry.identity import GatewayRef
from telemetry.presence import Device
from telemetry.reading import Reading

CLOCK = "uptime"
"""What a gateway says about once a minute, and by which it is known to have begun anew."""

BEGAN_US = 5_000_000
"""By how much the beginning that it tells must have moved: it is rounded, and its clock is put right."""


class Span(NamedTuple):
    """One absence; ``over_at`` is ``None`` while it stands. ``limit_s`` is the silence that was too long."""

    opened_at: int
    over_at: int | None
    limit_s: float

    @property
    def silent_since(self) -> int:
        return self.opened_at - micros(self.limit_s)


class Lived(NamedTuple):
    """What became of one rule at one device: as much of a ``Course`` as amending asks for."""

    key: Key
    watcher: Watcher
    moves: list[Moved]

    def raised_before(self, at: int) -> bool:
        """Whether the alert stood at the last instant before ``at``."""
        past = [moved.transition.change for moved in self.moves if moved.transition.at < at]
        return bool(past) and past[-1] is Change.RAISE


def absences(spec: Absence, ref: GatewayRef, device: Device, heard: Iterable[Heard]) -> list[Span]:
    """Those that there were of a device, by what it and its gateway said, in order."""
    presence, state, found = Presence(ref), Absent(), []
    seat = presence.seat(device.id)
    for epoch, reading in _in_epochs(ref, heard):
        absence.hear(presence, presence.seat(reading.device), reading, str(epoch), True, reading.at)
        state, transitions = absence.judge(spec, state, presence, seat, device)
        for one in transitions:
            if one.change is Change.RAISE:
                found.append(Span(one.at, None, float(one.limit or 0)))
            else:
                found[-1] = found[-1]._replace(over_at=one.at)
    return found


def put_right(found: Sequence[Span], known: Sequence[Episode], good: Sequence[int], late: tuple[int, int]) -> list[Span]:
    """The absences as they are from now on, of those ``found`` and those ``known``, none withdrawn; ``good`` is when the device
    said something good, ``late`` from when to when it is that came late."""
    there = [span_of(one) for one in known]
    kept = {span for span in there if not _is_refuted(span, good)}
    touched = [span for span in there if span not in kept]
    for one in found:
        if one.over_at is None:
            continue
        same = next((other for other in kept if _share_time(one, other)), None)
        is_late = one.silent_since <= late[1] and one.over_at >= late[0]
        if same is None and (is_late or any(_share_time(one, other) for other in touched)):
            kept.add(one)
        elif same is not None and is_late and same.over_at == one.over_at and one.opened_at < same.opened_at:
            kept = kept - {same} | {one}
    return sorted(kept, key=lambda span: span.opened_at)


def moves_of(key: Key, watcher: Watcher, ref: GatewayRef, device: Device, spans: Iterable[Span], places: Places) -> list[Moved]:
    """The transitions that make these absences."""
    zone = places.zone_of(ref, device.id)
    found = []
    for span in spans:
        found.append(Transition(Change.RAISE, span.opened_at, limit=span.limit_s, device=device.id))
        if span.over_at is not None:
            found.append(Transition(Change.CLEAR, span.over_at))
    return [Moved(key, watcher, one, ref.gateway, device.id, device.place, zone) for one in found]


def _in_epochs(ref: GatewayRef, heard: Iterable[Heard]) -> Iterator[tuple[int, Reading]]:
    """Readings with how often their gateway had begun anew, or been silent with its device."""
    epoch, before, began = 0, 0, 0.0
    for one in heard:
        reading = one.reading
        uptime = reading.values.get(CLOCK) if reading.device == ref.gateway else None
        if isinstance(uptime, int | float) and not isinstance(uptime, bool):
            is_new = began and reading.at - micros(uptime) - began > BEGAN_US
            began = reading.at - micros(uptime)
        else:
            is_new = False
        if is_new or reading.at - before > UNHEARD_US:
            epoch += 1
        before = reading.at
        yield epoch, reading


def span_of(episode: Episode) -> Span:
    """An alert's, as it stands."""
    limit = episode.alert.limit
    seconds = float(limit) if isinstance(limit, int | float) else 0.0
    return Span(episode.alert.opened_at, episode.over_at, seconds)


def _is_refuted(span: Span, good: Iterable[int]) -> bool:
    return span.over_at is not None and any(span.silent_since < at < span.over_at for at in good)


def _share_time(one: Span, other: Span) -> bool:
    first, second = sorted((one, other), key=lambda span: span.opened_at)
    return first.over_at is None or first.over_at > second.opened_at
