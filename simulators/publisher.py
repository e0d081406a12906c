"""The MQTT connection of one simulated product.

1. What the product says while the broker is away waits in order, at QoS 1; at QoS 0 it is lost, as with the real thing.
   At most ``MAX_WAITING`` wait; the oldest goes first, and the truth says so.
2. The truth has a message before it is sent and again after the broker's word.
3. It connects again by itself, with back-off, for ever; one log line when the broker goes and one when it is back.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

import aiomqtt
import structlog

from simulators.products import Moment, Post, Product
from simulators.truth import TruthLog, spoken
from telemetry.broker import Broker, broker_problems, connection
from telemetry.errors import ConfigInvalid

MAX_WAITING = 10_000
TIMEOUT_S = 5.0
LONGEST_PAUSE_S = 15.0

log = structlog.get_logger()


class Queued(NamedTuple):
    id: str
    virtual: float
    post: Post


def broker_at(url: str) -> Broker:
    """The broker at ``mqtt://host:port`` or ``mqtts://host:port``. Raises ``ConfigInvalid``."""
    broker = Broker(url)
    problems = list(broker_problems(broker, "command line", "broker"))
    if problems:
        raise ConfigInvalid(problems)
    return broker


class Publisher:
    """``moment`` tells the time; ``chance`` spreads the reconnects of many products."""

    def __init__(
        self, product: Product, broker: Broker, truth: TruthLog, moment: Callable[[], Moment], chance: random.Random
    ) -> None:
        self._product = product
        self._broker = broker
        self._truth = truth
        self._moment = moment
        self._chance = chance
        self._waiting: deque[Queued] = deque()
        self._filled = asyncio.Event()
        self._connected = False
        self._count = 0

    def say(self, *posts: Post) -> None:
        """Sends them as soon as the broker is there; at once returns."""
        for post in posts:
            queued = self._queued(post)
            if post.qos == 0 and not self._connected:
                self._note(queued, "dropped")
            else:
                self._waiting.append(queued)
        while len(self._waiting) > MAX_WAITING:
            self._note(self._waiting.popleft(), "dropped")
        if self._waiting:
            self._filled.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause, was_there = 0.5, True
        while True:
            try:
                async with self._client() as client, _watched(client) as link:
                    log.info("simulated product connected", product=self._product.name)
                    pause, was_there, self._connected = 0.5, True, True
                    for post in self._product.greet(self._moment()):
                        await self._send(link, self._queued(post))
                    await self._drain(link)
            except (aiomqtt.MqttError, OSError) as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise asyncio.CancelledError from error  # the goodbye failed while we were told to end
                if was_there:
                    log.warning("simulated product has no broker", product=self._product.name, reason=str(error))
                was_there = False
            finally:
                self._connected = False
            await asyncio.sleep(pause * self._chance.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _drain(self, link: "_Connection") -> None:
        while True:
            while self._waiting:
                await self._send(link, self._waiting[0])
                self._waiting.popleft()
            self._filled.clear()
            await link.unless_gone(self._filled.wait())

    async def _send(self, link: "_Connection", queued: Queued) -> None:
        post = queued.post
        self._note(queued, "sending")
        await link.unless_gone(link.client.publish(post.topic, post.payload, qos=post.qos, retain=post.retain, timeout=TIMEOUT_S))
        self._note(queued, "sent")

    def _queued(self, post: Post) -> Queued:
        moment = self._moment()
        self._count += 1
        return Queued(f"{moment.wall}-{self._count}", moment.virtual, post)

    def _note(self, queued: Queued, phase: str) -> None:
        said = queued.post.said
        if said is not None:
            self._truth.write(spoken(self._moment().wall, queued.virtual, queued.id, phase, said, queued.post.qos))

    def _client(self) -> aiomqtt.Client:
        will = self._product.will()
        return aiomqtt.Client(
            **connection(self._broker, str, None),
            identifier=self._product.name,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will else None,
            timeout=TIMEOUT_S,
        )


class _Connection:
    """A connected client, and a task that ends with the connection: nothing is subscribed, so no message ends it before."""

    def __init__(self, client: aiomqtt.Client, gone: asyncio.Future[aiomqtt.Message]) -> None:
        self.client = client
        self._gone = gone

    async def unless_gone(self, work: Coroutine[Any, Any, object]) -> None:
        """Waits for ``work``. Raises ``MqttError`` at once when the connection ends, which the library alone would not."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._gone.result()
            await task
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def _watched(client: aiomqtt.Client) -> AsyncIterator[_Connection]:
    gone = asyncio.ensure_future(anext(aiter(client.messages)))
    try:
        yield _Connection(client, gone)
    finally:
        gone.cancel()
        await asyncio.wait((gone,))
        if not gone.cancelled():
            gone.exception()  # known: the connection ended
