"""One connection to a broker that hands each message over as it is read, without a queue between.

1. A QoS 1 message is acknowledged to the broker when ``receive`` returned; those of one read together.
   What is written in one turn of the loop goes out together, and when little comes it is read together, the broker's own
   acknowledgements too: to be woken for one message costs as much as to decode it.
2. While ``crowded`` says so nothing is read, unless an answer of the broker is waited for: the messages wait in the socket
   and at the broker.
3. Every wait has a limit; a broker that says nothing for one and a half keepalives is gone.
4. ``publish`` keeps to the number of messages that the broker allows to be on their way.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from ingest.mqtt import packets
from ingest.mqtt.pace import Pace
from ingest.mqtt.packets import Control, Kind, Packets, Publish
from telemetry.errors import BrokerUnavailable

ANSWER_S = 10.0
TAKEN_S = 60.0
"""Longer than an answer may take: while nothing is read, the broker's acknowledgements wait behind its messages."""
ON_THEIR_WAY = 100
RECEIVE_MAXIMUM = 1_000
_LOOK_S = 0.01
REST_S = 0.02

_REASONS = {
    1: "it does not speak this version of MQTT",
    2: "it refuses the client id",
    4: "it refuses user or password",
    5: "not authorised",
    0x86: "it refuses user or password",
    0x87: "not authorised",
}


class Address(NamedTuple):
    """``secure`` is the TLS context, if any."""

    host: str
    port: int
    identifier: str
    user: str
    password: str | None
    keepalive_s: int
    v5: bool
    secure: ssl.SSLContext | None

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port})"


@contextlib.asynccontextmanager
async def connected(
    address: Address, receive: Callable[[bytes, bytes, bool], None], crowded: Callable[[], bool], rest_s: float = REST_S
) -> AsyncIterator["Link"]:
    """``receive`` gets topic and payload of each message. While little comes nothing is read for ``rest_s`` at a time.

    Raises ``BrokerUnavailable``, also from within the block.
    """
    link = Link(address, receive, crowded, rest_s)
    try:
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().create_connection(lambda: link, address.host, address.port, ssl=address.secure)
            await link.greet()
    except TimeoutError as error:
        link.close()
        raise BrokerUnavailable(f"no answer within {ANSWER_S:g} s") from error
    except OSError as error:
        raise BrokerUnavailable(str(error)) from error
    except BaseException:
        link.close()
        raise
    try:
        yield link
    finally:
        link.close()


class Link(asyncio.Protocol):
    """Made by ``connected``."""

    def __init__(
        self, address: Address, receive: Callable[[bytes, bytes, bool], None], crowded: Callable[[], bool], rest_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self._address = address
        self._receive = receive
        self._crowded = crowded
        self._rest_s = rest_s
        self._packets = Packets(v5=address.v5)
        self._over: asyncio.Future[None] = loop.create_future()
        self._answers: dict[Kind, asyncio.Future[bytes]] = {}
        self._mid = 0
        self._window = asyncio.Semaphore(0)
        self._writable = asyncio.Event()
        self._writable.set()
        self._keepalive_s = float(address.keepalive_s)
        self._said_at = self._heard_at = time.monotonic()
        self._paused = False
        self._unwritten: list[bytes] = []
        self._pace = Pace()

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        owed: list[bytes] = []
        came = 0
        try:
            for packet in self._packets.feed(data):
                if isinstance(packet, Publish):
                    came += 1
                    self._receive(packet.topic, packet.payload, packet.retained)
                    if packet.mid:
                        owed.append(packets.puback(packet.mid))
                else:
                    self._take(packet)
        except Exception as error:  # what breaks here ends the session, and its owner is told
            self._end(error)
            return
        if owed:
            self._write(b"".join(owed))
        if not self._paused and not self._answers:
            if came and self._crowded():
                self._rest(_LOOK_S)
            elif self._may_rest and self._pace.is_slow(came, len(data), self._heard_at):
                self._rest(self._rest_s)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(BrokerUnavailable(f"the connection was lost: {exc}" if exc else "the broker closed the connection"))

    # ---- what its owner calls

    async def greet(self) -> None:
        """Raises ``BrokerUnavailable`` when the broker does not want us."""
        where = self._address
        hello = packets.connect(
            where.identifier, where.user, where.password, where.keepalive_s, v5=where.v5, receive_maximum=RECEIVE_MAXIMUM
        )
        said = packets.connack(await self._ask(hello, Kind.CONNACK), v5=where.v5)
        if said.code:
            raise BrokerUnavailable(f"the broker refuses us: {_REASONS.get(said.code, f'code {said.code}')}")
        self._window = asyncio.Semaphore(min(ON_THEIR_WAY, said.receive_maximum))
        self._keepalive_s = float(said.keepalive_s or where.keepalive_s)

    async def subscribe(self, filters: Sequence[str], qos: int) -> None:
        """Raises ``BrokerUnavailable`` when one is refused."""
        said = await self._ask(packets.subscribe(self._next_mid(), filters, qos, v5=self._address.v5), Kind.SUBACK)
        if packets.refused(said, len(filters)):
            raise BrokerUnavailable(f"the broker refuses a subscription of {', '.join(filters)}")

    async def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """At QoS 1; returns when it is on its way. Raises ``BrokerUnavailable``."""
        if self._window.locked() or not self._writable.is_set():
            await self._room()
        else:
            await self._window.acquire()
        self._write(packets.publish(topic, payload, self._next_mid(), retain=retain, v5=self._address.v5))

    async def keep(self) -> None:
        """Keeps the connection until it is over, and then raises ``BrokerUnavailable``, or what ``receive`` raised."""
        while not self._over.done():
            await asyncio.wait((self._over,), timeout=self._keepalive_s / 4)
            now = time.monotonic()
            if self._paused:
                self._heard_at = now
            if now - self._heard_at > 1.5 * self._keepalive_s:
                self._end(BrokerUnavailable(f"the broker says nothing for {now - self._heard_at:.0f} s"))
            elif now - min(self._said_at, self._heard_at) > self._keepalive_s / 2:
                self._write(packets.PINGREQ)
        await self._over

    def close(self) -> None:
        """Takes leave; nothing is raised any more."""
        if self._over.done():
            self._over.exception()
        else:
            self._write(packets.DISCONNECT)
            self._flush()
            self._over.cancel()
        self._transport_close()

    # ---- within

    async def _room(self) -> None:
        """Waits until one more may be on its way. Raises ``BrokerUnavailable``."""
        try:
            async with asyncio.timeout(TAKEN_S):
                await self._window.acquire()
                await self._writable.wait()
        except TimeoutError as error:
            raise BrokerUnavailable(f"the broker took nothing for {TAKEN_S:g} s") from error

    @property
    def _may_rest(self) -> bool:
        """Nobody waits for the broker to acknowledge what is on its way."""
        return bool(self._rest_s) and not self._window.locked()

    def _rest(self, seconds: float) -> None:
        """Reads nothing for a while."""
        self._paused = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Reads on when there is room again."""
        if self._transport.is_closing():
            return
        if self._crowded():
            asyncio.get_running_loop().call_later(_LOOK_S, self._look)
            return
        self._paused = False
        self._heard_at = time.monotonic()
        self._transport.resume_reading()

    def _take(self, packet: Control) -> None:
        if packet.kind is Kind.PUBACK:
            self._window.release()
        elif packet.kind is Kind.DISCONNECT:
            raise BrokerUnavailable(f"the broker sends us away: code {packet.body[0] if packet.body else 0}")
        elif (answer := self._answers.pop(packet.kind, None)) is not None and not answer.done():
            answer.set_result(packet.body)

    async def _ask(self, question: bytes, kind: Kind) -> bytes:
        """Raises ``BrokerUnavailable`` when the answer does not come."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[kind] = answer
        self._write(question)
        await asyncio.wait((answer, self._over), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if self._over.done():
            await self._over
        raise BrokerUnavailable(f"no answer within {ANSWER_S:g} s")

    def _write(self, packet: bytes) -> None:
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unwritten.append(packet)

    def _flush(self) -> None:
        written, self._unwritten = b"".join(self._unwritten), []
        if written and hasattr(self, "_transport") and not self._transport.is_closing():
            self._said_at = time.monotonic()
            self._transport.write(written)

    def _next_mid(self) -> int:
        self._mid = self._mid % 65_535 + 1
        return self._mid

    def _end(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)
        self._transport_close()

    def _transport_close(self) -> None:
        if hasattr(self, "_transport"):
            self._transport.close()
