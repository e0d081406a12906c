"""Devices that fall silent, and are heard again: when each is next looked at, and what becomes of its absence.

1. An absence is raised as soon as its gateway's word has passed the instant at which it was due, before anything later is judged.
2. A reading costs a few comparisons: nothing is worked out before the gateway's word has come to the first instant of them all.
"""

from collections.abc import Iterator

from ingest.alerts import absence
from ingest.alerts.entry import Entry, Origin
from ingest.alerts.episode import Key
from ingest.alerts.memory import Absent
from ingest.alerts.outcome import Directory, Work, moved
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.seat import NEVER, Presence, Seat
from ingest.alerts.states import States
from ingest.alerts.when import Absence
from telemetry.metric import Kind
from telemetry.presence import Device


class Silences:
    def __init__(self, rules: Rules, directory: Directory, states: States) -> None:
        self._rules = rules
        self._directory = directory
        self._states = states

    def attend(self, work: Work, presence: Presence, seat: Seat) -> None:
        """Looks at what a reading of ``seat`` gave to look at (``absence.hear``)."""
        self._expect(presence, seat)
        if seat.is_absent:
            self._see_again(work, presence, seat)
        if presence.newest >= presence.next_silence:
            self._pass(work, presence)

    def _expect(self, presence: Presence, seat: Seat) -> None:
        """Notes when the device will be absent if nothing more is heard of it."""
        if presence.next_silence and seat.is_kept:
            device = self._directory.find(presence.ref, seat.name)
            found = [
                silence.at
                for watcher, spec in self._absences(presence, seat, device)
                if device
                and (silence := absence.silence(spec, presence, seat, device.interval_s))
                and (watcher.rule.id, "") not in (seat.entries or {})
            ]
            if found:
                presence.expect(min(found), seat)

    def _pass(self, work: Work, presence: Presence) -> None:
        """Raises the absences that are due by the gateway's word of now."""
        if not presence.next_silence:
            presence.next_silence = NEVER
            for seat in list(presence.devices()):
                if seat.is_absent:
                    self._see_again(work, presence, seat)
                self._expect(presence, seat)
        while (seat_due := presence.overdue()) is not None:
            self._miss(work, presence, seat_due)
            self._expect(presence, seat_due)

    def _miss(self, work: Work, presence: Presence, seat: Seat) -> None:
        device = self._directory.find(presence.ref, seat.name)
        for watcher, spec in self._absences(presence, seat, device):
            if (watcher.rule.id, "") in (seat.entries or {}):
                continue
            state, transitions = absence.judge(spec, Absent(), presence, seat, device)
            if transitions:
                seat.is_absent = True
                key = Key(watcher.rule.id, presence.ref.community, f"{presence.ref.gateway}/{seat.name}")
                entry = Entry(key, state, Origin(presence.ref.gateway, "", seat.name, presence.newest, 0), None)
                self._states.put(seat, entry)
                work.moves.extend(moved(self._directory, watcher, key, entry.origin, transitions))

    def _see_again(self, work: Work, presence: Presence, seat: Seat) -> None:
        """Ends the absences of a device that was heard, or that the inventory has no more."""
        ref, device = presence.ref, self._directory.find(presence.ref, seat.name)
        for entry in _standing(seat):
            watcher = self._rules.watchers[entry.key.rule].variant(ref.community, seat.name, device.zone if device else "")
            assert isinstance(watcher.rule.when, Absence) and isinstance(entry.state, Absent)
            state, transitions = absence.judge(watcher.rule.when, entry.state, presence, seat, device)
            if not state.since:
                self._states.drop(seat, entry.key)
                work.moves.extend(moved(self._directory, watcher, entry.key, entry.origin, transitions))
        seat.is_absent = bool(_standing(seat))
        if not seat.is_absent:
            self._expect(presence, seat)

    def _absences(self, presence: Presence, seat: Seat, device: Device | None) -> Iterator[tuple[Watcher, Absence]]:
        """The rules that miss such a device."""
        if device is not None and device.kind is not Kind.GATEWAY:
            for watcher in self._rules.missing(presence.ref.community, device):
                if isinstance(watcher.rule.when, Absence):
                    yield watcher, watcher.rule.when


def _standing(seat: Seat) -> list[Entry]:
    return [entry for entry in (seat.entries or {}).values() if isinstance(entry.state, Absent)]
