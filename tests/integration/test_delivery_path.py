"""From the outbox to both stores and back: real broker, real stores, the two halves of the contract against each other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from edge.clock import wall_clock
from telemetry import ack, topic
from telemetry.batch import Lane
from telemetry.identity import GatewayRef
from tests.delivery import REF, CentreEnd, Edge, eventually, stored
from tests.servers import Server, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> AsyncIterator[Server]:  # type: ignore[misc]
    with mosquitto(tmp_path) as server:
        yield server


async def test_what_was_accepted_is_stored_once_and_acknowledged(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    async with centre.running(), edge.running():
        for number in range(20):
            await edge.say(float(number), lane=Lane.URGENT)
        await eventually(lambda: edge.unacknowledged == 0)
        assert await stored(centre.store) == sorted(edge.given.items())
        assert edge.uplink.clock_offset_s is not None
        assert abs(edge.uplink.clock_offset_s) < 1


async def test_a_broker_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    async with centre.running(), edge.running():
        for number in range(60):
            await edge.say(float(number))
            if number % 20 == 10:
                await asyncio.to_thread(broker.kill)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(broker.start)
        await eventually(lambda: edge.unacknowledged == 0, 30)
        assert await stored(centre.store) == sorted(edge.given.items())


async def test_the_centre_knows_whether_its_broker_is_there(tmp_path: Path, broker: Server) -> None:
    centre = CentreEnd(tmp_path, broker.url)
    async with centre.running():
        await eventually(lambda: centre.taking.connected)
        await asyncio.to_thread(broker.kill)
        await eventually(lambda: not centre.taking.connected)
        await asyncio.to_thread(broker.start)
        await eventually(lambda: centre.taking.connected)


async def test_a_restart_of_either_side_goes_on_where_it_stopped(tmp_path: Path, broker: Server) -> None:
    given: dict[int, float] = {}
    centre = CentreEnd(tmp_path, broker.url)
    for _ in range(3):
        edge = Edge(tmp_path / "edge", broker.url)
        edge.given = given
        async with edge.running():
            await edge.say(*range(5), lane=Lane.BULK)  # accepted, and not sealed when the agent ends
            await edge.say(6.0)
            async with centre.running():
                await asyncio.sleep(0.3)
    last = Edge(tmp_path / "edge", broker.url)
    async with centre.running(), last.running():
        await eventually(lambda: last.unacknowledged == 0)
        assert await stored(centre.store) == sorted(given.items())


async def test_nothing_is_acknowledged_while_the_store_is_down_and_rules_go_on(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    centre.store_is_down = True
    async with centre.running(), edge.running():
        await edge.say(1.0)
        alerts, points = centre.sinks
        await eventually(lambda: sum(alerts.durable.values()) == 1 and points.failing)
        assert edge.unacknowledged == 1
        centre.store_is_down = False
        await eventually(lambda: edge.unacknowledged == 0)
        assert await stored(centre.store) == sorted(edge.given.items())
        assert points.failing == ""


async def test_a_centre_that_lost_its_files_takes_up_where_the_gateway_says(tmp_path: Path, broker: Server) -> None:
    edge = Edge(tmp_path / "edge", broker.url)
    async with edge.running():
        first = CentreEnd(tmp_path / "first", broker.url)
        async with first.running():
            await edge.say(1.0)
            await eventually(lambda: edge.unacknowledged == 0)
        await edge.say(2.0)
        second = CentreEnd(tmp_path / "second", broker.url)
        async with second.running():
            await eventually(lambda: edge.unacknowledged == 0, 30)
            assert [value for _, value in await stored(second.store)] == [2.0]


async def test_poison_is_set_aside_and_a_stranger_is_not_heard(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), CentreEnd(tmp_path, broker.url)
    async with centre.running(), edge.running(), aiomqtt.Client("127.0.0.1", broker.port) as mallory:
        await edge.say(0.0)
        await eventually(lambda: edge.unacknowledged == 0)
        up = topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.UP)
        for junk in (b"", b"\xff", b"{", b'{"v":1}', b"x" * 2_000):
            await mallory.publish(up, junk, qos=1)
        stranger = GatewayRef("411202002001", "gw-stranger")
        await mallory.publish(topic.build(topic.DEFAULT_ROOT, stranger, topic.Leaf.UP), b"{}", qos=1)
        await edge.say(1.0)
        await eventually(lambda: edge.unacknowledged == 0)
        await eventually(lambda: len(centre.letters) == 5)
        assert await stored(centre.store) == sorted(edge.given.items())


async def test_a_forged_acknowledgement_deletes_nothing(tmp_path: Path, broker: Server) -> None:
    edge = Edge(tmp_path / "edge", broker.url)
    async with edge.running(), aiomqtt.Client("127.0.0.1", broker.port) as mallory:
        await edge.say(1.0)
        await eventually(lambda: edge.uplink.connected)
        forged = ack.Ack(at=wall_clock(), marks=[ack.Mark(edge.outbox.epoch, Lane.URGENT, 1)])
        await mallory.publish(topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.ACK), ack.encode(forged, REF, bytes(32)), qos=1)
        await eventually(lambda: edge.uplink.refused_acks == 1)
        assert edge.unacknowledged == 1
