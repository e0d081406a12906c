"""The outbox against a plain list: whatever happens in whatever order, each reading is there, acknowledged or certified.

The centre takes a batch as it first came, and what comes later under its key changes nothing.
"""

import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.clock import Stamp
from edge.outbox import EpochUnknown, MarkBeyond, Outbox, Sealed
from edge.outbox.chunk import readings_of
from edge.outbox.loss import FULL
from telemetry.batch import Lane, decode
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

T0 = 1_700_000_000_000_000
BUDGET = 120_000
AHEAD = 3

Key = tuple[str, Lane, int]


class OutboxModel(RuleBasedStateMachine):
    """``waiting``: instants accepted and not acknowledged. ``certified``: what acknowledged certificates told.

    ``took``: what the centre made of a batch, by its key. ``run_of``: the start after which an instant was accepted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("edge.outbox.tombstones.SENT_AHEAD", AHEAD)
        self.patch.setattr("edge.outbox.room.TOMBSTONES_LEAST", 400)
        self.folder = Path(tempfile.mkdtemp())
        self.now = Micros(T0)
        self.waiting: set[int] = set()
        self.acknowledged: set[int] = set()
        self.certified = 0
        self.accepted = 0
        self.content: dict[Key, bytes] = {}
        self.took: dict[Key, tuple[set[int], int]] = {}
        self.events: set[int] = set()
        self.runs = 0
        self.run_of: dict[int, int] = {}

    def teardown(self) -> None:
        self.outbox.close()
        shutil.rmtree(self.folder)
        self.patch.undo()

    @initialize()
    def open(self) -> None:
        self.outbox = Outbox.open(self.folder / "outbox.db", gateway="gw-test", now=self.now, max_bytes=BUDGET)
        self.runs += 1

    @rule(lane=st.sampled_from(Lane), count=st.integers(1, 200), seconds=st.integers(0, 90))
    def append(self, lane: Lane, count: int, seconds: int) -> None:
        self.now = Micros(self.now + seconds * 1_000_000)
        chance = random.Random(self.accepted)
        count = count if lane is Lane.BULK else 1
        given = [
            Reading(
                device=f"meter-{k % 3}", kind=Kind.ENERGY, at=self.now + self.accepted + k, values={"voltage": chance.random()}
            )
            for k in range(count)
        ]
        self.outbox.append(given, lane, self.now)
        self.accepted += count
        self.run_of |= {one.at: self.runs for one in given}
        self.waiting |= {one.at for one in given}
        if lane is Lane.URGENT:
            self.events |= {one.at for one in given}

    @rule(count=st.integers(1, 20))
    def hold(self, count: int) -> None:
        """While nobody vouches for the clock, which was right."""
        given = [
            Reading(device="meter-0", kind=Kind.ENERGY, at=self.now + self.accepted + k, values={"voltage": 230.0})
            for k in range(count)
        ]
        self.outbox.hold(given, Lane.BULK, Stamp("boot", 0, known=False), self.now)
        self.accepted += count
        self.run_of |= {one.at: self.runs for one in given}
        self.waiting |= {one.at for one in given}

    @rule()
    def date(self) -> None:
        self.outbox.date(Stamp("boot", 0, known=True), self.now)

    @rule()
    def stop_before_the_time_is_known(self) -> None:
        self.hold(3)
        self.kill()
        self.date()
        self.append(Lane.BULK, 1, 0)

    @rule(batches=st.integers(2, 12))
    def fill(self, batches: int) -> None:
        """Several small batches, as of a quiet community."""
        for _ in range(batches):
            self.append(Lane.BULK, 3, 1)
            self.outbox.seal(self.now, force=True)

    @rule(force=st.booleans())
    def seal(self, force: bool) -> None:
        self.outbox.seal(self.now, force=force)

    @rule()
    def roll(self) -> None:
        self.outbox.roll()

    @rule()
    def kill(self) -> None:
        """The earlier one is never told: as after a SIGKILL."""
        self.outbox._thread.shutdown()
        self.outbox._file._db.close()
        self.open()

    @rule(share=st.floats(0, 1))
    def give_up(self, share: float) -> None:
        self.outbox._room.evict_down_to(int(self.outbox._file.used() * share), FULL)

    @rule()
    def send(self) -> None:
        """What is sent comes to the centre, and its word of it does not come back."""
        for span in self.unacknowledged():
            for sealed in self.outbox.batches(span.epoch, span.lane, span.first - 1, AHEAD):
                self.taken(sealed)

    @precondition(lambda self: self.unacknowledged())
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        span = data.draw(st.sampled_from(self.unacknowledged()), label="stream")
        upto = data.draw(st.integers(span.first, span.last), label="seq")
        for sealed in self.outbox.batches(span.epoch, span.lane, span.first - 1, upto - span.first + 1):
            instants, told = self.taken(sealed)
            self.acknowledged |= instants
            self.certified += told
        assert self.outbox.acknowledge(span.epoch, span.lane, upto, self.now) == upto - span.first + 1
        assert self.outbox.acknowledge(span.epoch, span.lane, upto, self.now) == 0

    @rule(beyond=st.integers(1, 1 << 62))
    def forge(self, beyond: int) -> None:
        current = self.outbox.spans()[-1]
        before = self.outbox.pending()
        for epoch, error in ((current.epoch, MarkBeyond), ("0" * 16, EpochUnknown)):
            try:
                self.outbox.acknowledge(epoch, current.lane, current.last + beyond, self.now)
            except error:
                continue
            raise AssertionError("it was believed")
        assert self.outbox.pending() == before

    @rule()
    def replay(self) -> None:
        """Only what was acknowledged, each batch once, in the order of their places."""
        places = []
        after = (0, Lane.BULK, 0)
        while found := self.outbox.kept(T0, self.now + 1, after, 3):
            places += [(sealed.n, sealed.lane, sealed.seq) for sealed in found]
            after = places[-1]
            for sealed in found:
                assert self.read(sealed)[0] <= self.acknowledged
        assert places == sorted(set(places))

    @invariant()
    def a_sealed_batch_never_changes_but_into_its_certificates(self) -> None:
        for sealed in self.batches():
            key, message = (sealed.epoch, sealed.lane, sealed.seq), sealed.message(self.now, False)
            readings = decode(message).batch.readings
            lost = any(one.values.get("loss_reason") == FULL for one in readings) or not readings
            if not lost:
                body = repr(readings).encode()
                assert self.content.setdefault(key, body) == body

    @invariant()
    def every_reading_is_there_acknowledged_or_certified(self) -> None:
        found, told = Counter[int](), self.certified
        for sealed in self.batches():
            instants, more = self.seen(sealed)
            found.update(instants)
            told += more
        assert max(found.values(), default=1) == 1
        assert not found.keys() & self.acknowledged
        there = len(found) + self.unsealed() + len(self.acknowledged)
        thinned = sum(tally.readings for tally in self.outbox._lanes.tallies.values())
        assert there + told + thinned == self.accepted
        assert self.events <= found.keys() | self.acknowledged

    @invariant()
    def no_epoch_holds_readings_of_two_runs(self) -> None:
        runs: dict[str, set[int]] = {}
        for sealed in self.batches():
            runs.setdefault(sealed.epoch, set()).update(self.run_of[at] for at in self.read(sealed)[0])
        assert max(map(len, runs.values()), default=0) <= 1

    @invariant()
    def it_stays_within_its_budget(self) -> None:
        urgent = 200 * len(self.events)
        assert self.outbox._file.used() <= BUDGET + urgent

    def taken(self, sealed: Sealed) -> tuple[set[int], int]:
        """What the centre takes of it, if it has not taken its key before."""
        return self.took.setdefault((sealed.epoch, sealed.lane, sealed.seq), self.read(sealed))

    def seen(self, sealed: Sealed) -> tuple[set[int], int]:
        return self.took.get((sealed.epoch, sealed.lane, sealed.seq)) or self.read(sealed)

    def read(self, sealed: Sealed) -> tuple[set[int], int]:
        readings = decode(sealed.message(self.now, False)).batch.readings
        lost = [one for one in readings if one.values.get("event") == "loss"]
        return {one.at for one in readings if one.kind is Kind.ENERGY}, sum(int(one.values["loss_count"]) for one in lost)

    def unsealed(self) -> int:
        """Readings in tails, and what certificates among them tell; and what is held."""
        held = self.outbox._file.undated_waiting().readings
        return held + sum(self.counted(tail.first, lane) for lane, tail in self.outbox._lanes.tails.items() if tail.readings)

    def counted(self, first: int, lane: Lane) -> int:
        kept = [one for _, chunk in self.outbox._file.chunks(lane, first) for one in readings_of(chunk) or ()]
        return sum(int(one.values.get("loss_count", 1)) for one in kept)

    def unacknowledged(self) -> list:  # type: ignore[type-arg]
        return [span for span in self.outbox.spans() if span.last >= span.first]

    def batches(self) -> list[Sealed]:
        """Looked at, and not handed out."""
        tombstones = self.outbox._room.tombstones
        handed = dict(tombstones._handed)
        found = [
            sealed
            for span in self.outbox.spans()
            for sealed in self.outbox.batches(span.epoch, span.lane, span.first - 1, 10_000)
        ]
        tombstones._handed = handed
        return found


OutboxModel.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestOutboxModel = OutboxModel.TestCase
