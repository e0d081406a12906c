"""The centre's own MQTT connection against a real broker, in both versions of the protocol."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from ingest.mqtt import Address, Link, connected
from telemetry.errors import BrokerUnavailable
from tests.delivery import eventually
from tests.servers import Server, free_port, mosquitto

BOTH = pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


def address(port: int, *, v5: bool = False, keepalive_s: int = 2, user: str = "") -> Address:
    return Address("127.0.0.1", port, "linli-test", user, "wrong" if user else None, keepalive_s, v5, None)


@BOTH
async def test_every_message_comes_once_and_in_order(broker: Server, v5: bool) -> None:
    heard: list[bytes] = []
    async with connected(address(broker.port, v5=v5), lambda topic, payload, _: heard.append(payload), lambda: False) as link:
        await link.subscribe(["a/+"], qos=1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            for number in range(300):
                await other.publish("a/b", str(number), qos=1)
        await eventually(lambda: len(heard) == 300)
    assert heard == [str(number).encode() for number in range(300)]


@BOTH
async def test_what_is_published_arrives_past_the_number_on_their_way(broker: Server, v5: bool) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as other,
        connected(address(broker.port, v5=v5), lambda topic, payload, _: None, lambda: False) as link,
    ):
        await other.subscribe("c/#", qos=1)
        for number in range(500):
            await link.publish("c/d", str(number).encode(), retain=False)
        async with asyncio.timeout(10):
            payloads = [(await anext(aiter(other.messages))).payload for _ in range(500)]
    assert payloads == [str(number).encode() for number in range(500)]


async def test_while_it_is_crowded_nothing_is_read_and_nothing_is_lost(broker: Server) -> None:
    heard: list[bytes] = []
    crowded = True
    async with connected(address(broker.port), lambda topic, payload, _: heard.append(payload), lambda: crowded) as link:
        keeping = asyncio.create_task(link.keep())
        await link.subscribe(["a/b"], qos=1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            for number in range(100):
                await other.publish("a/b", str(number), qos=1)
        held = len(heard)
        assert held < 100
        crowded = False
        await eventually(lambda: len(heard) == 100)
        assert not keeping.done()
        keeping.cancel()
    assert heard == [str(number).encode() for number in range(100)]


async def test_messages_that_come_one_by_one_are_acknowledged_together() -> None:
    acknowledged: list[bytes] = []

    async def send(writer: asyncio.StreamWriter) -> None:
        for mid in range(1, 11):
            writer.write(bytes([0x32, 7, 0, 1, 97, 0, mid, 120, 121]))
            for _ in range(10):
                await asyncio.sleep(0)

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(b"\x20\x02\0\0")
        async with asyncio.TaskGroup() as group:
            group.create_task(send(writer))
            while sum(map(len, acknowledged)) < 40:
                acknowledged.append(await reader.read(1_000))

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected(address(port), lambda topic, payload, _: None, lambda: False):
            await eventually(lambda: sum(map(len, acknowledged)) == 40)
    assert b"".join(acknowledged) == b"".join(bytes([0x40, 2, 0, mid]) for mid in range(1, 11))
    assert len(acknowledged) < 9


async def test_the_brokers_own_acknowledgements_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[bytes] = []
    received = Link.data_received

    def counted(link: Link, data: bytes) -> None:
        reads.append(data)
        received(link, data)

    monkeypatch.setattr(Link, "data_received", counted)

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(b"\x20\x02\0\0")
        await reader.read(1_000)
        for mid in range(1, 11):
            writer.write(bytes([0x40, 2, 0, mid]))
            for _ in range(10):
                await asyncio.sleep(0)

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected(address(port), lambda topic, payload, _: None, lambda: False) as link:
            for _ in range(10):
                await link.publish("a", b"x", retain=False)
            await eventually(lambda: sum(map(len, reads)) == 4 + 40)
    assert len(reads) < 9


@pytest.mark.slow
async def test_a_quiet_connection_is_kept_and_a_broker_that_is_stuck_is_given_up(broker: Server) -> None:
    async with connected(address(broker.port), lambda topic, payload, _: None, lambda: False) as link:
        keeping = asyncio.create_task(link.keep())
        await asyncio.sleep(4)
        assert not keeping.done()
        broker.pause()
        with pytest.raises(BrokerUnavailable, match="says nothing"):
            await asyncio.wait_for(keeping, 6)
    broker.resume()


async def test_a_broker_that_dies_is_noticed_at_once(broker: Server) -> None:
    async with connected(address(broker.port, keepalive_s=60), lambda topic, payload, _: None, lambda: False) as link:
        keeping = asyncio.create_task(link.keep())
        await asyncio.sleep(0)
        await asyncio.to_thread(broker.kill)
        with pytest.raises(BrokerUnavailable, match=r"lost|closed"):
            await asyncio.wait_for(keeping, 5)


async def test_what_receiving_raises_ends_the_session(broker: Server) -> None:
    def receive(topic: bytes, payload: bytes, retained: bool) -> None:
        raise RuntimeError("a defect")

    async with connected(address(broker.port), receive, lambda: False) as link:
        keeping = asyncio.create_task(link.keep())
        await link.subscribe(["a/b"], qos=1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            await other.publish("a/b", "x", qos=1)
        with pytest.raises(RuntimeError, match="a defect"):
            await asyncio.wait_for(keeping, 5)


@BOTH
async def test_a_broker_that_does_not_want_us_says_why(tmp_path: Path, v5: bool) -> None:
    (tmp_path / "passwords").write_text("")
    settings = f"allow_anonymous false\npassword_file {tmp_path}/passwords\n"
    with mosquitto(tmp_path, settings=settings) as closed, pytest.raises(BrokerUnavailable, match=r"not authorised|refuses user"):
        async with connected(address(closed.port, v5=v5, user="gw"), lambda topic, payload, _: None, lambda: False):
            pass


async def test_where_no_broker_is_it_is_said() -> None:
    with pytest.raises(BrokerUnavailable, match=r"[Cc]onnect"):
        async with connected(address(free_port()), lambda topic, payload, _: None, lambda: False):
            pass
