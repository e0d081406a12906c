"""Readings judged in memory, in the order of their instants: what they change is in ``States`` and in a ``Work``.

1. A reading that leaves everything as it began costs two look-ups and a few comparisons: no key is built, no state made.
2. A reading not newer than the newest judged of its device is *late*: machines that take any order judge it all the same, those
   that have heard nothing newer too; what it would have changed in its turn is for ``ingest.alerts.late``.
3. A rule that raises an error is set aside for that reading, counted, and logged once; the others go on.
4. What changes nothing but a window is taken into it in place (``ingest.alerts.fold``); its state is worked out when asked for.

Decides, and does no IO; the inventory is asked through a ``Directory``. Silence is judged in ``ingest.alerts.silences``.
"""

from collections.abc import Sequence
from typing import Any, Final

import structlog

from ingest.alerts import absence, late
from ingest.alerts.calm import began
from ingest.alerts.entry import Entry, Origin
from ingest.alerts.episode import Key
from ingest.alerts.machine import Machine, Sample
from ingest.alerts.outcome import Directory, Work, moved
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.seat import Presence, Seat, Subject
from ingest.alerts.silences import Silences
from ingest.alerts.states import States
from ingest.alerts.trail import Heard, Row, Source
from ingest.alerts.watch import Ask, Listening, Watch, is_orderly
from ingest.arrival import Arrival
from telemetry.batch import Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

_BAD: Final = Quality.BAD
_STALE: Final = Quality.STALE

MAX_WATCHES = 100_000


class _Source:
    """Where readings came from, and when; ``said`` is that for the trail."""

    __slots__ = ("epoch", "is_bulk", "known_at", "presence", "said", "seq", "stream")

    def __init__(self, presence: Presence, arrival: Arrival) -> None:
        self.presence = presence
        self.stream = arrival.stream
        self.seq = arrival.seq
        self.known_at: int = arrival.received_at
        self.epoch = arrival.stream.epoch
        self.is_bulk = arrival.stream.lane == Lane.BULK
        self.said = Source(arrival.stream, arrival.received_at)

    def lag(self, at: int) -> int:
        """Of what was said at an instant; bulk data has none."""
        return 0 if self.is_bulk else self.known_at - at


_Row = tuple[int, str, int, Reading, _Source]


class Judge:
    """``failures`` counts the judgements that were given up because a rule raised an error."""

    def __init__(self, rules: Rules, directory: Directory, states: States) -> None:
        self.states = states
        self.failures = 0
        self._rules = rules
        self._directory = directory
        self._watches: dict[tuple[str | int, ...], Watch] = {}
        self._told: set[str] = set()

    def take(self, arrivals: Sequence[Arrival], work: Work) -> None:
        """Judges batches, one community after the other: their readings by instant, then device, then as they came."""
        communities: dict[str, list[_Row]] = {}
        for arrival in arrivals:
            source = self._source(arrival)
            self.states.touched.add(source.presence)
            rows = communities.setdefault(source.stream.community, [])
            rows += [(one.at, one.device, place, one, source) for place, one in enumerate(arrival.readings, len(rows))]
        silences = Silences(self._rules, self._directory, self.states) if self._rules.absences else None
        for rows in communities.values():
            self._take_in_order(rows, work, silences)

    def _take_in_order(self, rows: list[_Row], work: Work, silences: Silences | None) -> None:
        rows.sort()
        for at, device, _, reading, source in rows:
            presence = source.presence
            seat = presence.seats.get(device)
            if seat is None or seat.watch is None or seat.kind is not reading.kind:
                seat = self._seated(presence, device, reading.kind)
            if silences is not None:
                if at < seat.heard and absence.is_good(reading):
                    self._note_late(work, reading, source)  # it was there then: an absence may have been none
                if absence.hear(presence, seat, reading, source.epoch, source.is_bulk, source.known_at):
                    silences.attend(work, presence, seat)
            values, watch = reading.values, seat.watch
            if not values or watch is None or reading.quality is _BAD:
                continue
            listening = watch.listening(values)
            if at > seat.newest and seat.entries is None and not listening.shares and listening.calm(values):
                seat.newest = at
            else:
                self._weigh(work, listening, seat, reading, source)

    def observe(self, reading: Reading, arrival: Arrival, work: Work) -> None:
        """Judges what the centre itself says of a gateway: it is in no order with what the gateway says."""
        source = self._source(arrival)
        seat = self._seated(source.presence, reading.device, reading.kind)
        assert seat.watch is not None
        self._judge(work, seat.watch.listening(reading.values).asks, seat, reading, source)

    def restore(self, row: Row) -> None:
        """Lets states that were written before it follow a row of the trail, which nobody is told of again."""
        work = Work([], set())
        sources: dict[int, _Source] = {}
        for step in row.steps():
            if isinstance(step, Heard):
                said, reading, passed = step
                source = sources.get(id(said))
                if source is None:
                    source = sources[id(said)] = self._source(Arrival(said.stream, 0, (), Micros(said.received_at)))
                seat = source.presence.seats.get(reading.device)
                if seat is None or seat.watch is None or seat.kind is not reading.kind:
                    seat = self._seated(source.presence, reading.device, reading.kind)
                assert seat.watch is not None
                heard = seat.watch.listening(reading.values).asks
                asks = [ask for ask in heard if ask.watcher.rule.id not in passed and not self._followed(ask, seat, reading)]
                self._judge(work, asks, seat, reading, source)
            elif (entry := self.states.entry(step.key)) is None or entry.followed >= self.states.trail.seq:
                continue
            elif entry.origin.at <= step.at:
                self.states.drop(self.states.subject(step.key), step.key)
        self.states.trail.pass_over()

    def _followed(self, ask: Ask, seat: Seat, reading: Reading) -> bool:
        """Whether the state was written with this row of the trail or after it: it may have judged what is older since, and would
        come to what nobody was told of."""
        entries, slot = _subject(ask, seat).entries, _slot(ask, reading)
        entry: Entry | None = entries.get(slot) if entries and slot is not None else None
        return entry is not None and entry.followed >= self.states.trail.seq

    def fire(self, entry: Entry, now: int, work: Work) -> None:
        """Lets a timer that is due do what it does."""
        watcher, machine = self._machine(entry)
        due = entry.due if entry.due is not None else now
        try:
            state, transitions = machine.fire(entry.state, due)
            next_due = machine.due(state)
        except Exception as error:
            self._gave_up(entry.key.rule, error)
            state, transitions, next_due = entry.state, (), None
        ended = bool(transitions)  # by the clock: a reading on its way may yet say otherwise, and is late then
        entry.follow(state, entry.origin._replace(at=max(entry.origin.at, due)), next_due)
        self._keep(self.states.subject(entry.key), entry, machine, not ended and is_orderly(watcher, machine))
        work.moves.extend(moved(self._directory, watcher, entry.key, entry.origin, transitions))

    def forget(self, before: int) -> None:
        """Drops the idle states of subjects told apart by a discriminator that said nothing since ``before``."""
        for entry in list(self.states.discriminated()):
            if entry.origin.at < before and self._machine(entry)[1].idle(entry.state):
                self.states.drop(self.states.subject(entry.key), entry.key)

    def _machine(self, entry: Entry) -> tuple[Watcher, Machine[Any]]:
        """The rule of a state, with its numbers there."""
        key, origin = entry.key, entry.origin
        zone = self._directory.zone_of(GatewayRef(key.community, origin.gateway), origin.device)
        watcher = self._rules.watchers[key.rule].variant(key.community, origin.device, zone)
        return watcher, watcher.machine(key.community)

    def _source(self, arrival: Arrival) -> _Source:
        stream = arrival.stream
        presence = self.states.presence(stream.ref)
        edition = self._directory.edition(presence.ref)
        if presence.edition is not edition:
            presence.edition = edition
            presence.reseat()
        return _Source(presence, arrival)

    def _seated(self, presence: Presence, name: str, kind: Kind) -> Seat:
        """The device's seat, with the rules for its readings of ``kind`` by the inventory of now."""
        ref = presence.ref
        device, zone = self._directory.find(ref, name), self._directory.zone_of(ref, name)
        seat = presence.seat(name if device is None else device.id)  # one text for both: a city's names are 30 MB
        watchers = self._rules.watching(kind, ref.community, name, device, zone)
        whose = ref.community if any(one.is_local for one in watchers) else ""
        group: tuple[str | int, ...] = (whose, *map(id, watchers))
        watch = self._watches.get(group)
        if watch is None:
            if len(self._watches) >= MAX_WATCHES:
                self._watches.clear()
            watch = self._watches[group] = Watch(watchers, ref.community)
        seat.kind, seat.watch = kind, watch
        seat.zone = self.states.shared(ref.community, f"zone:{zone}")
        seat.community = self.states.shared(ref.community, "community")
        return seat

    def _weigh(self, work: Work, listening: Listening, seat: Seat, reading: Reading, source: _Source) -> None:
        at = reading.at
        if at <= seat.newest:
            self._overtaken(work, seat, reading, source, listening)
            return
        seat.newest = at
        asks = listening.wary if seat.entries is None else listening.asks
        for shared in (seat.zone if listening.zone else None, seat.community if listening.community else None):
            if shared is not None:
                if at > shared.newest:
                    shared.newest = at
                elif at < shared.newest and source.known_at - at > late.LIVE_US:
                    self._overtaken(work, seat, reading, source, listening)
                    return
                if shared.entries is not None:
                    asks = listening.asks
        if asks is not listening.wary or not listening.calm(reading.values):
            self._judge(work, asks, seat, reading, source)

    def _judge(
        self, work: Work, asks: Sequence[Ask], seat: Seat, reading: Reading, source: _Source, passed: tuple[str, ...] = ()
    ) -> None:
        """Lets rules have a reading, and puts it on the trail if any state changed by it; it is too late for ``passed``."""
        values, at, place = reading.values, reading.at, len(self.states.trail.steps)
        may_fold = reading.quality is not _STALE
        changed = False
        for ask in asks:
            slot = ask.slot if ask.discriminator is None else _slot(ask, reading)
            if slot is None:
                continue
            subject = seat if ask.subject == "device" else _subject(ask, seat)
            entry: Entry | None = subject.entries.get(slot) if subject.entries else None
            if entry is None:
                if ask.calm(values):
                    continue
            elif may_fold and ask.folds and entry.takes(ask.machine, source.stream, at, source.lag(at), seat.name, values):
                if not entry.is_noted:
                    self.states.note(entry)
                changed = True
                continue
            changed |= self._advance(work, ask, slot, subject, seat, reading, source)
        if changed:
            self.states.trail.hear(place, source.said, reading, passed)

    def _overtaken(self, work: Work, seat: Seat, reading: Reading, source: _Source, listening: Listening) -> None:
        """A reading older than what was judged: where something stands, its machine says what it makes of it; where nothing
        does, it is judged if its order says nothing, and else is late."""
        waited = source.known_at - reading.at > late.LIVE_US
        asks: list[Ask] = []
        passed: tuple[str, ...] = ()
        for ask in listening.asks:
            subject, slot = _subject(ask, seat), _slot(ask, reading)
            is_late = reading.at < seat.newest or (subject is not seat and waited and reading.at < subject.newest)
            if slot is None or ask.any_order or not is_late or (subject.entries and slot in subject.entries):
                asks.append(ask)
            else:
                passed += (ask.watcher.rule.id,)
                self._note_late(work, reading, source)
        self._judge(work, asks, seat, reading, source, passed)

    def _advance(
        self, work: Work, ask: Ask, slot: tuple[str, str], subject: Subject, seat: Seat, reading: Reading, source: _Source
    ) -> bool:
        """Whether the state is another."""
        machine, stream = ask.machine, source.stream
        sample = Sample(reading.at, seat.name, reading.values, reading.quality is not _STALE)
        entry: Entry | None = subject.entries.get(slot) if subject.entries else None
        old = machine.initial if entry is None else entry.state
        if late.is_late(machine, old, sample, source.known_at, subject is not seat, subject.newest):
            self._note_late(work, reading, source)
        try:
            state, transitions = machine.advance(old, sample)
            if state is old or (not transitions and state == old):
                return False
            due = machine.due(state)
        except Exception as error:
            self._gave_up(ask.watcher.rule.id, error)
            return False
        origin = Origin(stream.gateway, stream.lane, seat.name, reading.at, source.lag(reading.at))
        if entry is None:
            entry = Entry(Key(slot[0], stream.community, _name(subject, seat, stream.gateway), slot[1]), state, origin, due)
        else:
            entry.follow(state, origin, due)
        self._keep(subject, entry, machine, ask.forgets, on_trail=not transitions)
        work.moves.extend(moved(self._directory, ask.watcher, entry.key, origin, transitions))
        return True

    def _note_late(self, work: Work, reading: Reading, source: _Source) -> None:
        if source.seq:
            stream = source.stream
            work.lates.add(late.Late(source.presence.ref, reading.device, reading.kind, reading.at, stream, source.seq))

    def _keep(self, subject: Subject, entry: Entry, machine: Machine[Any], forgets: bool, *, on_trail: bool = False) -> None:
        if forgets and began(machine, entry.state):
            subject.newest = max(subject.newest, entry.origin.at)
            self.states.drop(subject, entry.key)
        else:
            self.states.put(subject, entry, on_trail=on_trail)

    def _gave_up(self, rule: str, error: Exception) -> None:
        self.failures += 1
        if rule not in self._told:
            self._told.add(rule)
            log.error("rule failed", rule=rule, error=repr(error))


def _name(subject: Subject, seat: Seat, gateway: str) -> str:
    """The key's; the same text for all states of a subject."""
    if subject is not seat:
        return subject.name
    other: Entry | None = next(iter(subject.entries.values()), None) if subject.entries else None
    return other.key.subject if other is not None else f"{gateway}/{seat.name}"


def _subject(ask: Ask, seat: Seat) -> Subject:
    if ask.subject == "device":
        return seat
    shared = seat.zone if ask.subject == "zone" else seat.community
    assert shared is not None
    return shared


def _slot(ask: Ask, reading: Reading) -> tuple[str, str] | None:
    """The state's place at its subject; ``None`` when the reading does not say which."""
    if ask.discriminator is None:
        return ask.slot
    said = str(reading.values.get(ask.discriminator, ""))
    return (ask.slot[0], said) if said else None
