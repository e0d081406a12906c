"""What every broker between gateways and centre must be good for, held by each that docs/operator.md names."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import aiomqtt
import pytest

from telemetry import ack, presence, topic
from telemetry.batch import Lane
from telemetry.topic import Leaf
from tests.delivery import KEY, REF, CentreEnd, Edge, eventually, stored
from tests.faults.proxy import Proxy
from tests.servers import HOST, Server, embedded_broker, mosquitto, nats_server

BACK_S = 3.0
"""Reconnecting: within two seconds, and the time that connecting itself takes."""


class Kind(NamedTuple):
    make: Callable[[Path], Server]
    protocol: str


KINDS = {
    "mosquitto": Kind(mosquitto, "3.1.1"),
    "mosquitto-5": Kind(mosquitto, "5"),
    "embedded": Kind(embedded_broker, "3.1.1"),
    "embedded-5": Kind(lambda folder: embedded_broker(folder, protocol="5"), "5"),
    "nats": Kind(nats_server, "3.1.1"),
}


class Site(NamedTuple):
    """A broker, and what it takes to join both halves by it."""

    broker: Server
    kind: Kind
    folder: Path

    def edge(self, url: str | None = None) -> Edge:
        return Edge(self.folder / "edge", url or self.broker.url, self.kind.protocol)

    def centre(self) -> CentreEnd:
        return CentreEnd(self.folder / "centre", self.broker.url, self.kind.protocol)

    def lose_disk(self) -> None:
        self.broker.kill()
        shutil.rmtree(self.broker.folder / "data", ignore_errors=True)

    async def retained(self, leaf: Leaf) -> bytes:
        """What the broker keeps for whoever comes later."""
        version = aiomqtt.ProtocolVersion.V5 if self.kind.protocol == "5" else aiomqtt.ProtocolVersion.V311
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5), aiomqtt.Client(HOST, self.broker.port, protocol=version) as client:
                        await client.subscribe(topic.build(topic.DEFAULT_ROOT, REF, leaf), qos=1)
                        async for message in client.messages:
                            if message.retain and isinstance(message.payload, bytes):
                                return message.payload


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("edge.window.RESEND_S", 0.5)  # what a broker lost is missed sooner than in the field
    kind = KINDS[request.param]
    with kind.make(tmp_path) as broker:
        yield Site(broker, kind, tmp_path)


async def test_everything_accepted_arrives_once(site: Site) -> None:
    edge, centre = site.edge(), site.centre()
    async with centre.running(), edge.running():
        for number in range(20):
            await edge.say(float(number), lane=Lane.URGENT)
        await edge.say(*(float(number) for number in range(2_000)), lane=Lane.BULK)
        edge.outbox.seal(edge.accept._clock(), force=True)
        edge.outbox.news.set()
        await eventually(lambda: edge.unacknowledged == 0)
        assert await stored(centre.store) == sorted(edge.given.items())


async def test_a_broker_that_lost_its_disk_loses_and_doubles_nothing_and_is_found_again_at_once(site: Site) -> None:
    edge, centre = site.edge(), site.centre()
    async with centre.running(), edge.running():
        await eventually(lambda: edge.uplink.connected and centre.taking.connected)
        for number in range(30):
            await edge.say(float(number))
            if number == 10:
                await asyncio.to_thread(site.lose_disk)
                await eventually(lambda: not (edge.uplink.connected or centre.taking.connected))
                await asyncio.to_thread(site.broker.start)
                returned = time.monotonic()
                await eventually(lambda: edge.uplink.connected and centre.taking.connected)
                assert time.monotonic() - returned < BACK_S
        await eventually(lambda: edge.unacknowledged == 0)
        assert await stored(centre.store) == sorted(edge.given.items())
        assert presence.decode_state(await site.retained(Leaf.STATE)).online


async def test_state_inventory_and_acknowledgement_wait_for_who_comes_later(site: Site) -> None:
    edge, centre = site.edge(), site.centre()
    async with edge.running():
        await edge.say(1.0)
        await eventually(lambda: edge.uplink.connected)
        assert presence.decode_state(await site.retained(Leaf.STATE)).online
        assert presence.decode_inventory(await site.retained(Leaf.INVENTORY)).devices == []
    async with centre.running(), site.edge().running():
        word = ack.decode(await site.retained(Leaf.ACK), REF, bytes.fromhex(KEY))
        assert word.marks


async def test_a_gateway_that_ends_cleanly_is_offline_at_once(site: Site) -> None:
    edge = site.edge()
    async with edge.running():
        await eventually(lambda: edge.uplink.connected)
    assert not presence.decode_state(await site.retained(Leaf.STATE)).online


async def test_a_gateway_whose_line_breaks_is_said_to_be_offline_by_the_broker(site: Site) -> None:
    with Proxy(target=site.broker.port) as line:
        edge = site.edge(f"mqtt://{HOST}:{line.port}")
        async with edge.running():
            await eventually(lambda: edge.uplink.connected)
            assert presence.decode_state(await site.retained(Leaf.STATE)).online
            line.refuse(True)
            async with asyncio.timeout(10):
                while presence.decode_state(await site.retained(Leaf.STATE)).online:
                    await asyncio.sleep(0.05)
