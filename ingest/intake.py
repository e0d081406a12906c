"""Intake: from MQTT messages to two durable sinks, and back to the gateway the signed word of what is durable.

1. A batch is acknowledged when the telemetry store *and* the alert transaction hold it: the lower of the two watermarks.
2. Duplicates change nothing; order is restored per stream; each sink skips what it has.
3. Poison is set aside with bytes and reason, acknowledged as rejected, and never blocks what follows.
4. What an unregistered gateway sends is not taken; that it sends is told, once a minute at most.
5. A batch that comes because a replay was asked for is stored again and nothing else: no order, no count, no rule.

It decides and hands over, and waits for nothing; ``ingest.reception`` is its MQTT shell. Lost messages, full queues and kills
need no care here: what is not acknowledged comes again.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from ingest.acknowledger import Acknowledger
from ingest.arrival import Arrival, gist_of
from ingest.deadletter import DeadLetter
from ingest.metrics import Stats
from ingest.registry import Registry
from ingest.sequencer import Verdict
from ingest.sink import Sink
from ingest.strangers import Strangers
from telemetry import batch, presence, topic
from telemetry.batch import Poison
from telemetry.command import Reply, decode_reply
from telemetry.errors import BatchInvalid, CommandInvalid, TopicInvalid
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

MAX_TOPICS = 65_536


class Known(Protocol):
    """Who is registered."""

    def key(self, ref: GatewayRef) -> bytes | None: ...


def wall_clock() -> Micros:
    return Micros(time.time_ns() // 1000)


class Intake:
    """Takes messages one by one; ``sinks`` are the two durable places.

    ``poison`` takes what is no batch of anybody, ``restore`` what comes for the replay of that id, ``replied`` what a gateway
    says about a command.
    """

    def __init__(
        self,
        sinks: tuple[Sink, ...],
        acknowledger: Acknowledger,
        gateways: Known,
        registry: Registry,
        stats: Stats,
        poison: Callable[[DeadLetter], None],
        restore: Callable[[GatewayRef, str, Arrival], None],
        replied: Callable[[GatewayRef, Reply], None],
        root: str,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self.connected = False
        self._sinks = sinks
        self._acknowledger = acknowledger
        self._gateways = gateways
        self._registry = registry
        self._stats = stats
        self._poison = poison
        self._restore = restore
        self._replied = replied
        self._clock = clock
        self._parse = lru_cache(MAX_TOPICS)(lambda name: topic.parse(root, name.decode()))
        self._strangers = Strangers()

    @property
    def is_crowded(self) -> bool:
        """Whether it is better to let messages wait at the broker for a while."""
        return any(sink.is_crowded for sink in self._sinks)

    def take(self, name: bytes, payload: bytes, retained: bool = False) -> None:
        """One message, whatever it holds; never raises for what a gateway may send. ``retained``: it may be of long ago."""
        try:
            ref, leaf = self._parse(name)
        except (TopicInvalid, UnicodeDecodeError):
            return
        if self._gateways.key(ref) is None:
            self._strangers.heard(ref, self._clock())
            return
        try:
            match leaf:
                case topic.Leaf.UP:
                    self._take_batch(ref, payload)
                case topic.Leaf.STATE:
                    self._take_state(ref, presence.decode_state(payload), retained)
                case topic.Leaf.INVENTORY:
                    self._registry.take_inventory(ref, presence.decode_inventory(payload))
                case topic.Leaf.REPLY:
                    self._replied(ref, decode_reply(payload))
        except (BatchInvalid, CommandInvalid) as error:
            self._set_aside(ref, leaf, str(error), payload)

    def _take_batch(self, ref: GatewayRef, payload: bytes) -> None:
        try:
            decoded = batch.decode(payload)
            if decoded.batch.gateway != ref.gateway:
                raise BatchInvalid(f"a batch of gateway {decoded.batch.gateway!r}")
        except BatchInvalid as error:
            self._take_undecodable(ref, payload, str(error))
            return
        sealed = decoded.batch
        arrival = Arrival(
            sealed.stream(ref),
            sealed.seq,
            sealed.readings,
            self._clock(),
            decoded.poison,
            decoded.size,
            checked=True,
            looked=gist_of(sealed.readings),
        )
        if sealed.replay:
            self._restore(ref, sealed.replay, arrival)
        else:
            self._push(arrival)

    def _take_undecodable(self, ref: GatewayRef, payload: bytes, reason: str) -> None:
        """A batch that can be named goes the way of all batches, with nothing but poison in it."""
        head = batch.head_of(payload)
        if head is None or head.gateway != ref.gateway or head.replay:
            self._set_aside(ref, topic.Leaf.UP, reason, payload)
            return
        stream = Stream(ref.community, ref.gateway, head.epoch, head.lane)
        self._acknowledger.reject(stream, head.seq, reason)
        self._push(Arrival(stream, head.seq, (), self._clock(), (Poison(payload, reason),), len(payload)))

    def _push(self, arrival: Arrival) -> None:
        """Hands a batch to every sink."""
        verdicts = [sink.push(arrival) for sink in self._sinks]
        self._stats.overflowed += Verdict.DROPPED in verdicts
        if all(verdict is Verdict.DUPLICATE for verdict in verdicts):
            self._stats.duplicates += 1
            self._acknowledger.touch(arrival.stream)
            return
        self._acknowledger.heard(arrival.stream)
        self._registry.seen([arrival])
        self._stats.out_of_order += Verdict.HELD in verdicts
        if verdicts[0] in (Verdict.NEW, Verdict.HELD):  # once for each batch, whatever the other sinks make of it
            self._stats.batches += 1
            counted = self._stats.readings
            for kind, readings in arrival.gist.kinds.items():
                counted[kind] += readings

    def _take_state(self, ref: GatewayRef, state: presence.State, retained: bool) -> None:
        self._registry.take_state(ref, state, self._clock())
        for sink in self._sinks:
            sink.hello(ref, state.hello, retained=retained)
        for span in state.hello:
            self._acknowledger.touch(Stream(ref.community, ref.gateway, span.epoch, span.lane))

    def _set_aside(self, ref: GatewayRef, leaf: topic.Leaf, reason: str, body: bytes) -> None:
        self._stats.dead_letters += 1
        self._poison(DeadLetter(ref, str(leaf), reason, body))
