"""Devices that speak through an MQTT broker: one connection for each broker.

1. A QoS 1 message is acknowledged after what it said is durable, in the order of arrival; one that says nothing new, after all
   before it. Killed in between, the broker delivers it again (persistent session, fixed client id).
2. Bounded: what waits to be looked at (``Inbox``), and what waits to be acknowledged (``OWED``).
3. A payload that cannot be decoded is counted, said once, acknowledged, and disturbs nothing else.
4. Reconnects by itself within 30 s of the broker's return; an outage is two lines in the log.

Why paho is reached through aiomqtt's private client: docs/decisions/0002-device-mqtt-acknowledges-after-commit.md
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
import structlog
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_profiles import Keys, Message, Observation, PayloadInvalid, extract
from edge.broker import client
from edge.config import DeviceBroker
from edge.drivers.inbox import PAYLOAD_BYTES, Delivery, Inbox, delivery
from edge.drivers.routes import Listener, Routes
from edge.logbook import Logbook
from edge.tally import Tally
from telemetry.broker import Broker
from telemetry.errors import BrokerUnavailable, ConfigInvalid

OWED = 1_000
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 20.0
TIMEOUT_S = 4.0
HURRY = 8
"""This much owed, the commit comes early: at MQTT 3.1.1 a broker lets few messages be on their way (mosquitto: 20)."""
BREATH = 20
READ_AT_ONCE = 50
SUBSCRIBE_AT_ONCE = 100
COMPLAINTS = 1_000
SESSION_EXPIRY_S = 7 * 24 * 3600
RECEIVE_MAXIMUM = 500

log = structlog.get_logger()

Resolve = Callable[[str], Path]


class _Owed(NamedTuple):
    """An acknowledgement that waits for ``accepted``; without ``mid`` there is only something to wait for."""

    session: object
    accepted: asyncio.Future[None] | None
    mid: int | None


class _Session:
    """One connection to a broker, with its inbox; paho is told to leave acknowledging to us."""

    def __init__(self, broker: Broker, resolve: Resolve, identifier: str, utc: Callable[[], int]) -> None:
        self.inbox = Inbox()
        self.link = client(broker, resolve, identifier, **_lasting(broker.protocol))
        self.link.timeout = TIMEOUT_S
        paho = self.link._client
        paho.connect_timeout = TIMEOUT_S
        paho.manual_ack_set(True)
        paho.on_message = self._keep
        self._utc = utc
        self._came = 0
        self._socket = -1

    async def __aenter__(self) -> "_Session":
        await self.link.__aenter__()
        self._closed = self.link._disconnected
        self._closed.add_done_callback(self._over)
        self._listen()
        return self

    def _over(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # taken, or asyncio would log it beside our own line
        self.inbox.wake()

    def _keep(self, _client: object, _userdata: object, message: MQTTMessage) -> None:
        self._came += 1
        self.inbox.put(delivery(message, self._utc()))

    def _listen(self) -> None:
        """Takes the socket over from aiomqtt, which reads one packet a turn of the loop and cannot pause."""
        socket = self.link._client.socket()
        if socket is None or self._closed.done():
            return
        self._socket = socket.fileno()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._read)
        loop.call_soon(self._read)  # TLS may hold bytes that make no socket readable

    def _read(self) -> None:
        """Packets as long as messages come, but not past what the inbox can hold: then the socket waits, and so the broker."""
        paho = self.link._client
        try:
            for _ in range(READ_AT_ONCE):
                came = self._came
                paho.loop_read()
                if self._came == came or self._closed.done():
                    break
            else:
                if not self.inbox.is_crowded:  # TLS may hold more, which makes no socket readable
                    asyncio.get_running_loop().call_soon(self._read)
        except Exception as error:  # whatever breaks the connection ends the session, as in aiomqtt itself
            if not self._closed.done():
                self._closed.set_exception(error)
        if self.inbox.is_crowded and self._socket >= 0 and not self._closed.done():
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket = -1

    async def __aexit__(self, *raised: Any) -> None:
        await self.link.__aexit__(*raised)

    def acknowledge(self, mid: int) -> None:
        self.link._client.ack(mid, 1)

    async def deliveries(self) -> Delivery:
        """The next message. Raises ``BrokerUnavailable`` when the connection is over; what of QoS 1 is left comes again."""
        while True:
            delivered = self.inbox.take()
            if self._socket < 0 and not self.inbox.is_crowded:
                self._listen()
            over = self._closed.done() or self.inbox.overrun
            if delivered is not None and not (over and delivered.qos):
                return delivered
            if delivered is None and over:
                raise BrokerUnavailable("more messages than fit" if self.inbox.overrun else "the connection was lost")
            if delivered is None:
                await self.inbox.news()


class DeviceBrokerLink:
    """Listens until cancelled; ``replace`` may be called at any time. See the module."""

    def __init__(
        self,
        config: DeviceBroker,
        resolve: Resolve,
        identifier: str,
        logbook: Logbook,
        tally: Tally,
        keys: Keys,
        chance: random.Random,
    ) -> None:
        self._config = config
        self._resolve = resolve
        self._identifier = identifier
        self._logbook = logbook
        self._tally = tally
        self._keys = keys
        self._chance = chance
        self._routes = Routes(())
        self._changed = asyncio.Event()
        self._owed: deque[_Owed] = deque()
        self._owing = asyncio.Event()
        self._room = asyncio.Semaphore(OWED)
        self._complaints: set[tuple[str, str]] = set()
        self._trouble: str | None = None
        self._retry_s = FIRST_RETRY_S

    def replace(self, listeners: Iterable[Listener]) -> None:
        self._routes = Routes(listeners)
        self._changed.set()

    async def run(self) -> None:
        while True:
            try:
                await self._listen()
            except* (aiomqtt.MqttError, BrokerUnavailable, ConfigInvalid) as group:
                self._note(str(_first(group)))
            await asyncio.sleep(self._retry_s * self._chance.uniform(0.75, 1.25))
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    async def _listen(self) -> None:
        session = _Session(self._config, self._resolve, self._identifier, self._logbook.utc)
        async with session, asyncio.TaskGroup() as tasks:
            self._note("")
            self._retry_s = FIRST_RETRY_S
            tasks.create_task(self._subscribe(session.link), name=f"{self._config.id}-subscribe")
            tasks.create_task(self._acknowledge(session), name=f"{self._config.id}-acknowledge")
            await self._receive(session)

    async def _receive(self, session: _Session) -> None:
        number = 0
        while True:
            await self._deal(await session.deliveries(), session)
            number += 1
            if number % BREATH == 0:
                await asyncio.sleep(0)  # polls go between the messages of a storm

    async def _deal(self, delivered: Delivery, session: _Session) -> None:
        accepted = [future for listener in self._routes.of(delivered.topic) for future in self._hear(listener, delivered)]
        for future in accepted:
            await self._owe(_Owed(session, future, None))
        if delivered.qos:
            await self._owe(_Owed(session, None, delivered.mid))
        if accepted and self._logbook.full:
            await self._logbook.settled(accepted[-1])

    def _hear(self, listener: Listener, delivered: Delivery) -> list[asyncio.Future[None]]:
        place = (listener.device, delivered.topic)
        try:
            observations = _observations(listener, delivered, self._keys)
        except PayloadInvalid as error:
            self._tally.undecodable += 1
            if place not in self._complaints and len(self._complaints) < COMPLAINTS:
                self._complaints.add(place)
                log.warning("message cannot be decoded", device=listener.device, topic=delivered.topic, reason=str(error))
            return []
        self._complaints.discard(place)
        taken = (self._logbook.observed(listener.device, one, delivered.arrived_at) for one in observations)
        return [future for future in taken if future is not None]

    async def _owe(self, owed: _Owed) -> None:
        await self._room.acquire()
        self._owed.append(owed)
        self._owing.set()
        if owed.mid is not None and len(self._owed) >= HURRY:
            self._logbook.hurry()

    async def _acknowledge(self, session: _Session) -> None:
        """Settles what is owed, oldest first. What an earlier connection left is waited for, not acknowledged."""
        while True:
            while not self._owed:
                self._owing.clear()
                await self._owing.wait()
            owed = self._owed[0]
            if owed.accepted is not None and not await self._logbook.settled(owed.accepted):
                raise BrokerUnavailable("the outbox takes nothing; messages stay with the broker")
            if owed.mid is not None and owed.session is session:
                session.acknowledge(owed.mid)
            self._owed.popleft()
            self._room.release()

    async def _subscribe(self, link: aiomqtt.Client) -> None:
        held: frozenset[str] = frozenset()
        while True:
            self._changed.clear()
            wanted = self._routes.filters
            for filter_ in sorted(held - wanted):
                await link.unsubscribe(filter_)
            new = sorted(wanted - held)
            for start in range(0, len(new), SUBSCRIBE_AT_ONCE):
                await self._subscribe_to(link, new[start : start + SUBSCRIBE_AT_ONCE])
            held = wanted
            await self._changed.wait()

    async def _subscribe_to(self, link: aiomqtt.Client, filters: list[str]) -> None:
        granted = await link.subscribe([(filter_, 1) for filter_ in filters])
        for filter_, code in zip(filters, granted, strict=False):
            if code == 0x80 or (isinstance(code, ReasonCode) and code.is_failure):
                log.warning("subscription refused", broker=self._config.id, filter=filter_)

    def _note(self, trouble: str) -> None:
        """Logs changes of the connection, not each try."""
        if trouble and not self._trouble:
            log.warning("device broker unavailable", broker=self._config.id, url=self._config.url, reason=trouble)
        elif not trouble:
            log.info("device broker connected", broker=self._config.id, url=self._config.url)
        self._trouble = trouble


def _observations(listener: Listener, delivered: Delivery, keys: Keys) -> tuple[Observation, ...]:
    if delivered.payload is None:
        raise PayloadInvalid(f"a payload over {PAYLOAD_BYTES} bytes")
    message = Message(delivered.topic, delivered.payload, delivered.retained, delivered.arrived_at)
    return extract(listener.profile, listener.parameters, message, keys)


def _lasting(protocol: str) -> dict[str, Any]:
    """Options for a session that the broker keeps while we are away."""
    if protocol != "5":
        return {"clean_session": False}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    return {"clean_start": False, "properties": properties}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first cause of a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
