"""The rules at work: readings in, episodes out, one transaction each time.

1. What ``take`` and ``tick`` change (episodes, journal, rule states, tally, watermarks) commits in one transaction, durable
   on return. If it fails, or the caller is cancelled, memory is read back from the database.
2. A batch at or below its stream's watermark changes nothing.
3. The readings of one ``take`` are judged in the order of their ``at`` (``ingest.alerts.judge``).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ingest import tally
from ingest.alerts import late, revision
from ingest.alerts.calm import began
from ingest.alerts.entry import Entry, Origin
from ingest.alerts.gate import Gate
from ingest.alerts.hold import MAX_TURNS
from ingest.alerts.judge import Judge
from ingest.alerts.ledger import apply, retire
from ingest.alerts.outcome import Directory, Work
from ingest.alerts.progress import Progress
from ingest.alerts.review import Course, newest_judged
from ingest.alerts.revision import Reviewed
from ingest.alerts.rules import Rules
from ingest.alerts.states import States
from ingest.alerts.tables import Told, drop_watermarks, load_watermarks, save_watermarks, untold
from ingest.alerts.watch import is_orderly
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

FORGET_AFTER_US = 24 * 3600 * 1_000_000
FORGET_EVERY_US = 600 * 1_000_000


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
        self._judge = Judge(rules, directory, States())
        self._marks: dict[Stream, int] = {}
        self._progress = Progress()
        self._forget_at = 0

    @property
    def failures(self) -> int:
        """Judgements given up because a rule raised an error."""
        return self._judge.failures

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
            self._stale = True
            work = Work([], set())
            if len(self._rules):  # else nobody will ask what was heard
                self._judge.take(fresh, work)
            await self._commit(work, _Taken(marks, tally.count(fresh)), now)
            for arrival in fresh:
                self._note(arrival)

    async def observe(self, ref: GatewayRef, reading: Reading, now: int) -> None:
        """Judges what the centre itself says of a gateway: of no batch, and no sign of the gateway's life."""
        async with self._lock:
            await self._recall()
            self._stale = True
            work = Work([], set())
            self._judge.observe(reading, Arrival(Stream(*ref, "", Lane.URGENT), 0, (reading,), Micros(now)), work)
            await self._commit(work, _NOTHING, now)

    async def tick(self, now: int) -> None:
        """Fires the timers that are due and whose gateway is known to have said nothing else; call it about once a second."""
        async with self._lock:
            await self._recall()
            if self._progress.started_at is None:
                self._progress.started_at = now
                await self._retire(now)
            self._stale = True
            work = Work([], set())
            for entry in self._judge.states.timers(now):
                ref, (_, lane, _, _, lag) = GatewayRef(entry.key.community, entry.origin.gateway), entry.origin
                if entry.due is not None and self._progress.permits(ref, lane, entry.due + lag, now):
                    self._judge.fire(entry, now, work)
            await self._commit(work, _NOTHING, now)
            if now >= self._forget_at:
                await self._forget(now)

    async def revise(self, reviews: Sequence[Reviewed], now: int) -> list[Reviewed]:
        """Amends what reviews show to have been otherwise, and goes on from the states that they led to.

        Those are given back that have not heard yet what was judged here: review them again.
        """
        async with self._lock:
            await self._recall()
            ready = [one for one in reviews if self._is_caught_up(one.course)]
            for one in ready:
                self._let_pass(one.course, now)
            if ready and await self._amend(ready, now):
                self._on_change()
            return [one for one in reviews if one not in ready]

    async def watermarks(self) -> Mapping[Stream, int]:
        return dict(self._marks)

    async def advance(self, stream: Stream, seq: int) -> None:
        """Passes over everything up to ``seq``, durably."""
        async with self._lock:
            await self._recall()
            if seq > self._marks.get(stream, 0):
                self._stale = True
                await self._commit(Work([], set()), _Taken({stream: seq}, tally.NOTHING), 0)

    async def forget(self, streams: Collection[Stream]) -> None:
        """Drops the watermarks of streams that are finished, durably."""
        async with self._lock:
            await self._recall()
            await self._database.write(lambda connection: drop_watermarks(connection, streams))
            for stream in streams:
                self._marks.pop(stream, None)

    def _is_caught_up(self, course: Course) -> bool:
        """Whether a review has heard all that was judged here; where nothing stands, all that its subject said."""
        subject, entry = self._judge.states.subject(course.key), self._judge.states.entry(course.key)
        if entry is not None:
            return newest_judged(entry.state) <= course.seen
        return began(course.machine, course.state) or subject.newest <= course.seen

    def _let_pass(self, course: Course, now: int) -> None:
        """Fires the timers of a review that a tick would fire now."""
        ref, entry = GatewayRef(course.key.community, course.gateway), self._judge.states.entry(course.key)
        lane, lag = (entry.origin.lane, entry.origin.lag) if entry else (Lane.BULK.value, 0)
        for _ in range(MAX_TURNS):
            due = course.due
            if due is None or due + lag > now or not self._progress.permits(ref, lane, due + lag, now):
                break
            course.fire(due, self._directory)

    async def _amend(self, ready: Sequence[Reviewed], now: int) -> int:
        """How many alerts changed."""
        states = self._judge.states

        def change(connection: sa.Connection) -> int:
            changed = 0
            for one in ready:
                amended = revision.amend(connection, one, self._directory, now, self._gate, self._told_of)
                if amended is not None:
                    changed += amended
                    self._go_on(one.course)
            states.save(connection, now)
            return changed

        self._stale = True
        changed = await self._database.write(change)
        states.settled()
        self._stale = False
        return changed

    def _go_on(self, course: Course) -> None:
        states, machine = self._judge.states, course.machine
        old, subject = states.entry(course.key), states.subject(course.key)
        if began(machine, course.state) and is_orderly(course.watcher, machine):
            states.drop(subject, course.key)
            return
        origin = old.origin if old is not None else Origin(course.gateway, Lane.BULK.value, course.device, course.seen, 0)
        states.put(subject, Entry(course.key, course.state, origin, course.due))

    def _unseen(self, arrivals: Sequence[Arrival]) -> tuple[list[Arrival], dict[Stream, int]]:
        fresh: list[Arrival] = []
        marks: dict[Stream, int] = {}
        for arrival in sorted(arrivals, key=lambda arrival: arrival.seq):
            if arrival.seq > marks.get(arrival.stream, self._marks.get(arrival.stream, 0)):
                fresh.append(arrival)
                marks[arrival.stream] = arrival.seq
        return fresh, marks

    def _note(self, arrival: Arrival) -> None:
        if reach := arrival.reach:
            self._progress.note(arrival.stream.ref, arrival.stream.lane, reach[1], arrival.received_at)

    async def _commit(self, work: Work, taken: "_Taken", now: int) -> None:
        """Makes what was judged durable; until it is, memory is not to be believed."""
        states = self._judge.states

        def change(connection: sa.Connection) -> None:
            tally.add(connection, taken.counted)
            for moved in work.moves:
                apply(connection, moved, now, self._gate, self._told_of)
            states.save(connection, now)
            late.note(connection, work.lates, now)
            save_watermarks(connection, taken.marks)

        if work.moves or work.lates or taken.marks or states.is_changed:
            await self._database.write(change)
            states.settled()
            self._marks.update(taken.marks)
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
        self._stale = True
        self._judge.forget(now - FORGET_AFTER_US)
        await self._commit(Work([], set()), _NOTHING, now)

    async def _recall(self) -> None:
        """Reads memory back from the database, behind any write that is still under way."""
        if self._stale:
            self._judge.states, self._marks = await self._database.write(self._load)
            self._stale = False

    def _load(self, connection: sa.Connection) -> tuple[States, dict[Stream, int]]:
        states = States()
        states.load(connection, self._rules, self._directory.zone_of)
        self._judge.states = states
        for row in states.trail.load(connection):
            self._judge.restore(row)
        return states, load_watermarks(connection)


class _Taken(NamedTuple):
    """What batches add beside what their readings say."""

    marks: Mapping[Stream, int]
    counted: tally.Counted


_NOTHING = _Taken({}, tally.NOTHING)
