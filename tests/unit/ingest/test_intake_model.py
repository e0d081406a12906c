"""The centre's receiving half against a plain list of what was sealed: whatever comes, however often, and whoever dies."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ingest import sequencer, waiting
from ingest.acknowledger import Acknowledger
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.intake import Intake
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sequencer import Gap
from ingest.sink import Sink
from ingest.store.watermark import fresh
from telemetry import ack, batch, presence, topic
from telemetry.batch import Batch, Lane
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Span, State
from telemetry.reading import Micros, Reading
from telemetry.topic import DEFAULT_ROOT, Leaf
from tests.virtual_time import VirtualLoop

T0 = Micros(1_700_000_000_000_000)
REFS = (GatewayRef("411202002001", "gw-one"), GatewayRef("411202002001", "gw-two"))
KEY = b"1" * 32
SINKS = ("alerts", "points")
POISON = -1
ROUNDS = 60

Key = tuple[Stream, int]


class Keys:
    def key(self, ref: GatewayRef) -> bytes | None:
        return KEY if ref in REFS else None


class Disk:
    """A durable store with its own watermarks, as the real ones; what it holds outlives the centre."""

    def __init__(self) -> None:
        self.down = False
        self.marks: dict[Stream, int] = {}
        self.kept: list[tuple[Key, int]] = []
        self.gaps: list[Gap] = []

    async def write(self, arrivals: Sequence[Arrival]) -> None:
        await self._ready()
        taken = fresh(arrivals, self.marks)
        self.kept += [((one.stream, one.seq), said(one)) for one in taken.arrivals]
        self.marks |= taken.marks
        await asyncio.sleep(0)  # here it is durable, and nobody knows

    async def settle(self, gap: Gap) -> None:
        await self._ready()
        self.gaps.append(gap)
        if gap.passes:
            self.marks[gap.stream] = max(self.marks.get(gap.stream, 0), gap.last)
        await asyncio.sleep(0)

    def passed(self, key: Key) -> bool:
        return any(gap.stream == key[0] and gap.first <= key[1] <= gap.last for gap in self.gaps)

    async def _ready(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable("switched off")


def said(arrival: Arrival) -> int:
    """The number in a batch's one reading."""
    return POISON if arrival.poison else int(arrival.readings[0].values["voltage"])


class Gateway(NamedTuple):
    """What was sealed, by stream in order; ``marks`` is what it has been told is durable; the last epoch is the current one."""

    ref: GatewayRef
    epochs: list[str]
    sealed: dict[Stream, list[int]]
    marks: dict[Stream, int]

    def stream(self, lane: Lane) -> Stream:
        return Stream(*self.ref, self.epochs[-1], lane)

    def unacknowledged(self) -> list[Key]:
        return [(one, seq) for one, all_ in self.sealed.items() for seq in range(self.marks.get(one, 0) + 1, len(all_) + 1)]

    def message(self, key: Key) -> bytes:
        stream, seq = key
        number = self.sealed[stream][seq - 1]
        reading = Reading(device="b3-meter", kind=Kind.ENERGY, at=Micros(T0 + seq), values={"voltage": float(number)})
        when = {"sealed_at": T0, "sent_at": T0}
        head = Batch(gateway=self.ref.gateway, epoch=stream.epoch, lane=Lane(stream.lane), seq=seq, **when, readings=[reading])
        whole = batch.encode(head)
        return whole if number != POISON else batch.unpack(whole).replace(b'"readings":[', b'"readings":7,"was":[')

    def hello(self) -> bytes:
        spans = [Span(one.epoch, Lane(one.lane), self.marks.get(one, 0) + 1, len(all_)) for one, all_ in self.sealed.items()]
        return presence.encode(State(online=True, at=T0, hello=spans))


class IntakeModel(RuleBasedStateMachine):
    """``lost``: what a store held when it was taken away. ``words``: every acknowledgement said, which may be heard late."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.narrow = pytest.MonkeyPatch()
        self.narrow.setattr(waiting, "CAPACITY", 4_000)
        self.narrow.setattr(sequencer, "HELD", 4)
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.gateways = [Gateway(ref, [], {}, {}) for ref in REFS]
        self.disks = {name: Disk() for name in SINKS}
        self.lost: dict[str, set[Key]] = defaultdict(set)
        self.words: dict[GatewayRef, list[ack.Ack]] = defaultdict(list)
        self.hellos: dict[GatewayRef, bytes] = {}
        self.numbers = 0
        for gateway in self.gateways:
            self.begin_epoch(gateway)
            self.hellos[gateway.ref] = gateway.hello()
        self.runner.run(self.start())

    def teardown(self) -> None:
        try:
            self.everything_arrives_at_last()
        finally:
            self.runner.run(self.stop())
            self.runner.close()
            self.narrow.undo()

    # The centre

    async def start(self) -> None:
        self.sinks = {
            name: Sink(name, disk.write, disk.settle, disk.marks, lambda streams: acknowledger.confirmed(streams))
            for name, disk in self.disks.items()
        }
        acknowledger = Acknowledger([sink.durable for sink in self.sinks.values()], Keys().key, lambda: T0, lambda: 2.0)
        self.intake = Intake(
            tuple(self.sinks.values()),
            acknowledger,
            Keys(),
            Registry(self.database),
            Stats(),
            lambda letter: pytest.fail(f"no batch of anybody: {letter.reason}"),
            lambda ref, replay, arrival: pytest.fail("no replay was asked for"),
            lambda ref, reply: pytest.fail("no command was sent"),
            DEFAULT_ROOT,
            lambda: T0,
        )
        acknowledger.greet()
        work = [sink.run() for sink in self.sinks.values()]
        self.tasks: list[asyncio.Task[Any]] = [asyncio.create_task(one) for one in (*work, acknowledger.run(self.say))]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def say(self, ref: GatewayRef, message: bytes) -> None:
        self.words[ref].append(ack.decode(message, ref, KEY))

    def give(self, gateway: Gateway, leaf: Leaf, payload: bytes, *, retained: bool = False) -> None:
        self.intake.take(topic.build(DEFAULT_ROOT, gateway.ref, leaf).encode(), payload, retained)

    # What may happen

    @rule(which=st.integers(0, 1), lane=st.sampled_from(Lane), count=st.integers(1, 4), poison=st.booleans())
    def seal(self, which: int, lane: Lane, count: int, poison: bool) -> None:
        gateway = self.gateways[which]
        for _ in range(count):
            self.numbers += 1
            gateway.sealed[gateway.stream(lane)].append(self.numbers)
        if poison:
            gateway.sealed[gateway.stream(lane)][-1] = POISON

    @rule(which=st.integers(0, 1))
    def outage(self, which: int) -> None:
        if len(self.gateways[which].epochs) < 4:
            self.begin_epoch(self.gateways[which])

    @precondition(lambda self: any(gateway.unacknowledged() for gateway in self.gateways))
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Anything unacknowledged, in any order, as often as one likes."""
        gateway = data.draw(st.sampled_from([one for one in self.gateways if one.unacknowledged()]), label="gateway")
        for key in data.draw(st.lists(st.sampled_from(gateway.unacknowledged()), min_size=1, max_size=8), label="batches"):
            self.give(gateway, Leaf.UP, gateway.message(key))

    @rule(which=st.integers(0, 1))
    def send_all(self, which: int) -> None:
        for key in self.gateways[which].unacknowledged():
            self.give(self.gateways[which], Leaf.UP, self.gateways[which].message(key))

    @rule(which=st.integers(0, 1))
    def go_well(self, which: int) -> None:
        """As on most days: all is sent, stored and forgotten."""
        self.send_all(which)
        self.work(1)
        gateway = self.gateways[which]
        if self.words[gateway.ref]:
            self.obey(gateway, self.words[gateway.ref][-1])

    @rule(which=st.integers(0, 1))
    def say_hello(self, which: int) -> None:
        gateway = self.gateways[which]
        self.hellos[gateway.ref] = gateway.hello()
        self.give(gateway, Leaf.STATE, self.hellos[gateway.ref])

    @rule(which=st.integers(0, 1))
    def hello_of_long_ago(self, which: int) -> None:
        """The one that the broker retained."""
        self.give(self.gateways[which], Leaf.STATE, self.hellos[REFS[which]], retained=True)

    @rule(turns=st.integers(1, 6))
    def turn(self, turns: int) -> None:
        """So little that a write may be left half done."""

        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.runner.run(some())

    @rule(seconds=st.sampled_from((0.1, 1, 40)))
    def work(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @rule(name=st.sampled_from(SINKS), down=st.booleans())
    def switch(self, name: str, down: bool) -> None:
        self.disks[name].down = down

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """The last word or an older one; what it covers is forgotten."""
        gateway = data.draw(st.sampled_from(self.gateways), label="gateway")
        if self.words[gateway.ref]:
            self.obey(gateway, data.draw(st.sampled_from(self.words[gateway.ref]), label="word"))

    @rule()
    def kill(self) -> None:
        self.runner.run(self.stop())
        self.runner.run(self.start())

    @rule(name=st.sampled_from(SINKS))
    def lose_a_store(self, name: str) -> None:
        """Somebody puts an empty disk in its place; what no word has covered comes again."""
        self.runner.run(self.stop())
        self.lost[name] |= {key for key, _ in self.disks[name].kept} & self.covered()
        self.disks[name] = Disk()
        self.runner.run(self.start())

    # What must be so

    @invariant()
    def nobody_died(self) -> None:
        assert not [task for task in self.tasks if task.done()]

    @invariant()
    def durable_never_runs_ahead(self) -> None:
        for name, sink in self.sinks.items():
            for stream, seq in sink.durable.items():
                assert seq <= self.disks[name].marks.get(stream, 0)

    @invariant()
    def each_store_holds_each_batch_once_in_order_and_as_it_was_sealed(self) -> None:
        sealed = self.sealed()
        for disk in self.disks.values():
            order: dict[Stream, list[int]] = defaultdict(list)
            for (stream, seq), number in disk.kept:
                assert number == sealed[stream, seq]
                order[stream].append(seq)
            assert all(seqs == sorted(set(seqs)) for seqs in order.values())

    @invariant()
    def no_gateway_is_said_to_have_rolled_back(self) -> None:
        assert all(gap.passes for disk in self.disks.values() for gap in disk.gaps)

    @invariant()
    def what_a_store_passed_over_it_had_once_and_says_so(self) -> None:
        for name, disk in self.disks.items():
            kept = {key for key, _ in disk.kept}
            for stream, mark in disk.marks.items():
                missing = {(stream, seq) for seq in range(1, mark + 1)} - kept
                assert missing <= self.lost[name]
                assert all(disk.passed(key) for key in missing)

    @invariant()
    def no_word_covers_what_a_store_never_had(self) -> None:
        for name, disk in self.disks.items():
            had = {key for key, _ in disk.kept} | self.lost[name]
            for ref, words in self.words.items():
                for mark in words[-1].marks if words else ():
                    stream = Stream(*ref, mark.epoch, mark.lane)
                    assert {(stream, seq) for seq in range(1, mark.seq + 1)} <= had

    @invariant()
    def only_poison_is_rejected(self) -> None:
        for gateway in self.gateways:
            for one in self.words[gateway.ref][-1].rejected if self.words[gateway.ref] else ():
                stream = Stream(*gateway.ref, one.epoch, one.lane)
                assert gateway.sealed[stream][one.first - 1 : one.last] == [POISON]

    def everything_arrives_at_last(self) -> None:
        for disk in self.disks.values():
            disk.down = False
        for _ in range(ROUNDS):
            for which, gateway in enumerate(self.gateways):
                self.say_hello(which)
                self.send_all(which)
                self.work(40)
                self.obey(gateway, self.words[gateway.ref][-1])
            if not any(gateway.unacknowledged() for gateway in self.gateways):
                break
        assert [gateway.unacknowledged() for gateway in self.gateways] == [[], []]
        self.each_store_holds_each_batch_once_in_order_and_as_it_was_sealed()
        self.what_a_store_passed_over_it_had_once_and_says_so()
        self.no_word_covers_what_a_store_never_had()
        for name, disk in self.disks.items():
            assert self.sealed().keys() - {key for key, _ in disk.kept} <= self.lost[name]

    def sealed(self) -> dict[Key, int]:
        streams = [item for gateway in self.gateways for item in gateway.sealed.items()]
        return {(stream, seq): number for stream, numbers in streams for seq, number in enumerate(numbers, 1)}

    def covered(self) -> set[Key]:
        """What some word said is durable."""
        marks = [(ref, mark) for ref, words in self.words.items() for word in words for mark in word.marks]
        return {(Stream(*ref, mark.epoch, mark.lane), seq) for ref, mark in marks for seq in range(1, mark.seq + 1)}

    def begin_epoch(self, gateway: Gateway) -> None:
        gateway.epochs.append(f"{REFS.index(gateway.ref)}{len(gateway.epochs):015x}")
        gateway.sealed.update({gateway.stream(lane): [] for lane in Lane})

    def obey(self, gateway: Gateway, word: ack.Ack) -> None:
        for mark in word.marks:
            stream = Stream(*gateway.ref, mark.epoch, mark.lane)
            assert mark.seq <= len(gateway.sealed[stream])
            gateway.marks[stream] = max(gateway.marks.get(stream, 0), mark.seq)


@pytest.mark.slow
def test_whatever_comes_and_whoever_dies_all_is_stored_once_and_acknowledged_then(tmp_path: Path) -> None:
    database = Database(tmp_path / "centre.db")
    model = type("Model", (IntakeModel,), {"database": database})
    run_state_machine_as_test(model, settings=settings(max_examples=300, stateful_step_count=50, deadline=None))
    database.close()
