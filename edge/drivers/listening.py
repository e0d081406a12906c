"""Listens to a broker for some devices, in one session: hears, hands over, and acknowledges what is durable.

1. A QoS 1 message is acknowledged after what it said is durable, in the order of arrival; one that says nothing new, after all
   before it. Killed in between, the broker delivers it again (persistent session, fixed client id).
2. Bounded: what waits to be looked at (``Inbox``), out a storm (``Freshest``), and to be acknowledged (``OWED``).
3. A storm is when messages come faster than they are dealt with. With ``thins``, what is of QoS 0 then goes through ``Freshest``
   and on every ``RELEASE_S``, and what had to go is counted. QoS 1 needs no thinning: its acknowledgements pace its sender.
4. A payload that cannot be decoded is counted, said once, acknowledged, and disturbs nothing else.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import aiomqtt
import structlog

from device_profiles import Keys, Message, Observation, PayloadInvalid, extract
from edge.cancelling import end_if_cancelled
from edge.drivers.freshest import Freshest
from edge.drivers.inbox import PAYLOAD_BYTES, Delivery
from edge.drivers.routes import Listener, Routes
from edge.drivers.session import Session
from edge.logbook import Logbook
from edge.tally import Tally
from telemetry.errors import BrokerUnavailable, ConfigInvalid

OWED = 1_000
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 20.0
HURRY = 8
"""This much owed, the commit comes early: at MQTT 3.1.1 a broker lets few messages be on their way (mosquitto: 20)."""
BREATH = 20
COMPLAINTS = 1_000
RELEASE_S = 1.0

log = structlog.get_logger()


class _Owed(NamedTuple):
    """An acknowledgement that waits for ``accepted``; without ``mid`` there is only something to wait for."""

    session: object
    accepted: asyncio.Future[None] | None
    mid: int | None


class Listening:
    """Runs until cancelled; ``replace`` may be called at any time. See the module.

    ``note`` is told what is wrong with the connection, and "" when it stands.
    """

    def __init__(
        self,
        connect: Callable[[], Session],
        logbook: Logbook,
        tally: Tally,
        keys: Keys,
        chance: random.Random,
        note: Callable[[str], None],
        *,
        thins: bool,
    ) -> None:
        self._connect = connect
        self._logbook = logbook
        self._tally = tally
        self._keys = keys
        self._chance = chance
        self._note = note
        self._thins = thins
        self._routes = Routes(())
        self._elsewhere: frozenset[str] = frozenset()
        self._left_over: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._freshest = Freshest()
        self._storm_until: float | None = None
        self._owed: deque[_Owed] = deque()
        self._owing = asyncio.Event()
        self._settled = asyncio.Event()
        self._complaints: set[tuple[str, str]] = set()
        self._retry_s = FIRST_RETRY_S

    def replace(self, routes: Routes, elsewhere: frozenset[str]) -> None:
        """``elsewhere``: what other sessions listen for. This one is kept from it, also where an earlier run had it here."""
        before, self._routes = self._routes, routes
        self._left_over |= elsewhere - self._elsewhere
        self._elsewhere = elsewhere
        self._freshest.keep_only(self._routes.unchanged(before))
        self._changed.set()

    async def run(self) -> None:
        while True:
            try:
                await self._listen()
            except* (aiomqtt.MqttError, BrokerUnavailable, ConfigInvalid) as group:
                self._note(str(_first(group)))
            end_if_cancelled()
            await asyncio.sleep(self._retry_s * self._chance.uniform(0.75, 1.25))
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    async def _listen(self) -> None:
        session = self._connect()
        async with session, asyncio.TaskGroup() as tasks:
            self._note("")
            self._retry_s = FIRST_RETRY_S
            tasks.create_task(self._subscribe(session), name="subscribe")
            tasks.create_task(self._acknowledge(session), name="acknowledge")
            try:
                await self._receive(session)
            finally:
                self._release(session)

    async def _receive(self, session: Session) -> None:
        dealt = 0
        while True:
            rest_s = None if self._storm_until is None else self._storm_until - self._logbook.monotonic()
            delivered = await session.delivery(rest_s)
            if delivered is not None:
                await self._deal(delivered, session)
            if self._thins:
                self._watch(session)
            dealt += 1
            if dealt % BREATH == 0:
                await asyncio.sleep(0)  # polls go between the messages of a storm

    def _watch(self, session: Session) -> None:
        """A storm begins when the inbox is behind, and ends when it no longer is at a release."""
        now = self._logbook.monotonic()
        if self._storm_until is not None:
            if now < self._storm_until and not self._freshest.is_full:
                return
            self._release(session)
        self._storm_until = now + RELEASE_S if session.inbox.is_behind else None

    async def _deal(self, delivered: Delivery, session: Session) -> None:
        parks = self._storm_until is not None and not delivered.qos
        accepted: list[asyncio.Future[None]] = []
        for number, listener in enumerate(self._routes.of(delivered.topic), 1):
            if self._routes.holds(listener):  # it may be replaced in a breath
                accepted += self._hear(listener, delivered, session, parks=parks)
            if number % BREATH == 0:
                await asyncio.sleep(0)  # thousands may share the topic of their bridge
        for future in accepted:
            await self._owe(_Owed(session, future, None))
        if delivered.qos:
            await self._owe(_Owed(session, None, delivered.mid))
        if accepted and self._logbook.full:
            await self._logbook.settled(accepted[-1])

    def _hear(self, listener: Listener, delivered: Delivery, session: Session, *, parks: bool) -> list[asyncio.Future[None]]:
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
        if parks:
            self._tally.thinned += sum(self._freshest.put(listener.device, one, delivered.arrived_at) for one in observations)
            return []
        if self._storm_until is not None:
            self._release(session, listener.device)
        taken = (self._logbook.observed(listener.device, one, delivered.arrived_at) for one in observations)
        return [future for future in taken if future is not None]

    def _release(self, session: Session, device: str | None = None) -> None:
        """Hands over what waited out the storm, or what one device said in it. Past ``OWED`` the next message waits for it."""
        for one in self._freshest.take() if device is None else self._freshest.take_of(device):
            future = self._logbook.observed(one.device, one.observation, one.arrived_at)
            if future is not None:
                self._owed.append(_Owed(session, future, None))
        self._owing.set()

    async def _owe(self, owed: _Owed) -> None:
        while len(self._owed) >= OWED:
            self._settled.clear()
            self._logbook.hurry()
            await self._settled.wait()
        self._owed.append(owed)
        self._owing.set()
        if owed.mid is not None and len(self._owed) >= HURRY:
            self._logbook.hurry()

    async def _acknowledge(self, session: Session) -> None:
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
            self._settled.set()

    async def _subscribe(self, session: Session) -> None:
        held: frozenset[str] = frozenset()
        while True:
            self._changed.clear()
            wanted, left_over = self._routes.filters, self._left_over
            for filter_ in await session.subscribe(sorted(wanted - held)):
                log.warning("subscription refused", broker=session.broker, filter=filter_)
            await session.unsubscribe(sorted((held | left_over) - wanted))
            held, self._left_over = wanted, self._left_over - left_over
            end_if_cancelled()
            await self._changed.wait()


def _observations(listener: Listener, delivered: Delivery, keys: Keys) -> tuple[Observation, ...]:
    if delivered.payload is None:
        raise PayloadInvalid(f"a payload over {PAYLOAD_BYTES} bytes")
    message = Message(delivered.topic, delivered.payload, delivered.retained, delivered.arrived_at)
    return extract(listener.profile, listener.parameters, message, keys)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first cause of a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
