"""A device broker that passes on what no honest broker would: any topic, any payload, any flag, to whoever listens.

    async with hostile_broker() as broker:
        ... broker.url; await broker.listened(); broker.say(b"doors/\\xff", b"...", qos=1) ...

It speaks as much MQTT 3.1.1 as a listener needs, and keeps which messages of QoS 1 each connection acknowledged, in order.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from tests.servers import HOST


class HostileBroker:
    def __init__(self) -> None:
        self.url = ""
        self.subscriptions = 0
        self.said: list[int] = []
        self._acknowledged: dict[asyncio.StreamWriter, list[int]] = {}
        self._mids = count(1)

    async def listened(self, filters: int) -> None:
        """Until so many filters are subscribed to."""
        async with asyncio.timeout(10):
            while self.subscriptions < filters:
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Until all that was said is acknowledged by all who are connected, in its order."""
        async with asyncio.timeout(10):
            while any(those != self.said for those in self._acknowledged.values()):
                await asyncio.sleep(0.01)

    def say(self, topic: bytes, payload: bytes, *, qos: int = 1, retain: bool = False, again: bool = False) -> None:
        """A PUBLISH to every connection that subscribed; ``again``: under the number of the one before, as its duplicate."""
        mid = b""
        if qos:
            number = self.said[-1] if again else (next(self._mids) - 1) % 65_535 + 1
            self.said.append(number)
            mid = number.to_bytes(2, "big")
        body = len(topic).to_bytes(2, "big") + topic + mid + payload
        first = 0x30 | again << 3 | qos << 1 | retain
        for writer in self._acknowledged:
            writer.write(bytes((first,)) + _length(len(body)) + body)

    async def drain(self) -> None:
        for writer in self._acknowledged:
            await writer.drain()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind, body = await _packet(reader)
                self._answer(kind & 0xF0, body, writer)
        self._acknowledged.pop(writer, None)
        writer.close()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        match kind:
            case 0x10:
                writer.write(b"\x20\x02\x00\x00")
            case 0x40:
                self._acknowledged[writer].append(int.from_bytes(body[:2], "big"))
            case 0x80:
                filters = _filters(body[2:])
                self._acknowledged.setdefault(writer, [])
                self.subscriptions += len(filters)
                writer.write(b"\x90" + _length(2 + len(filters)) + body[:2] + b"\x01" * len(filters))
            case 0xA0:
                writer.write(b"\xb0\x02" + body[:2])
            case 0xC0:
                writer.write(b"\xd0\x00")


@asynccontextmanager
async def hostile_broker() -> AsyncIterator[HostileBroker]:
    broker = HostileBroker()
    async with await asyncio.start_server(broker.serve, HOST, 0) as server:
        broker.url = f"mqtt://{HOST}:{server.sockets[0].getsockname()[1]}"
        yield broker
        for writer in tuple(broker._acknowledged):
            writer.close()


async def die(port: int, name: str, topic: bytes, payload: bytes) -> None:
    """A client that leaves a last will with the broker at this port, is taken, and breaks off."""
    reader, writer = await asyncio.open_connection(HOST, port)
    texts = (name.encode(), topic, payload)
    body = b"\x00\x04MQTT\x04\x2e\x00\x3c" + b"".join(len(text).to_bytes(2, "big") + text for text in texts)
    writer.write(b"\x10" + _length(len(body)) + body)
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    writer.transport.abort()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (kind,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, await reader.readexactly(length)


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | 0x80 if number else low)
        if not number:
            return bytes(out)


def _filters(body: bytes) -> list[str]:
    found = []
    while body:
        end = 2 + int.from_bytes(body[:2], "big")
        found.append(body[2:end].decode())
        body = body[end + 1 :]
    return found
