"""The uplink: carries sealed batches to the centre and forgets them on the centre's signed word alone.

1. A batch leaves the outbox's care only by an acknowledgement that this gateway's key signed; a PUBACK means nothing.
2. At every connect, and whenever acknowledgements are overdue, the hello tells the centre what is here.
3. The connection comes back by itself within about two seconds of the broker's return; polling never waits for it.

Decisions are in ``edge.window``; this module moves bytes.
"""

import asyncio
import random
import time
from collections.abc import Callable

import aiomqtt
import structlog

from edge.accept import wall_clock
from edge.broker import client
from edge.config import GatewayConfig, read_key
from edge.outbox import Outbox, OutboxFailing
from edge.window import Next, Window
from telemetry import __version__, ack, presence, topic
from telemetry.errors import AckInvalid, ConfigInvalid
from telemetry.identity import GatewayRef
from telemetry.presence import MAX_SPANS, Device, Inventory, Span, State, inventory_hash
from telemetry.reading import Micros

log = structlog.get_logger()

RECONNECT_S = (0.3, 2.0)
LEAVE_S = 10.0


class Uplink:
    """See the module. ``inventory`` gives the devices as they are now; call ``announce`` when they changed."""

    def __init__(
        self,
        config: GatewayConfig,
        outbox: Outbox,
        inventory: Callable[[], list[Device]],
        *,
        config_hash: Callable[[], str] = lambda: "",
        clock: Callable[[], Micros] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        gateway = config.gateway
        self.connected = False
        self.clock_offset_s: float | None = None
        self.refused_acks = 0
        self._config = config
        self._outbox = outbox
        self._inventory = inventory
        self._config_hash = config_hash
        self._clock = clock
        self._ref = GatewayRef(gateway.gateway.community, gateway.gateway.id)
        self._key = read_key(config.path(gateway.centre.key_file), "gateway's key")
        self._monotonic = monotonic
        self._window = Window(monotonic())
        self._changed = asyncio.Event()
        self._trouble = ""
        self._refusing = False

    def announce(self) -> None:
        """The inventory or the configuration changed: tell the centre."""
        self._changed.set()
        self._outbox.news.set()

    async def run(self) -> None:
        """Stays connected until cancelled."""
        while True:
            try:
                await self._session()
            except (aiomqtt.MqttError, ConfigInvalid, OutboxFailing) as error:
                self._note(str(error))
            finally:
                self.connected = False
            await asyncio.sleep(random.uniform(*RECONNECT_S))

    async def _session(self) -> None:
        will = aiomqtt.Will(self._topic(topic.Leaf.STATE), presence.encode(self._state(False, [])), qos=1, retain=True)
        link = client(
            self._config.gateway.centre.broker,
            self._config.path,
            f"linli-{self._ref.community}-{self._ref.gateway}",
            will=will,
            clean_session=True if self._config.gateway.centre.broker.protocol == "3.1.1" else None,
            max_queued_incoming_messages=64,
        )
        async with link:
            await link.subscribe(self._topic(topic.Leaf.ACK), qos=1)
            self._note("")
            self.connected = True
            self._window.refresh(await self._outbox.call(self._outbox.spans), self._outbox.epoch, self._monotonic())
            self._window.rewind(self._monotonic())
            try:
                await self._say_hello(link)
                await self._say_inventory(link)
                await self._exchange(link)
            except asyncio.CancelledError:
                await link.publish(self._topic(topic.Leaf.STATE), presence.encode(self._state(False, [])), qos=1, retain=True)
                raise

    async def _exchange(self, link: aiomqtt.Client) -> None:
        """Sends and listens until either ends; the first error ends both."""
        listening = asyncio.create_task(self._listen(link), name="uplink-listen")
        try:
            sending = asyncio.create_task(self._send(link), name="uplink-send")
            try:
                done, _ = await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                sending.cancel()
                await asyncio.wait({sending}, timeout=LEAVE_S)
        finally:
            listening.cancel()
            await asyncio.wait({listening}, timeout=LEAVE_S)

    async def _send(self, link: aiomqtt.Client) -> None:
        window = self._window
        while True:
            self._outbox.news.clear()
            now = self._monotonic()
            window.refresh(await self._outbox.call(self._outbox.spans), self._outbox.epoch, now)
            if window.is_idle():
                window.quiet(now)
            if self._changed.is_set():
                self._changed.clear()
                await self._say_inventory(link)
                await self._say_hello(link)
            if window.resend(now):
                await self._say_hello(link)
            upcoming = window.choose(now)
            if upcoming and await self._publish(link, upcoming):
                continue
            try:
                await asyncio.wait_for(self._outbox.news.wait(), window.delay(now))
            except TimeoutError:
                continue

    async def _publish(self, link: aiomqtt.Client, upcoming: Next) -> int:
        """Sends the batches, until something new may be more pressing; how many there were."""
        batches = await self._outbox.call(self._outbox.batches, *upcoming)
        for sealed in batches:
            again = self._window.sent(sealed.epoch, sealed.lane, sealed.seq, self._monotonic())
            await link.publish(self._topic(topic.Leaf.UP), sealed.message(self._clock(), again), qos=1)
            if self._outbox.news.is_set():
                break
        return len(batches)

    async def _listen(self, link: aiomqtt.Client) -> None:
        async for message in link.messages:
            if isinstance(message.payload, bytes):
                await self.hear(message.payload, retained=bool(message.retain))
                self._outbox.news.set()

    async def hear(self, payload: bytes, *, retained: bool) -> None:
        """Takes what came as an acknowledgement. A retained one tells what is durable, but not that the centre is there."""
        try:
            word = ack.decode(payload, self._ref, self._key)
        except AckInvalid as error:
            if not self._refusing:
                log.warning("acknowledgements are refused; nothing is deleted on their word", reason=str(error))
            self._refusing = True
            self.refused_acks += 1
            return
        self._refusing = False
        now = self._monotonic()
        for mark in word.marks:
            try:
                await self._outbox.call(self._outbox.acknowledge, mark.epoch, mark.lane, mark.seq, self._clock())
            except ValueError:
                continue  # the centre also marks epochs that are no longer, or not yet, ours
            self._window.acknowledged(mark.epoch, mark.lane, mark.seq, now)
        if retained:
            return
        self.clock_offset_s = (word.at - self._clock()) / 1e6
        if self._window.heard(word.credit, now):
            log.info("contact with the centre again; the backlog drains apart", epoch=await self._outbox.call(self._outbox.roll))

    async def _say_hello(self, link: aiomqtt.Client) -> None:
        spans = await self._outbox.call(self._outbox.spans)
        await link.publish(self._topic(topic.Leaf.STATE), presence.encode(self._state(True, spans)), qos=1, retain=True)

    async def _say_inventory(self, link: aiomqtt.Client) -> None:
        devices = self._inventory()
        inventory = Inventory(at=self._clock(), hash=inventory_hash(devices), devices=devices)
        await link.publish(self._topic(topic.Leaf.INVENTORY), presence.encode(inventory), qos=1, retain=True)

    def _state(self, online: bool, hello: list[Span]) -> State:
        return State(
            online=online,
            at=self._clock(),
            software=f"linli {__version__}",
            config_hash=self._config_hash(),
            inventory_hash=inventory_hash(self._inventory()),
            hello=greeting(hello),
        )

    def _topic(self, leaf: topic.Leaf) -> str:
        return topic.build(self._config.gateway.centre.root, self._ref, leaf)

    def _note(self, trouble: str) -> None:
        """Logs changes of the connection, not each try."""
        broker = self._config.gateway.centre.broker.url
        if trouble and not self._trouble:
            log.warning("centre's broker cannot be reached; readings stay in the outbox", broker=broker, error=trouble)
        elif not trouble and self._trouble:
            log.info("centre's broker is back", broker=broker)
        elif not trouble:
            log.info("connected to the centre's broker", broker=broker)
        self._trouble = trouble


def greeting(spans: list[Span]) -> list[Span]:
    """The spans that a hello can hold: the oldest, with which the backlog begins, and the two of the current epoch."""
    return spans if len(spans) <= MAX_SPANS else [*spans[: MAX_SPANS - 2], *spans[-2:]]
