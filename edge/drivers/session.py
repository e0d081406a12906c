"""One connection to a device broker: what it delivers waits in an inbox, and is acknowledged when we say so.

Why paho is reached through aiomqtt's private client: docs/decisions/0002-device-mqtt-acknowledges-after-commit.md
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.broker import client
from edge.config import DeviceBroker
from edge.drivers.inbox import Delivery, Inbox, delivery
from telemetry.errors import BrokerUnavailable

TIMEOUT_S = 4.0
READ_AT_ONCE = 50
SUBSCRIBE_AT_ONCE = 100
SESSION_EXPIRY_S = 7 * 24 * 3600
RECEIVE_MAXIMUM = 500

Resolve = Callable[[str], Path]


class Session:
    """See the module. The broker keeps it for ``identifier`` while we are away; paho leaves acknowledging to us."""

    def __init__(self, broker: DeviceBroker, resolve: Resolve, identifier: str, utc: Callable[[], int]) -> None:
        self.broker = broker.id
        self.inbox = Inbox()
        self._link = client(broker, resolve, identifier, **_lasting(broker.protocol))
        self._link.timeout = TIMEOUT_S
        paho = self._link._client
        paho.connect_timeout = TIMEOUT_S
        paho.manual_ack_set(True)
        paho.on_message = self._keep
        self._utc = utc
        self._came = 0
        self._socket = -1

    async def __aenter__(self) -> "Session":
        await self._link.__aenter__()
        self._closed = self._link._disconnected
        self._closed.add_done_callback(self._over)
        self._listen()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._link.__aexit__(*raised)

    def acknowledge(self, mid: int) -> None:
        self._link._client.ack(mid, 1)

    async def subscribe(self, filters: list[str]) -> list[str]:
        """Returns those that the broker refuses."""
        refused: list[str] = []
        for some in _portions(filters):
            granted = await self._link.subscribe([(filter_, 1) for filter_ in some])
            refused += [filter_ for filter_, code in zip(some, granted, strict=False) if _is_refusal(code)]
        return refused

    async def unsubscribe(self, filters: list[str]) -> None:
        """A broker that does not answer has none of them: rumqttd is silent then."""
        for some in _portions(filters):
            try:
                await self._link.unsubscribe(some)
            except aiomqtt.MqttError:
                if self._closed.done():
                    raise

    async def delivery(self, within_s: float | None = None) -> Delivery | None:
        """The next message, ``None`` when there is none in that time.

        Raises ``BrokerUnavailable`` when the connection is over; what of QoS 1 is left comes again.
        """
        if (delivered := self._take()) is not None:
            return delivered
        try:
            async with asyncio.timeout(within_s):
                while (delivered := self._take()) is None:
                    await self.inbox.news()
        except TimeoutError:
            return None
        return delivered

    def _take(self) -> Delivery | None:
        while True:
            delivered = self.inbox.take()
            if self._socket < 0 and not (self.inbox.is_crowded or self.inbox.is_behind):
                self._listen()
            over = self._closed.done() or self.inbox.overrun
            if delivered is None and over:
                raise BrokerUnavailable("more messages than fit" if self.inbox.overrun else "the connection was lost")
            if delivered is None or not (over and delivered.qos):
                return delivered

    def _over(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # taken, or asyncio would log it beside our own line
        self.inbox.wake()

    def _keep(self, _client: object, _userdata: object, message: MQTTMessage) -> None:
        self._came += 1
        self.inbox.put(delivery(message, self._utc()))

    def _listen(self) -> None:
        """Takes the socket over from aiomqtt, which reads one packet a turn of the loop and cannot pause."""
        socket = self._link._client.socket()
        if socket is None or self._closed.done():
            return
        self._socket = socket.fileno()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._read)
        loop.call_soon(self._read)  # TLS may hold bytes that make no socket readable

    def _read(self) -> None:
        """Packets as long as messages come, but not past what the inbox can hold: then the socket waits, and so the broker."""
        loop = asyncio.get_running_loop()
        if self._socket < 0 or self._closed.done():
            return
        try:
            if self._packets() and not self.inbox.is_crowded:  # TLS may hold more, which makes no socket readable
                loop.call_soon(self._read)
        except Exception as error:  # whatever breaks the connection ends the session, as in aiomqtt itself
            if not self._closed.done():
                self._closed.set_exception(error)
        if self.inbox.is_crowded and self._socket >= 0 and not self._closed.done():
            loop.remove_reader(self._socket)
            self._socket = -1

    def _packets(self) -> bool:
        """Reads some; whether there may be more."""
        for _ in range(READ_AT_ONCE):
            came = self._came
            self._link._client.loop_read()
            if self._came == came or self._closed.done():
                return False
            if self.inbox.is_crowded:
                return True
        return True


def _portions(filters: list[str]) -> list[list[str]]:
    return [filters[start : start + SUBSCRIBE_AT_ONCE] for start in range(0, len(filters), SUBSCRIBE_AT_ONCE)]


def _is_refusal(code: object) -> bool:
    return code.is_failure if isinstance(code, ReasonCode) else code == 0x80


def _lasting(protocol: str) -> dict[str, Any]:
    """Options for a session that the broker keeps while we are away."""
    if protocol != "5":
        return {"clean_session": False}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    return {"clean_start": False, "properties": properties}
