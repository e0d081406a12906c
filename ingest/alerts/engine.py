"""The rules at work: readings in, episodes out, one transaction each time.

1. What ``take`` and ``tick`` change (episodes, journal, rule states, tally, watermarks) commits in one transaction, durable
   on return; memory follows only after it. If it fails, or the caller is cancelled, memory is read back from the database.
2. A batch at or below its stream's watermark changes nothing.
3. The readings of one ``take`` are judged in the order of their ``at``.
4. A rule that raises an error is set aside for that reading, counted, and logged once; the others go on.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import sqlalchemy as sa
import structlog

from ingest import tally
from ingest.alerts import absence, late
from ingest.alerts.episode import Key
from ingest.alerts.gate import Gate
from ingest.alerts.ledger import Entry, Moved, States, apply, forget, load_states, retire, save_states
from ingest.alerts.machine import Sample, Transitions
from ingest.alerts.progress import Progress
from ingest.alerts.rules import Rules, Watcher
from ingest.alerts.tables import Told, load_watermarks, save_watermarks, untold
from ingest.alerts.when import Absence
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

FORGET_AFTER_US = 24 * 3600 * 1_000_000
MAX_WATCHES = 100_000
FORGET_EVERY_US = 600 * 1_000_000


class Directory(Protocol):
    """What exists. ``zone_of`` is ``""`` when unknown."""

    def find(self, ref: GatewayRef, device: str) -> Device | None: ...

    def zone_of(self, ref: GatewayRef, device: str) -> str: ...


class _Watch(NamedTuple):
    """The rules of one device, found once and kept while the inventory says the same of it."""

    device: Device | None
    zone: str
    watchers: tuple[Watcher, ...]


class AlertEngine:
    """``on_change`` is called after each commit that changed an alert, ``told`` of each change within its transaction.

    Times are UTC microseconds; ``now`` is the wall's.
    """

    def __init__(
        self, rules: Rules, database: Database, directory: Directory, on_change: Callable[[], None], told: Told = untold
    ) -> None:
        self._rules = rules
        self._database = database
        self._directory = directory
        self._on_change = on_change
        self._told_of = told
        self._gate = Gate(rules)
        self._lock = asyncio.Lock()
        self._stale = True
        self._states = States()
        self._marks: dict[Stream, int] = {}
        self._progress = Progress()
        self._watches: dict[tuple[GatewayRef, str, Kind], _Watch] = {}
        self._forget_at = 0
        self._told: set[str] = set()
        self.failures = 0
        """Judgements given up because a rule raised an error."""

    async def open(self) -> None:
        async with self._lock:
            await self._recall()

    async def take(self, arrivals: Sequence[Arrival], now: int) -> None:
        """Evaluates batches in order. Durable on return; raises what the database raises, and then nothing has changed."""
        async with self._lock:
            await self._recall()
            fresh, marks = self._unseen(arrivals)
            if not marks:
                return
            work = _Work(self._states.branch(), [], set(), tally.count(fresh))
            for *_, reading, arrival in sorted(_judged(fresh, self._rules)):
                self._judge(work, reading, arrival)
            for ref in {arrival.stream.ref for arrival in fresh}:
                self._judge_presence(work, ref)
            await self._commit(work, marks, now)
            for arrival in fresh:
                self._note(arrival)

    async def observe(self, ref: GatewayRef, reading: Reading, now: int) -> None:
        """Judges what the centre itself says of a gateway: of no batch, and no sign of the gateway's life."""
        async with self._lock:
            await self._recall()
            work = _Work(self._states.branch(), [], set())
            self._weigh(work, reading, Arrival(Stream(*ref, "", Lane.URGENT), 0, (reading,), Micros(now)))
            if work.states.changed:
                await self._commit(work, {}, now)

    async def tick(self, now: int) -> None:
        """Fires the timers that are due and whose gateway is known to have said nothing else; call it about once a second."""
        async with self._lock:
            await self._recall()
            if self._progress.started_at is None:
                self._progress.started_at = now
                await self._retire(now)
            work = _Work(self._states.branch(), [], set())
            for key, entry in self._states.timers(now):
                ref = GatewayRef(key.community, entry.gateway)
                if entry.due is not None and self._progress.permits(ref, entry.lane, entry.due + entry.lag, now):
                    self._fire(work, key, entry, now)
            if work.states.changed:
                await self._commit(work, {}, now)
            if now >= self._forget_at:
                await self._forget(now)

    async def watermarks(self) -> Mapping[Stream, int]:
        return dict(self._marks)

    async def advance(self, stream: Stream, seq: int) -> None:
        """Passes over everything up to ``seq``, durably."""
        async with self._lock:
            await self._recall()
            if seq > self._marks.get(stream, 0):
                await self._commit(_Work(self._states.branch(), [], set()), {stream: seq}, 0)

    def _unseen(self, arrivals: Sequence[Arrival]) -> tuple[list[Arrival], dict[Stream, int]]:
        fresh: list[Arrival] = []
        marks: dict[Stream, int] = {}
        for arrival in sorted(arrivals, key=lambda arrival: arrival.seq):
            if arrival.seq > marks.get(arrival.stream, self._marks.get(arrival.stream, 0)):
                fresh.append(arrival)
                marks[arrival.stream] = arrival.seq
        return fresh, marks

    def _judge(self, work: "_Work", reading: Reading, arrival: Arrival) -> None:
        stream = arrival.stream
        if self._rules.absences and reading.kind is not Kind.GATEWAY:
            self._judge_device(work, stream.ref, reading.device)
        if self._rules.absences:
            presence = work.states.presence(stream.ref)
            absence.hear(presence, reading, stream.epoch, stream.lane, arrival.received_at)
            self._judge_device(work, stream.ref, reading.device)
        self._weigh(work, reading, arrival)

    def _weigh(self, work: "_Work", reading: Reading, arrival: Arrival) -> None:
        if reading.quality is Quality.BAD or not reading.values:
            return
        stream = arrival.stream
        watch = self._watch(stream.ref, reading)
        for watcher in watch.watchers:
            self._advance(work, watcher, reading, arrival, watch.zone)

    def _advance(self, work: "_Work", watcher: Watcher, reading: Reading, arrival: Arrival, zone: str) -> None:
        rule, stream = watcher.rule, arrival.stream
        machine = watcher.machine(stream.community)
        if machine.metrics.isdisjoint(reading.values):
            return
        discriminator = str(reading.values.get(rule.discriminator, "")) if rule.discriminator else ""
        if rule.discriminator and not discriminator:
            return
        key = Key(rule.id, stream.community, watcher.subject(stream.gateway, reading.device, zone), discriminator)
        old = work.states.get(key)
        try:
            sample = Sample(reading.at, reading.device, reading.values, reading.quality is not Quality.STALE)
            state, transitions = machine.advance(old.state if old else machine.initial, sample)
            due = machine.due(state)
        except Exception as error:
            self._gave_up(rule.id, error)
            return
        if old and arrival.seq and late.is_late(machine, old.state, sample, arrival.received_at, rule.subject != "device"):
            work.lates.add(late.Late(stream.ref, reading.device, reading.kind, reading.at, stream, arrival.seq))
        if old is None or state != old.state:
            lag = arrival.received_at - reading.at if stream.lane == Lane.URGENT else 0
            entry = Entry(state, stream.gateway, stream.lane, reading.device, reading.at, lag, due, machine.idle(state))
            self._moved(work, watcher, key, entry, transitions)

    def _fire(self, work: "_Work", key: Key, entry: Entry, now: int) -> None:
        zone = self._directory.zone_of(GatewayRef(key.community, entry.gateway), entry.device)
        watcher = self._rules.watchers[key.rule].variant(key.community, entry.device, zone)
        machine = watcher.machine(key.community)
        try:
            state, transitions = machine.fire(entry.state, entry.due if entry.due is not None else now)
            fired = entry._replace(state=state, due=machine.due(state), idle=machine.idle(state))
        except Exception as error:
            self._gave_up(key.rule, error)
            fired, transitions = entry._replace(due=None), ()
        self._moved(work, watcher, key, fired, transitions)

    def _judge_presence(self, work: "_Work", ref: GatewayRef) -> None:
        if self._rules.absences:
            for device in sorted(work.states.presence(ref).devices()):
                self._judge_device(work, ref, device)

    def _judge_device(self, work: "_Work", ref: GatewayRef, name: str) -> None:
        device = self._directory.find(ref, name)
        if device is not None and device.kind is Kind.GATEWAY:
            return
        presence = work.states.presence(ref)
        for watcher in self._rules.absences:
            key = Key(watcher.rule.id, ref.community, f"{ref.gateway}/{name}")
            old = work.states.get(key)
            if old is None and not self._watched(watcher, ref, device):
                continue
            watcher = watcher.variant(ref.community, name, device.zone if device else "")
            spec = watcher.rule.when
            assert isinstance(spec, Absence)
            was = old.state if old and isinstance(old.state, absence.Absent) else absence.Absent()
            state, transitions = absence.judge(spec, was, presence, device, name)
            if state != was:
                self._moved(work, watcher, key, Entry(state, ref.gateway, "", name, presence.newest, 0, None, False), transitions)

    def _watched(self, watcher: Watcher, ref: GatewayRef, device: Device | None) -> bool:
        kinds = watcher.rule.applies_to.kinds
        if device is None or (kinds and device.kind not in kinds):
            return False
        return watcher.applies(ref.community, device.id, device, device.zone)

    def _moved(self, work: "_Work", watcher: Watcher, key: Key, entry: Entry, transitions: Transitions) -> None:
        work.states.put(key, entry)
        for transition in transitions:
            name = transition.device or entry.device
            ref = GatewayRef(key.community, entry.gateway)
            device = self._directory.find(ref, name)
            zone = self._directory.zone_of(ref, name)
            work.moves.append(Moved(key, watcher, transition, entry.gateway, name, device.place if device else None, zone))

    def _watch(self, ref: GatewayRef, reading: Reading) -> _Watch:
        device = self._directory.find(ref, reading.device)
        zone = self._directory.zone_of(ref, reading.device)
        known = self._watches.get((ref, reading.device, reading.kind))
        if known is None or known.device is not device or known.zone != zone:
            if len(self._watches) >= MAX_WATCHES:
                self._watches.clear()
            watchers = self._rules.watching(reading.kind, ref.community, reading.device, device, zone)
            known = self._watches[ref, reading.device, reading.kind] = _Watch(device, zone, watchers)
        return known

    def _note(self, arrival: Arrival) -> None:
        if arrival.readings:
            newest = max(reading.at for reading in arrival.readings)
            self._progress.note(arrival.stream.ref, arrival.stream.lane, newest, arrival.received_at)

    def _gave_up(self, rule: str, error: Exception) -> None:
        self.failures += 1
        if rule not in self._told:
            self._told.add(rule)
            log.error("rule failed", rule=rule, error=repr(error))

    async def _commit(self, work: "_Work", marks: Mapping[Stream, int], now: int) -> None:
        def change(connection: sa.Connection) -> None:
            tally.add(connection, work.counted)
            for moved in work.moves:
                apply(connection, moved, now, self._gate, self._told_of)
            save_states(connection, work.states)
            late.note(connection, work.lates, now)
            save_watermarks(connection, marks)

        self._stale = True
        await self._database.write(change)
        self._states.merge(work.states)
        self._marks.update(marks)
        self._stale = False
        if work.moves:
            self._on_change()

    async def _retire(self, now: int) -> None:
        gone = await self._database.write(lambda connection: retire(connection, self._rules, now, self._told_of))
        if gone:
            log.info("alerts cleared: their rule is gone", alerts=gone)
            self._on_change()

    async def _forget(self, now: int) -> None:
        """Drops idle states of subjects that will not come back, as the objects a camera tracked a day ago."""
        self._forget_at = now + FORGET_EVERY_US
        await self._database.write(lambda connection: tally.forget(connection, now))
        gone = [key for key, entry in self._states.idle() if key.discriminator and entry.at < now - FORGET_AFTER_US]
        if gone:
            self._stale = True
            await self._database.write(lambda connection: forget(connection, gone))
            self._states.drop(gone)
            self._stale = False

    async def _recall(self) -> None:
        """Reads memory back from the database, behind any write that is still under way."""
        if self._stale:
            self._states, self._marks = await self._database.write(self._load)
            self._stale = False

    def _load(self, connection: sa.Connection) -> tuple[States, dict[Stream, int]]:
        return load_states(connection, self._rules, self._directory.zone_of), load_watermarks(connection)


class _Work(NamedTuple):
    """What one evaluation has changed so far."""

    states: States
    moves: list[Moved]
    lates: set[late.Late]
    counted: tally.Counted = tally.NOTHING


def _judged(arrivals: Sequence[Arrival], rules: Rules) -> Iterator[tuple[int, str, int, Reading, Arrival]]:
    """The readings that any rule could look at, as they are sorted: by instant, then device, then as they came."""
    kinds = {kind for kind in Kind if rules.judge(kind)}
    readings = ((reading, arrival) for arrival in arrivals for reading in arrival.readings if reading.kind in kinds)
    return ((reading.at, reading.device, place, reading, arrival) for place, (reading, arrival) in enumerate(readings))
