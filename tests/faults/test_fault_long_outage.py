"""An outage of a working day, lived through in seconds: both halves of the contract on a clock that skips what nobody waits for.

The outbox, the uplink with its window, the intake, the sinks, the rules' engine, the store and the acknowledger are the
product's own; the broker between them is in memory, so that its wire can be cut to the microsecond.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
import pytest

from device_profiles import load_library
from edge import config as gateway_config
from edge.outbox import Outbox
from edge.outbox.loss import FULL, THINNED
from edge.outbox.tail import BATCH_AGE_US
from edge.uplink import Uplink
from edge.window import AT_ONCE, WINDOW
from ingest.acknowledger import Acknowledger
from ingest.alerts import AlertEngine, load_rules
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.intake import Intake
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sequencer import Gap
from ingest.sink import Sink
from ingest.store import MAX_ROWS, PointStore, Query, Row, open_store
from telemetry import batch, topic
from telemetry.batch import Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading
from tests.delivery import GATEWAY, KEY, REF
from tests.faults.oracle import certificates
from tests.virtual_time import VirtualLoop, now_s

T0 = 1_700_000_000_000_000
SECOND = 1_000_000
OUTAGE_S = 8 * 3600
BEFORE_S, AFTER_S = 300, 900
METERS, READINGS, POLL_S, EVENT_S, SEAL_S = 6, 48, 40, 97, 10
CREDIT = 2.0
WIRE_S = 0.02
AMPLE, TIGHT = 64 << 20, 480_000

pytestmark = pytest.mark.slow


def clock() -> Micros:
    return Micros(T0 + round(now_s() * 1e6))


class Sent(NamedTuple):
    """A batch that came to the centre."""

    at_s: float
    epoch: str
    lane: Lane
    seq: int
    readings: list[Reading]


class Broker:
    """Keeps the last acknowledgement, as it is retained, and nothing else; ``reachable`` is the gateway's wire to it."""

    def __init__(self) -> None:
        self.reachable = True
        self.centre: Callable[[bytes, bytes], None] = lambda name, payload: None
        self.came: list[Sent] = []
        self._word: aiomqtt.Message | None = None
        self._link: Link | None = None

    def client(self, *_: object, **__: object) -> "Link":
        self._link = Link(self)
        return self._link

    def cut(self) -> None:
        self.reachable = False
        if self._link is not None:
            self._link.inbox.put_nowait(None)

    def take(self, name: str, payload: bytes) -> None:
        if name.endswith("/up"):
            head = batch.decode(payload).batch
            self.came.append(Sent(now_s(), head.epoch, head.lane, head.seq, head.readings))
        self.centre(name.encode(), payload)

    async def acknowledge(self, ref: GatewayRef, payload: bytes) -> None:
        name = topic.build(topic.DEFAULT_ROOT, ref, topic.Leaf.ACK)
        self._word = aiomqtt.Message(name, payload, 1, True, 0, None)
        if self._link is not None and self.reachable:
            self._link.inbox.put_nowait(aiomqtt.Message(name, payload, 1, False, 0, None))

    def retained(self) -> Iterator[aiomqtt.Message]:
        if self._word is not None:
            yield self._word


class Link:
    """What ``aiomqtt.Client`` is to the uplink."""

    def __init__(self, broker: Broker) -> None:
        self.inbox: asyncio.Queue[aiomqtt.Message | None] = asyncio.Queue()
        self._broker = broker

    async def __aenter__(self) -> "Link":
        self._demand()
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def subscribe(self, name: str, qos: int) -> None:
        self._demand()
        if name.endswith("/ack"):
            for word in self._broker.retained():
                self.inbox.put_nowait(word)

    async def publish(self, name: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self._demand()
        await asyncio.sleep(WIRE_S)
        self._demand()
        self._broker.take(name, payload)

    @property
    async def messages(self) -> AsyncIterator[aiomqtt.Message]:
        while (message := await self.inbox.get()) is not None:
            yield message
        raise aiomqtt.MqttError("the wire is cut")

    def _demand(self) -> None:
        if not self._broker.reachable:
            raise aiomqtt.MqttError("no route to host")


class Gateway:
    """Asks its meters for their last values and hears its door; ``accepted`` is what the outbox committed, by when."""

    def __init__(self, folder: Path, max_bytes: int, meters: int) -> None:
        (folder / "gateway.yaml").write_text(GATEWAY.format(url="mqtt://127.0.0.1:1", protocol="3.1.1"))
        (folder / "gateway.key").write_text(KEY)
        (folder / "gateway.key").chmod(0o600)
        config = gateway_config.load(folder / "gateway.yaml", load_library())
        self.outbox = Outbox.open(folder / "outbox.db", gateway=REF.gateway, now=clock(), max_bytes=max_bytes)
        self.uplink = Uplink(config, self.outbox, list, clock=clock, monotonic=now_s)
        self.accepted: dict[tuple[str, int], float] = {}
        self._chance = random.Random(8)
        self._meters, self._values = meters, READINGS // meters

    async def poll(self, every_s: float = POLL_S) -> None:
        while True:
            at, chance = clock(), self._chance.random
            told = [
                Reading(device=f"meter-{n}", kind=Kind.ENERGY, at=Micros(at - past * SECOND), values={"voltage": 220 + chance()})
                for past in reversed(range(self._values))
                for n in range(self._meters)
            ]
            await self._accept(told, Lane.BULK)
            await asyncio.sleep(every_s)

    async def hear(self, every_s: float = EVENT_S) -> None:
        while True:
            at = clock()
            door = Reading(device="b3-door", kind=Kind.ACCESS, at=at, values={"event": "opened"}, event_id=f"e{at}")
            await self._accept([door], Lane.URGENT)
            await asyncio.sleep(every_s)

    async def seal(self) -> None:
        while True:
            await asyncio.sleep(SEAL_S)
            if await self.outbox.call(self.outbox.seal, clock()):
                self.outbox.news.set()

    async def _accept(self, readings: Sequence[Reading], lane: Lane) -> None:
        if await self.outbox.call(self.outbox.append, readings, lane, clock()):
            self.outbox.news.set()
        self.accepted |= {(one.device, one.at): now_s() for one in readings}


class Keys:
    """One gateway is registered."""

    def key(self, ref: GatewayRef) -> bytes | None:
        return bytes.fromhex(KEY) if ref == REF else None


@contextlib.asynccontextmanager
async def centre(folder: Path, broker: Broker) -> AsyncIterator[PointStore]:
    """The receiving half as ``ingest.service`` composes it, behind ``broker``."""
    (folder / "none.yaml").write_text("rules: []\n")
    database = Database(folder / "centre.db")
    store = open_store("duckdb", folder, database)
    await store.open()
    registry = Registry(database)
    await registry.open()
    engine = AlertEngine(load_rules([folder / "none.yaml"]), database, registry, lambda: None)
    await engine.open()

    async def evaluate(arrivals: Sequence[Arrival]) -> None:
        await engine.take(arrivals, clock())

    async def keep(arrivals: Sequence[Arrival]) -> None:
        assert not await store.write(arrivals)

    async def settle(gap: Gap) -> None:
        raise AssertionError(f"nothing is missing, and yet there is {gap}")

    sinks = (
        Sink("alerts", evaluate, settle, await engine.watermarks(), lambda streams: acknowledger.confirmed(streams)),
        Sink("points", keep, settle, await store.watermarks(), lambda streams: acknowledger.confirmed(streams)),
    )
    acknowledger = Acknowledger([sink.durable for sink in sinks], Keys().key, clock, lambda: CREDIT)
    intake = Intake(
        sinks,
        acknowledger,
        Keys(),
        registry,
        Stats(),
        lambda letter: pytest.fail(f"set aside: {letter.reason}"),
        lambda ref, replay, arrival: None,
        lambda ref, reply: None,
        topic.DEFAULT_ROOT,
        clock,
    )
    broker.centre = intake.take
    acknowledger.greet()
    try:
        async with running(*(sink.run() for sink in sinks), acknowledger.run(broker.acknowledge)):
            yield store
    finally:
        await store.close()
        database.close()


@contextlib.asynccontextmanager
async def running(*coroutines: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


class Day(NamedTuple):
    """What there is to judge when all is over.

    ``back_s`` is when the wire was there again, ``drained_s`` when nothing older waited; ``backlog``: the epochs until then.
    """

    accepted: dict[tuple[str, int], float]
    rows: list[Row]
    came: list[Sent]
    back_s: float
    drained_s: float
    backlog: set[str]
    given_up: int
    used_bytes: int

    def first(self, lane: Lane, *, backlog: bool) -> list[Sent]:
        """What came since the wire is there again, each batch once, of the outage or of after it."""
        firsts: dict[tuple[str, int], Sent] = {}
        for one in self.came:
            if one.at_s > self.back_s and one.lane is lane and (one.epoch in self.backlog) is backlog:
                firsts.setdefault((one.epoch, one.seq), one)
        return list(firsts.values())


async def lived_through(folder: Path, broker: Broker, max_bytes: int, meters: int) -> Day:
    gateway = Gateway(folder, max_bytes, meters)
    outbox = gateway.outbox
    async with centre(folder, broker) as store, running(gateway.uplink.run(), gateway.seal()):
        async with running(gateway.poll(), gateway.hear()):
            await asyncio.sleep(BEFORE_S)
            broker.cut()
            await asyncio.sleep(OUTAGE_S)
            used, back, backlog = outbox._file.used(), now_s(), set(outbox.epochs)
            broker.reachable = True
            while outbox.epoch in backlog or any(span.last >= span.first for span in outbox.spans() if span.epoch in backlog):
                await asyncio.sleep(1)
                assert now_s() < back + AFTER_S, "the backlog does not drain"
            drained = now_s()
            await asyncio.sleep(120)
        await outbox.call(partial(outbox.seal, force=True), clock())
        outbox.news.set()
        while outbox.pending().readings:
            await asyncio.sleep(1)
            assert now_s() < drained + AFTER_S, "what is live is not taken"
        rows = await store.read(Query(communities=("41",), limit=MAX_ROWS))
        assert len(rows) < MAX_ROWS
    outbox.close()
    return Day(gateway.accepted, rows, broker.came, back, drained, backlog, outbox.lost, used)


def lived(folder: Path, max_bytes: int, meters: int = METERS) -> Day:
    """A day with an outbox of so many bytes; so many meters say ``READINGS`` together at each poll."""
    broker = Broker()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        patch.setattr("edge.uplink.client", broker.client)
        patch.setattr("edge.uplink.random", random.Random(8))
        return runner.run(lived_through(folder, broker, max_bytes, meters))


@pytest.fixture(scope="module")
def ample(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return lived(tmp_path_factory.mktemp("ample"), AMPLE)


def stored(rows: Sequence[Row]) -> Counter[tuple[str, int]]:
    return Counter((row.device, row.at) for row in rows if row.metric in ("voltage", "event") and row.kind is not Kind.GATEWAY)


def test_of_eight_hours_with_room_for_them_everything_is_stored_once(ample: Day) -> None:
    assert len(ample.accepted) > READINGS * OUTAGE_S / POLL_S
    assert stored(ample.rows) == Counter(ample.accepted.keys())
    assert (certificates(ample.rows), ample.given_up) == ([], 0)


def test_what_is_urgent_and_what_is_live_overtake_the_backlog_of_eight_hours(ample: Day) -> None:
    events, measured = (ample.first(lane, backlog=True) for lane in (Lane.URGENT, Lane.BULK))
    assert len(events) >= OUTAGE_S // EVENT_S
    assert max(one.at_s for one in events) < min(one.at_s for one in measured)
    draining = [one for one in ample.first(Lane.URGENT, backlog=False) if one.at_s < ample.drained_s]
    assert len(draining) >= 3
    for event in draining:
        happened = ample.accepted[event.readings[0].device, event.readings[0].at]
        before = [one for one in ample.came if happened < one.at_s < event.at_s]
        assert len(before) <= AT_ONCE, "more than one round of others went before it"
    for sealed in ample.first(Lane.BULK, backlog=False):
        oldest = min(ample.accepted[one.device, one.at] for one in sealed.readings)
        assert sealed.at_s - oldest <= BATCH_AGE_US / 1e6 + SEAL_S + 1


def test_the_backlog_drains_as_fast_as_the_credit_allows_and_no_faster(ample: Day) -> None:
    backlog = [one.at_s for one in ample.came if one.at_s > ample.back_s and one.lane is Lane.BULK and one.epoch in ample.backlog]
    free = 2 * WINDOW[Lane.BULK]  # until the centre has spoken all is of the current epoch: a window of it, and that again
    for at, began in zip(backlog[free + AT_ONCE :], backlog[free:], strict=False):
        assert at - began >= AT_ONCE / CREDIT / 2
    assert ample.drained_s - ample.back_s <= len(backlog) / CREDIT + 30


@pytest.mark.parametrize("meters", [METERS, READINGS], ids=["several readings of a device", "one reading of each device"])
def test_certificates_name_exactly_what_a_small_outbox_was_forced_to_give_up(tmp_path: Path, meters: int) -> None:
    day = lived(tmp_path, TIGHT, meters)
    there = stored(day.rows)
    gone = Counter(day.accepted.keys()) - there
    told = certificates(day.rows)
    assert max(there.values()) == 1 and there.keys() <= day.accepted.keys()
    assert {loss.reason for loss in told} == {FULL, THINNED}
    assert sum(gone.values()) == sum(loss.readings for loss in told) == day.given_up > 0
    for key in gone:
        assert any(loss.covers(key) for loss in told), key
    by_device = Counter(device for device, _ in gone)
    assert by_device == Counter({device: sum(loss.readings for loss in told if loss.device == device) for device in by_device})
    assert not [key for key in gone if key[0] == "b3-door"], "urgent readings are never given up"
    assert TIGHT * 7 // 8 <= day.used_bytes <= TIGHT, "no more is given up than the budget asks for"
    measured = sum(BEFORE_S < at < day.back_s for (device, _), at in day.accepted.items() if device != "b3-door")
    kept = sum(BEFORE_S < day.accepted[key] < day.back_s for key in there if key[0] != "b3-door")
    assert kept / measured > 0.4, "what is given up makes room for readings, not for certificates"
