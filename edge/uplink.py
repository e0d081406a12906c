"""The uplink: carries sealed batches to the centre and forgets them on the centre's signed word alone.

1. A batch leaves the outbox's care only by an acknowledgement that this gateway's key signed; a PUBACK means nothing.
2. At every connect, and whenever acknowledgements are overdue, the hello tells the centre what is here.
3. The connection comes back by itself within about two seconds of the broker's return; polling never waits for it.
4. A connection that is open and dead is noticed after two keepalives: within 15 seconds unless configured otherwise.
5. Another machine with this gateway's name takes the connection away again and again: that is said, and costs no reading.

Decisions are in ``edge.window`` and ``edge.replay``; this module moves bytes.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

import aiomqtt
import structlog

from edge.broker import client
from edge.cancelling import end_if_cancelled
from edge.clock import wall_clock
from edge.config import GatewayConfig, read_key
from edge.outbox import EpochUnknown, MarkBeyond, Outbox, OutboxFailing
from edge.replay import BATCHES, Replay
from edge.window import Next, Window
from telemetry import __version__, ack, command, presence, topic
from telemetry.batch import Lane
from telemetry.errors import AckInvalid, CommandInvalid, ConfigInvalid
from telemetry.identity import GatewayRef
from telemetry.presence import MAX_SPANS, Device, Inventory, Span, State, inventory_hash
from telemetry.reading import Micros

log = structlog.get_logger()

RECONNECT_S = (0.3, 1.8)
LEAVE_S = 10.0
FAREWELL_S = 1.0
"""How long the broker may take, at a stop, to confirm that it was told and that the connection is over, each."""
RIVAL_RECONNECT_S = (2.0, 5.0)
RIVAL_FORGOTTEN_S = 600.0
SHORT_SESSION_S = 20.0
SHORT_SESSIONS = 3
"""So many in a row mean that somebody ends them."""
REPLIES = 16
_SESSION_TAKEN_OVER = 142  # MQTT 5; an older protocol does not tell


class Uplink:
    """See the module. ``inventory`` gives the devices as they are now; call ``announce`` when they changed.

    ``told`` takes the centre's time and says how far it is ahead of ours, in seconds.
    """

    def __init__(
        self,
        config: GatewayConfig,
        outbox: Outbox,
        inventory: Callable[[], list[Device]],
        *,
        config_hash: Callable[[], str] = lambda: "",
        clock: Callable[[], Micros] = wall_clock,
        told: Callable[[int, int], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        gateway = config.gateway
        self.connected = False
        self.clock_offset_s: float | None = None
        self.refused_acks = 0
        self.rejected = 0
        self.taken_over = 0
        self._config = config
        self._outbox = outbox
        self._inventory = inventory
        self._config_hash = config_hash
        self._clock = clock
        self._told = told or (lambda at, _late_us: (at - clock()) / 1e6)
        self._ref = GatewayRef(gateway.gateway.community, gateway.gateway.id)
        self._key = read_key(config.path(gateway.centre.key_file), "gateway's key")
        self._monotonic = monotonic
        self._window = Window(monotonic())
        self._changed = asyncio.Event()
        self._replay = Replay()
        self._replies: deque[command.Reply] = deque(maxlen=REPLIES)
        self._rejected: dict[tuple[str, Lane], int] = {}
        self._rival_at = -RIVAL_FORGOTTEN_S
        self._connected_at = 0.0
        self._short_sessions = 0
        self._trouble: str | None = None
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
                taken_over = is_taken_over(error)
                if self._ends_at_once() or taken_over:
                    self._note_rival()
                else:
                    self._note(str(error))
                pause = RIVAL_RECONNECT_S if taken_over else RECONNECT_S
            else:
                pause = RECONNECT_S
            finally:
                self.connected = False
            end_if_cancelled()
            await asyncio.sleep(random.uniform(*pause))

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
            await link.subscribe(self._topic(topic.Leaf.CMD), qos=1)
            self._note("")
            self.connected, self._connected_at = True, self._monotonic()
            self._window.refresh(await self._outbox.call(self._outbox.spans), self._outbox.epoch, self._monotonic())
            self._window.rewind(self._monotonic())
            try:
                await self._say_hello(link)
                await self._say_inventory(link)
                end_if_cancelled()
                await self._exchange(link)
            except asyncio.CancelledError:
                link.timeout = FAREWELL_S
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
            end_if_cancelled()
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
            while self._replies:
                await link.publish(self._topic(topic.Leaf.REPLY), command.encode_reply(self._replies[0]), qos=1)
                self._replies.popleft()
            upcoming = window.choose(now)
            if upcoming and await self._publish(link, upcoming):
                continue
            if await self._publish_again(link, window.afford(now)):
                continue
            try:
                async with asyncio.timeout(window.delay(now) if self._replay.wanted is None else 0.1):
                    await self._outbox.news.wait()
            except TimeoutError:
                continue

    async def _publish(self, link: aiomqtt.Client, upcoming: Next) -> bool:
        """Sends the batches, together; false when there was nothing to send."""
        batches = await self._outbox.call(self._outbox.batches, *upcoming)
        if not self._window.stands(upcoming):
            return True  # the centre spoke meanwhile: what to send next is to be chosen anew
        try:
            async with asyncio.TaskGroup() as group:
                for sealed in batches:
                    again = self._window.sent(sealed.epoch, sealed.lane, sealed.seq, self._monotonic())
                    message = sealed.message(self._clock(), again)
                    group.create_task(link.publish(self._topic(topic.Leaf.UP), message, qos=1))
        except* aiomqtt.MqttError as errors:
            raise errors.exceptions[0] from None
        return bool(batches)

    async def _publish_again(self, link: aiomqtt.Client, room: int) -> bool:
        """Sends up to ``room`` of the batches that a replay wants, until something new is there; whether one is on."""
        wanted = self._replay.wanted
        if wanted is None or room < 1:
            return False
        window = (wanted.start, wanted.end, wanted.after)
        batches = await self._outbox.call(self._outbox.kept, *window, min(room, BATCHES))
        if not batches:
            self._reply(self._replay.ended(self._clock()))
        for sealed in batches:
            self._window.spend()
            await link.publish(self._topic(topic.Leaf.UP), sealed.message(self._clock(), True, wanted.id), qos=1)
            self._reply(self._replay.sent(sealed, self._clock()))
            if self._outbox.news.is_set():
                break
        return True

    async def _listen(self, link: aiomqtt.Client) -> None:
        commands = self._topic(topic.Leaf.CMD)
        async for message in link.messages:
            if message.topic.value == commands:
                await self.follow(message.payload)
            else:
                await self.hear(message.payload, retained=bool(message.retain))
            self._outbox.news.set()

    async def follow(self, payload: bytes) -> None:
        """Takes what came as a command: the one there is asks for a replay."""
        try:
            asked = command.decode(payload, self._ref, self._key)
        except CommandInvalid as error:
            log.warning("command refused", reason=str(error))
            return
        kept_since = await self._outbox.call(self._outbox.kept_since)
        answer = self._replay.begin(asked, self._clock(), kept_since)
        log.info("replay asked for", id=asked.id, start=asked.start, end=asked.end, problem=answer.problem)
        self._reply(answer)

    def _reply(self, answer: command.Reply | None) -> None:
        if answer is not None:
            self._replies.append(answer)

    async def hear(self, payload: bytes, *, retained: bool) -> None:
        """Takes what came as an acknowledgement. A retained one tells what is durable, but not that the centre is there."""
        try:
            word = ack.decode(payload, self._ref, self._key)
        except AckInvalid as error:
            self._refuse(str(error))
            return
        now, refused = self._monotonic(), ""
        for mark in word.marks:
            try:
                await self._outbox.call(self._outbox.acknowledge, mark.epoch, mark.lane, mark.seq, self._clock())
            except EpochUnknown:
                continue  # the centre also marks epochs that are no longer, or not yet, ours
            except MarkBeyond as error:
                refused = str(error)
                continue
            self._window.acknowledged(mark.epoch, mark.lane, mark.seq, now)
        self._note_rejected(word.rejected)
        if refused:
            self._refuse(refused)
        else:
            self._refusing = False
        if retained:
            return
        self.clock_offset_s = self._told(word.at, round((now - self._connected_at) * 1e6))
        if self._window.heard(word.credit, word.since, now):
            log.info("contact with the centre again; the backlog drains apart", epoch=await self._outbox.call(self._outbox.roll))

    def _refuse(self, reason: str) -> None:
        """An acknowledgement deletes nothing: it is counted, and the first of a row is said."""
        if not self._refusing:
            log.warning("acknowledgements are refused; nothing is deleted on their word", reason=reason)
        self._refusing = True
        self.refused_acks += 1

    def _note_rejected(self, ranges: list[ack.Rejected]) -> None:
        """Counts what the centre set aside as poison, each batch once; it stays here for the replay window."""
        for one in ranges:
            counted = self._rejected.get((one.epoch, one.lane), 0)
            fresh = one.last - max(counted, one.first - 1)
            if fresh > 0 and any(epoch == one.epoch for epoch in self._outbox.epochs):
                self._rejected[(one.epoch, one.lane)] = one.last
                self.rejected += fresh
                log.warning("centre set batches aside as poison", first=one.first, last=one.last, reason=one.reason)

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
        elif not trouble and self._trouble is None:
            log.info("connected to the centre's broker", broker=broker)
        self._trouble = trouble

    def _ends_at_once(self) -> bool:
        """Whether connections are made and end again at once: with MQTT 3.1.1 that is all that a rival shows."""
        if self.connected:
            short = self._monotonic() - self._connected_at < SHORT_SESSION_S
            self._short_sessions = self._short_sessions + 1 if short else 0
        return self._short_sessions >= SHORT_SESSIONS

    def _note_rival(self) -> None:
        """Counts, and says once while it goes on, that connections are taken away."""
        now = self._monotonic()
        self.taken_over += 1
        if now - self._rival_at >= RIVAL_FORGOTTEN_S:
            log.error("connections to the centre end at once; does another machine run as this gateway?", gateway=str(self._ref))
        self._rival_at = now


def is_taken_over(error: BaseException | None) -> bool:
    """Whether the broker ended the connection because another client came with the same name."""
    while error is not None:
        if isinstance(error, aiomqtt.MqttCodeError) and getattr(error.rc, "value", error.rc) == _SESSION_TAKEN_OVER:
            return True
        error = error.__cause__
    return False


def greeting(spans: list[Span]) -> list[Span]:
    """The spans that a hello can hold: the oldest, with which the backlog begins, and the two of the current epoch."""
    return spans if len(spans) <= MAX_SPANS else [*spans[: MAX_SPANS - 2], *spans[-2:]]
