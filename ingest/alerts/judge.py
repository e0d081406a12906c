"""Readings judged in memory, in the order of their instants: what they change is in ``States`` and in a ``Work``.

1. A reading that leaves everything as it began costs two look-ups and a few comparisons: no key is built, no state made.
2. A reading not newer than the newest judged of its device is *late*: machines that take any order judge it all the same, those
   that have heard nothing newer too; what it would have changed in its turn is for ``ingest.alerts.late``.
3. A rule that raises an error is set aside for that reading, counted, and logged once; the others go on.
4. An absence is raised as soon as its gateway's word has passed the instant at which it was due, before anything later is judged.

Decides, and does no IO; the inventory is asked through a ``Directory``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from ingest.alerts import absence, late
from ingest.alerts.absence import Absent
from ingest.alerts.calm import began
from ingest.alerts.episode import Key
from ingest.alerts.ledger import Moved
from ingest.alerts.machine import Machine, Sample, Transitions
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.seat import NEVER, Presence, Seat, Subject
from ingest.alerts.states import Entry, States
from ingest.alerts.trail import Heard, Row, Source
from ingest.alerts.watch import Ask, Listening, Watch, is_orderly
from ingest.alerts.when import Absence
from ingest.arrival import Arrival
from telemetry.batch import Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

MAX_WATCHES = 100_000


class Directory(Protocol):
    """What exists. ``zone_of`` is ``""`` when unknown; ``edition`` is another object when a gateway's devices are others."""

    def find(self, ref: GatewayRef, device: str) -> Device | None: ...

    def zone_of(self, ref: GatewayRef, device: str) -> str: ...

    def edition(self, ref: GatewayRef) -> object: ...


class Work(NamedTuple):
    """What judging has come to so far."""

    moves: list[Moved]
    lates: set[late.Late]


class _Source(NamedTuple):
    """Where a reading came from."""

    arrival: Arrival
    presence: Presence
    epoch: str
    is_bulk: bool


class Judge:
    """``failures`` counts the judgements that were given up because a rule raised an error."""

    def __init__(self, rules: Rules, directory: Directory, states: States) -> None:
        self.states = states
        self.failures = 0
        self._rules = rules
        self._directory = directory
        self._watches: dict[tuple[str | int, ...], Watch] = {}
        self._told: set[str] = set()
        self._changed = False

    def take(self, arrivals: Sequence[Arrival], work: Work) -> None:
        """Judges batches: their readings by instant, then device, then as they came."""
        rows: list[tuple[int, str, int, Reading, _Source]] = []
        for arrival in arrivals:
            source = self._source(arrival)
            self.states.touched.add(source.presence)
            rows += [(one.at, one.device, place, one, source) for place, one in enumerate(arrival.readings, len(rows))]
        rows.sort()
        hears, trail = bool(self._rules.absences), self.states.trail
        for _, device, _, reading, source in rows:
            presence = source.presence
            seat = presence.seats.get(device)
            if seat is None or seat.watch is None or seat.kind is not reading.kind:
                seat = self._seated(presence, device, reading.kind)
            if hears:
                if reading.at < seat.heard and absence.is_good(reading):
                    self._note_late(work, reading, source)
                self._hear(work, seat, reading, source)
            if reading.values and reading.quality is not Quality.BAD:
                place, self._changed = len(trail.steps), False
                self._weigh(work, seat, reading, source)
                if self._changed:
                    trail.hear(place, Source(source.arrival.stream, source.arrival.received_at), reading)

    def observe(self, reading: Reading, arrival: Arrival, work: Work) -> None:
        """Judges what the centre itself says of a gateway: it is in no order with what the gateway says."""
        source = self._source(arrival)
        seat = self._seated(source.presence, reading.device, reading.kind)
        place, self._changed = len(self.states.trail.steps), False
        for ask in seat.watch.listening(reading.values).asks if seat.watch else ():
            self._advance(work, ask, seat, reading, source)
        if self._changed:
            self.states.trail.hear(place, Source(arrival.stream, arrival.received_at), reading)

    def restore(self, row: Row) -> None:
        """Lets states that were written before it follow a row of the trail, which nobody is told of again."""
        work = Work([], set())
        for step in row.steps:
            if isinstance(step, Heard):
                stream, received_at = row.sources[step.source]
                source = self._source(Arrival(stream, 0, (step.reading,), Micros(received_at)))
                seat = self._seated(source.presence, step.reading.device, step.reading.kind)
                for ask in seat.watch.listening(step.reading.values).asks if seat.watch else ():
                    self._advance(work, ask, seat, step.reading, source)
            elif (entry := self.states.entry(step.key)) is not None and entry.at <= step.at:
                self.states.drop(self.states.subject(step.key), step.key)
        self.states.trail.steps.clear()

    def fire(self, key: Key, entry: Entry, now: int, work: Work) -> None:
        """Lets a timer that is due do what it does."""
        watcher, machine = self._machine(key, entry)
        due = entry.due if entry.due is not None else now
        try:
            state, transitions = machine.fire(entry.state, due)
            fired = entry._replace(state=state, at=max(entry.at, due), due=machine.due(state))
        except Exception as error:
            self._gave_up(key.rule, error)
            fired, transitions = entry._replace(due=None), ()
        ended = bool(transitions)  # by the clock: a reading on its way may yet say otherwise, and is late then
        self._keep(self.states.subject(key), key, fired, machine, not ended and is_orderly(watcher, machine))
        self._moved(work, watcher, key, entry, transitions)

    def forget(self, before: int) -> None:
        """Drops the idle states of subjects told apart by a discriminator that said nothing since ``before``."""
        for key, entry in list(self.states.discriminated()):
            if entry.at < before and self._machine(key, entry)[1].idle(entry.state):
                self.states.drop(self.states.subject(key), key)

    def _machine(self, key: Key, entry: Entry) -> tuple[Watcher, Machine[Any]]:
        """The rule of a state, with its numbers there."""
        zone = self._directory.zone_of(GatewayRef(key.community, entry.gateway), entry.device)
        watcher = self._rules.watchers[key.rule].variant(key.community, entry.device, zone)
        return watcher, watcher.machine(key.community)

    def _source(self, arrival: Arrival) -> _Source:
        stream = arrival.stream
        presence = self.states.presence(stream.ref)
        edition = self._directory.edition(presence.ref)
        if presence.edition is not edition:
            presence.edition = edition
            presence.reseat()
        return _Source(arrival, presence, stream.epoch, stream.lane == Lane.BULK)

    def _seated(self, presence: Presence, name: str, kind: Kind) -> Seat:
        """The device's seat, with the rules for its readings of ``kind`` by the inventory of now."""
        seat, ref = presence.seat(name), presence.ref
        device, zone = self._directory.find(ref, name), self._directory.zone_of(ref, name)
        watchers = self._rules.watching(kind, ref.community, name, device, zone)
        group: tuple[str | int, ...] = (ref.community, *map(id, watchers))
        watch = self._watches.get(group)
        if watch is None:
            if len(self._watches) >= MAX_WATCHES:
                self._watches.clear()
            watch = self._watches[group] = Watch(watchers, ref.community)
        seat.kind, seat.watch = kind, watch
        seat.zone = self.states.shared(ref.community, f"zone:{zone}")
        seat.community = self.states.shared(ref.community, "community")
        return seat

    def _hear(self, work: Work, seat: Seat, reading: Reading, source: _Source) -> None:
        presence, before = source.presence, seat.failing
        is_new = not seat.heard and not before
        absence.hear(presence, seat, reading, source.epoch, source.is_bulk, source.arrival.received_at)
        if is_new or seat.failing != before:
            self._expect(presence, seat)
        if seat.is_absent:
            self._see_again(work, presence, seat)
        if presence.newest >= presence.next_silence:
            self._pass_silences(work, presence)

    def _weigh(self, work: Work, seat: Seat, reading: Reading, source: _Source) -> None:
        assert seat.watch is not None and seat.zone is not None and seat.community is not None
        at, values = reading.at, reading.values
        listening = seat.watch.listening(values)
        if at <= seat.newest:
            self._overtaken(work, seat, reading, source, listening)
            return
        seat.newest = at
        asks = listening.wary if seat.entries is None else listening.asks
        if listening.zone or listening.community:
            for shared in _shared(seat, listening):
                if at < shared.newest and source.arrival.received_at - at > late.LIVE_US:
                    self._overtaken(work, seat, reading, source, listening)
                    return
                shared.newest = max(shared.newest, at)
                if shared.entries is not None:
                    asks = listening.asks
        for ask in asks:
            if not ask.calm(values) or asks is not listening.wary:
                self._advance(work, ask, seat, reading, source)

    def _overtaken(self, work: Work, seat: Seat, reading: Reading, source: _Source, listening: Listening) -> None:
        """A reading older than what was judged: where something stands, its machine says what it makes of it; where nothing
        does, it is judged if its order says nothing, and else is late."""
        waited = source.arrival.received_at - reading.at > late.LIVE_US
        for ask in listening.asks:
            subject, slot = _subject(ask, seat), _slot(ask, reading)
            is_late = reading.at < seat.newest or (subject is not seat and waited and reading.at < subject.newest)
            if slot is None or ask.any_order or not is_late or (subject.entries and slot in subject.entries):
                self._advance(work, ask, seat, reading, source)
            else:
                self._note_late(work, reading, source)

    def _advance(self, work: Work, ask: Ask, seat: Seat, reading: Reading, source: _Source) -> None:
        slot = _slot(ask, reading)
        if slot is None:
            return
        subject, machine = _subject(ask, seat), ask.machine
        entry: Entry | None = subject.entries.get(slot) if subject.entries else None
        if entry is None and ask.calm(reading.values):
            return
        old = machine.initial if entry is None else entry.state
        arrival, sample = source.arrival, _sample(reading)
        if late.is_late(machine, old, sample, arrival.received_at, subject is not seat, subject.newest):
            self._note_late(work, reading, source)
        try:
            state, transitions = machine.advance(old, sample)
            if state is old:
                return
            due = machine.due(state)
        except Exception as error:
            self._gave_up(ask.watcher.rule.id, error)
            return
        stream = arrival.stream
        lag = 0 if source.is_bulk else arrival.received_at - reading.at
        now = Entry(state, stream.gateway, stream.lane, reading.device, reading.at, lag, due)
        name = f"{stream.gateway}/{seat.name}" if subject is seat else subject.name
        key = Key(slot[0], stream.community, name, slot[1])
        self._changed = True
        self._keep(subject, key, now, machine, ask.forgets, on_trail=not transitions)
        self._moved(work, ask.watcher, key, now, transitions)

    def _note_late(self, work: Work, reading: Reading, source: _Source) -> None:
        stream, seq = source.arrival.stream, source.arrival.seq
        if seq:
            work.lates.add(late.Late(source.presence.ref, reading.device, reading.kind, reading.at, stream, seq))

    def _keep(
        self, subject: Subject, key: Key, entry: Entry, machine: Machine[Any], forgets: bool, *, on_trail: bool = False
    ) -> None:
        if forgets and began(machine, entry.state):
            subject.newest = max(subject.newest, entry.at)
            self.states.drop(subject, key)
        else:
            self.states.put(subject, key, entry, on_trail=on_trail)

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

    def _pass_silences(self, work: Work, presence: Presence) -> None:
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
            key = Key(watcher.rule.id, presence.ref.community, f"{presence.ref.gateway}/{seat.name}")
            if (key.rule, "") in (seat.entries or {}):
                continue
            state, transitions = absence.judge(spec, Absent(), presence, seat, device)
            if transitions:
                seat.is_absent = True
                entry = Entry(state, presence.ref.gateway, "", seat.name, presence.newest, 0, None)
                self.states.put(seat, key, entry)
                self._moved(work, watcher, key, entry, transitions)

    def _see_again(self, work: Work, presence: Presence, seat: Seat) -> None:
        """Ends the absences of a device that was heard, or that the inventory has no more."""
        ref, device = presence.ref, self._directory.find(presence.ref, seat.name)
        standing = [(slot, entry) for slot, entry in (seat.entries or {}).items() if isinstance(entry.state, Absent)]
        for (rule, _), entry in standing:
            watcher = self._rules.watchers[rule].variant(ref.community, seat.name, device.zone if device else "")
            assert isinstance(watcher.rule.when, Absence)
            state, transitions = absence.judge(watcher.rule.when, entry.state, presence, seat, device)
            if not state.since:
                key = Key(rule, ref.community, f"{ref.gateway}/{seat.name}")
                self.states.drop(seat, key)
                self._moved(work, watcher, key, entry, transitions)
        seat.is_absent = any(isinstance(entry.state, Absent) for entry in (seat.entries or {}).values())
        if not seat.is_absent:
            self._expect(presence, seat)

    def _absences(self, presence: Presence, seat: Seat, device: Device | None) -> Iterator[tuple[Watcher, Absence]]:
        """The rules that miss such a device."""
        if device is not None and device.kind is not Kind.GATEWAY:
            for watcher in self._rules.missing(presence.ref.community, device):
                if isinstance(watcher.rule.when, Absence):
                    yield watcher, watcher.rule.when

    def _moved(self, work: Work, watcher: Watcher, key: Key, entry: Entry, transitions: Transitions) -> None:
        ref = GatewayRef(key.community, entry.gateway)
        for transition in transitions:
            name = transition.device or entry.device
            device = self._directory.find(ref, name)
            zone = self._directory.zone_of(ref, name)
            work.moves.append(Moved(key, watcher, transition, entry.gateway, name, device.place if device else None, zone))

    def _gave_up(self, rule: str, error: Exception) -> None:
        self.failures += 1
        if rule not in self._told:
            self._told.add(rule)
            log.error("rule failed", rule=rule, error=repr(error))


def _sample(reading: Reading) -> Sample:
    return Sample(reading.at, reading.device, reading.values, reading.quality is not Quality.STALE)


def _subject(ask: Ask, seat: Seat) -> Subject:
    if ask.subject == "device":
        return seat
    shared = seat.zone if ask.subject == "zone" else seat.community
    assert shared is not None
    return shared


def _shared(seat: Seat, listening: Listening) -> Iterator[Subject]:
    if listening.zone and seat.zone is not None:
        yield seat.zone
    if listening.community and seat.community is not None:
        yield seat.community


def _slot(ask: Ask, reading: Reading) -> tuple[str, str] | None:
    """The state's place at its subject; ``None`` when the reading does not say which."""
    if ask.discriminator is None:
        return ask.slot
    said = str(reading.values.get(ask.discriminator, ""))
    return (ask.slot[0], said) if said else None
