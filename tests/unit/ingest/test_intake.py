"""Intake without a broker: what it takes, sets aside, refuses and counts, over real sinks, registry and database."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from ingest.acknowledger import Acknowledger
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.deadletter import DeadLetter
from ingest.intake import Intake
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sequencer import Gap
from ingest.sink import Sink
from telemetry import ack, batch, presence, topic
from telemetry.batch import Batch, Lane
from telemetry.command import Reply, encode_reply
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, Span, State
from telemetry.reading import Micros, Reading
from telemetry.topic import DEFAULT_ROOT, Leaf

T0 = Micros(1_700_000_000_000_000)
REF = GatewayRef("411202002001", "gw-test")
STRANGER = REF._replace(gateway="gw-other")
KEY = b"1" * 32
EPOCH = "0123456789abcdef"
STREAM = Stream(*REF, EPOCH, Lane.URGENT)
READING = Reading(device="b3-door", kind=Kind.ACCESS, at=T0, values={"door_open": True})


class Keys:
    """One gateway is registered."""

    def key(self, ref: GatewayRef) -> bytes | None:
        return KEY if ref == REF else None


class Centre:
    """An intake with two sinks that nothing is written from: what they would be given can be looked at."""

    def __init__(self, database: Database) -> None:
        self.stats = Stats()
        self.letters: list[DeadLetter] = []
        self.sinks = tuple(Sink(name, self._write, self._settle, {}, lambda streams: None) for name in ("alerts", "points"))
        self.acknowledger = Acknowledger([sink.durable for sink in self.sinks], Keys().key, lambda: T0, lambda: 50.0)
        self.registry = Registry(database)
        self.restored: list[tuple[GatewayRef, str, Arrival]] = []
        self.replies: list[tuple[GatewayRef, Reply]] = []
        self.intake = Intake(
            self.sinks,
            self.acknowledger,
            Keys(),
            self.registry,
            self.stats,
            self.letters.append,
            lambda *restored: self.restored.append(restored),
            lambda *replied: self.replies.append(replied),
            DEFAULT_ROOT,
            lambda: T0,
        )

    async def take(self, payload: bytes, leaf: Leaf = Leaf.UP, ref: GatewayRef = REF) -> None:
        self.intake.take(topic.build(DEFAULT_ROOT, ref, leaf).encode(), payload)

    def acknowledgement(self) -> ack.Ack:
        message = self.acknowledger.message(REF)
        assert message is not None
        return ack.decode(message, REF, KEY)

    async def _write(self, arrivals: Sequence[Arrival]) -> None: ...

    async def _settle(self, gap: Gap) -> None: ...


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "centre.db")
    yield made
    made.close()


@pytest.fixture
def centre(database: Database) -> Centre:
    return Centre(database)


def sealed(seq: int, *readings: Reading, gateway: str = REF.gateway, replay: str = "") -> bytes:
    instants = {"sealed_at": T0, "sent_at": T0}
    head = Batch(gateway=gateway, epoch=EPOCH, lane=Lane.URGENT, seq=seq, **instants, replay=replay, readings=list(readings))
    return batch.encode(head)


async def test_nothing_is_acknowledged_before_the_sinks_have_it(centre: Centre) -> None:
    await centre.take(sealed(1, READING))
    assert centre.acknowledgement().marks == [ack.Mark(EPOCH, Lane.URGENT, 0)]
    centre.sinks[0].durable[STREAM] = 1
    assert centre.acknowledgement().marks == [ack.Mark(EPOCH, Lane.URGENT, 0)]
    centre.sinks[1].durable[STREAM] = 1
    assert centre.acknowledgement().marks == [ack.Mark(EPOCH, Lane.URGENT, 1)]


async def test_each_batch_is_counted_once_in_whatever_order_and_however_often_it_comes(centre: Centre) -> None:
    for seq in (2, 1, 1, 2, 3):
        await centre.take(sealed(seq, READING))
    assert (centre.stats.batches, centre.stats.duplicates, centre.stats.out_of_order) == (3, 2, 1)
    assert centre.stats.readings[Kind.ACCESS] == 3


async def test_an_unregistered_gateway_is_not_taken(centre: Centre) -> None:
    await centre.take(sealed(1, READING, gateway=STRANGER.gateway), ref=STRANGER)
    await centre.take(presence.encode(State(online=True, at=T0)), Leaf.STATE, STRANGER)
    assert centre.stats.batches == 0
    assert centre.acknowledger.message(STRANGER) is None
    assert centre.registry.gateways(Scope(["41"])) == []


async def test_an_unsound_reading_is_set_aside_with_its_bytes_and_the_rest_is_taken(centre: Centre) -> None:
    unsound = Reading(device="b3-door", kind=Kind.ACCESS, at=T0 + 1, values={"door_open": 7})
    await centre.take(sealed(1, READING, unsound))
    assert centre.stats.readings[Kind.ACCESS] == 1
    for sink in centre.sinks:
        (poison,) = sink.waiting()[0].poison
        assert b'"door_open":7' in poison.body
        assert "is a bool" in poison.reason


async def test_of_what_a_batch_says_twice_one_is_taken_and_counted_and_no_sink_is_given_the_other(centre: Centre) -> None:
    await centre.take(sealed(1, READING, msgspec.structs.replace(READING, values={"door_open": False})))
    assert centre.stats.readings[Kind.ACCESS] == 1
    for sink in centre.sinks:
        (arrival,) = sink.waiting()
        assert (arrival.readings, [poison.reason for poison in arrival.poison]) == ([READING], [batch.SAID_TWICE])


async def test_a_batch_that_cannot_be_decoded_is_rejected_by_name_and_does_not_block_the_next(centre: Centre) -> None:
    broken = batch.unpack(sealed(1, READING)).replace(b'"readings":[', b'"readings":7,"was":[')
    await centre.take(broken)
    await centre.take(sealed(2, READING))
    assert [(one.first, one.last) for one in centre.acknowledgement().rejected] == [(1, 1)]
    assert [poison.body for poison in centre.sinks[0].waiting()[0].poison] == [broken]
    assert (centre.stats.batches, centre.stats.out_of_order) == (2, 0)


async def test_what_is_no_batch_at_all_is_set_aside(centre: Centre) -> None:
    await centre.take(b"\xff\x00")
    assert [letter.body for letter in centre.letters] == [b"\xff\x00"]
    assert centre.acknowledgement().marks == []


async def test_a_batch_in_the_name_of_another_gateway_is_set_aside_and_touches_no_stream(centre: Centre) -> None:
    await centre.take(sealed(1, READING, gateway="gw-other"))
    assert len(centre.letters) == 1
    assert centre.acknowledgement().marks == []
    assert centre.stats.batches == 0


@pytest.mark.parametrize("name", ["other/topic", f"{DEFAULT_ROOT}/1/411202002001/gw-test/up", ""])
async def test_topics_that_are_not_ours_are_passed_over(centre: Centre, name: str) -> None:
    centre.intake.take(name.encode(), sealed(1, READING))
    assert (centre.stats.batches, centre.letters) == (0, [])


async def test_a_hello_tells_where_a_stream_begins_that_this_centre_never_saw(centre: Centre) -> None:
    await centre.take(sealed(57, READING))
    hello = [Span(EPOCH, Lane.URGENT, 57, 57)]
    await centre.take(presence.encode(State(online=True, at=T0, hello=hello)), Leaf.STATE)
    await centre.take(sealed(58, READING))
    assert (centre.stats.batches, centre.stats.out_of_order) == (2, 1)
    assert [gateway.online for gateway in centre.registry.gateways(Scope(["41"]))] == [True]


async def test_a_batch_of_a_replay_is_restored_and_is_no_news(centre: Centre) -> None:
    await centre.take(sealed(1, READING))
    await centre.take(sealed(1, READING, replay="00000000000000aa"))
    ((ref, replay, arrival),) = centre.restored
    assert (ref, replay, arrival.stream, arrival.seq, list(arrival.readings)) == (REF, "00000000000000aa", STREAM, 1, [READING])
    assert (centre.stats.batches, centre.stats.duplicates) == (1, 0)
    assert [len(sink.waiting()) for sink in centre.sinks] == [1, 1]


async def test_what_a_gateway_says_of_a_command_is_handed_on(centre: Centre) -> None:
    reply = Reply(id="00000000000000aa", at=T0, batches=3, done=True)
    await centre.take(encode_reply(reply), Leaf.REPLY)
    await centre.take(b"{}", Leaf.REPLY)
    assert centre.replies == [(REF, reply)]
    assert [letter.ref for letter in centre.letters] == [REF]


async def test_an_inventory_tells_what_exists(centre: Centre) -> None:
    device = Device(id="b3-door", kind=Kind.ACCESS, profile="zigbee2mqtt-contact", zone="b3")
    await centre.take(presence.encode(Inventory(at=T0, hash="0", devices=[device])), Leaf.INVENTORY)
    assert centre.registry.zone_of(REF, "b3-door") == "b3"
