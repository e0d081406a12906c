"""The uplink on links that die without a word, are taken away by another, or are asked for history: real brokers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest

from edge.clock import wall_clock
from telemetry import ack, batch, command, topic
from telemetry.command import Command, Reply, Verb
from tests.delivery import KEY, REF, CentreEnd, Edge, eventually, stored
from tests.servers import HOST, Server, free_port, mosquitto

HOUR = 3_600_000_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


class Proxy:
    """Forwards to a port. After ``die`` the connections that are there stay open and carry nothing more."""

    def __init__(self, url: str) -> None:
        self.port = free_port()
        self.connections = 0
        self._target = urlsplit(url).port
        self._dead: list[asyncio.Event] = []
        self._pipes: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, HOST, self.port)
        try:
            yield
        finally:
            server.close()
            for pipe in self._pipes:
                pipe.cancel()
            await asyncio.gather(*self._pipes, return_exceptions=True)

    def die(self) -> None:
        for dead in self._dead:
            dead.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        dead = asyncio.Event()
        self._dead.append(dead)
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._pipes.add(asyncio.create_task(self._pipe(source, sink, dead)))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dead: asyncio.Event) -> None:
        try:
            while chunk := await reader.read(65_536):
                if not dead.is_set():
                    writer.write(chunk)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.mark.slow
async def test_a_connection_that_is_open_and_dead_is_left_within_fifteen_seconds(tmp_path: Path, broker: Server) -> None:
    proxy = Proxy(broker.url)
    edge, centre = Edge(tmp_path / "edge", f"mqtt://{HOST}:{proxy.port}"), CentreEnd(tmp_path, broker.url)
    async with proxy.running(), centre.running(), edge.running():
        await edge.say(1.0)
        await eventually(lambda: edge.unacknowledged == 0)
        proxy.die()
        began = asyncio.get_running_loop().time()
        await eventually(lambda: proxy.connections == 2 and edge.uplink.connected, 16)
        assert asyncio.get_running_loop().time() - began < 15
        await edge.say(2.0)
        await eventually(lambda: edge.unacknowledged == 0)
        assert await stored(centre.store) == sorted(edge.given.items())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_two_agents_with_one_name_lose_nothing_and_say_it(
    tmp_path: Path, broker: Server, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("RECONNECT_S", "RIVAL_RECONNECT_S"):
        monkeypatch.setattr(f"edge.uplink.{pause}", (0.1, 0.5))
    one, other = (Edge(tmp_path / name, broker.url, protocol) for name in ("one", "other"))
    centre = CentreEnd(tmp_path, broker.url)
    async with centre.running(), one.running():
        async with other.running():
            await eventually(lambda: one.uplink.taken_over + other.uplink.taken_over > 0, 20)
            await one.say(1.0)
            await other.say(2.0)
        await eventually(lambda: one.unacknowledged == 0)
    async with centre.running(), other.running():
        await eventually(lambda: other.unacknowledged == 0)
        assert await stored(centre.store) == sorted((one.given | other.given).items())
    assert one.outbox.epoch != other.outbox.epoch


class Asking:
    """The centre's part in a replay, by hand: sends a command, collects what comes back."""

    def __init__(self, broker: Server) -> None:
        self.broker = broker
        self.replies: list[Reply] = []
        self.messages: list[batch.Batch] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with aiomqtt.Client(HOST, self.broker.port) as self.client:
            for leaf in (topic.Leaf.UP, topic.Leaf.REPLY):
                await self.client.subscribe(topic.build(topic.DEFAULT_ROOT, REF, leaf), qos=1)
            listening = asyncio.create_task(self._listen())
            yield
            listening.cancel()
            await asyncio.wait((listening,))

    async def _listen(self) -> None:
        async for message in self.client.messages:
            if message.topic.value.endswith("reply"):
                self.replies.append(command.decode_reply(message.payload))
            else:
                self.messages.append(batch.decode(message.payload).batch)

    async def ask(self, id: str, start: int, end: int, *, expires_in: int = HOUR, key: str = KEY) -> None:
        now = wall_clock()
        asked = Command(id=id, verb=Verb.REPLAY, at=now, expires_at=now + expires_in, start=start, end=end)
        payload = command.encode(asked, REF, bytes.fromhex(key))
        await self.client.publish(topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.CMD), payload, qos=1)

    async def acknowledge(self, edge: Edge) -> None:
        """Everything, as the centre does once it is durable."""
        marks = [ack.Mark(span.epoch, span.lane, span.last) for span in edge.outbox.spans() if span.last]
        said = ack.encode(ack.Ack(at=wall_clock(), marks=marks), REF, bytes.fromhex(KEY))
        await self.client.publish(topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.ACK), said, qos=1)
        await eventually(lambda: edge.unacknowledged == 0)

    def replayed(self, id: str) -> list[float]:
        return [float(one.values["voltage"]) for message in self.messages if message.replay == id for one in message.readings]


async def test_history_is_sent_again_on_command_and_only_what_was_acknowledged(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), Asking(broker)
    async with edge.running(), centre.running():
        began = wall_clock()
        for number in range(30):
            await edge.say(float(number))
        await centre.acknowledge(edge)
        middle = wall_clock()
        await edge.say(100.0)
        await centre.ask("1" * 16, began, wall_clock() + 1)
        await eventually(lambda: centre.replies and centre.replies[-1].done)
        last = centre.replies[-1]
        assert (last.batches, last.readings, last.problem) == (30, 30, "")
        assert centre.replayed("1" * 16) == [float(number) for number in range(30)]
        assert all(message.resent for message in centre.messages if message.replay)
        await centre.ask("2" * 16, middle + HOUR, middle + 2 * HOUR)
        await eventually(lambda: centre.replies[-1].id == "2" * 16)
        await eventually(lambda: centre.replies[-1].done)
        assert centre.replayed("2" * 16) == []


async def test_a_command_that_expired_or_is_forged_sends_nothing(tmp_path: Path, broker: Server) -> None:
    edge, centre = Edge(tmp_path / "edge", broker.url), Asking(broker)
    async with edge.running(), centre.running():
        began = wall_clock()
        await edge.say(1.0)
        await centre.acknowledge(edge)
        await centre.ask("1" * 16, began, wall_clock() + 1, key="22" * 32)
        await centre.ask("2" * 16, began, wall_clock() + 1, expires_in=-1)
        await eventually(lambda: centre.replies)
        assert [(one.id, one.done, "expired" in one.problem) for one in centre.replies] == [("2" * 16, True, True)]
        assert not any(message.replay for message in centre.messages)
