"""Tells each gateway, signed and retained, what is durable here: the lower of all sinks' watermarks, per epoch and lane.

1. Cumulative, so a lost acknowledgement costs nothing; several that fall together are said once.
2. What says nothing new is said to a gateway that sent again what it had sent, or that was told nothing for ``QUIET_US``:
   then it knows that the centre is there, though a store is not.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from telemetry import ack
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

MARKS = 32
REJECTED = 32
QUIET_US = 5_000_000
_PAUSE_S = 0.05
"""Longest. Of a hundred gateways that speak at once much falls together in that time; one that has an alarm waits for nobody."""
_PAUSE_EACH_S = 0.0005


class Acknowledger:
    """``durables`` are the sinks' watermarks, seen live. ``key`` gives a gateway's key, or ``None`` when it has none.

    ``credit`` is how many batches a second each gateway may backfill, as it is now.
    """

    def __init__(
        self,
        durables: Sequence[Mapping[Stream, int]],
        key: Callable[[GatewayRef], bytes | None],
        clock: Callable[[], Micros],
        credit: Callable[[], float],
    ) -> None:
        self._durables = durables
        self._key = key
        self._clock = clock
        self._credit = credit
        self._streams: dict[GatewayRef, OrderedDict[Stream, None]] = {}
        self._rejected: dict[GatewayRef, deque[ack.Rejected]] = {}
        self._said: dict[GatewayRef, tuple[Micros, frozenset[ack.Mark]]] = {}
        self._due: set[GatewayRef] = set()
        self._again: set[GatewayRef] = set()
        self._some = asyncio.Event()
        self._since = clock()
        for durable in durables:
            for stream in durable:
                self._remember(stream)

    def heard(self, stream: Stream) -> None:
        """Something of this stream came that is not durable yet."""
        ref = stream.ref
        if stream not in self._streams.get(ref, ()):
            self._remember(stream)
        said = self._said.get(ref)
        if said is None or abs(self._clock() - said[0]) > QUIET_US:
            self._repeat((ref,))

    def touch(self, stream: Stream) -> None:
        """The gateway waits for word of this stream, new or not."""
        self._remember(stream)
        self._repeat((stream.ref,))

    def confirmed(self, streams: Iterable[Stream]) -> None:
        """A sink made more of these durable."""
        self._due.update(stream.ref for stream in streams)
        self._some.set()

    def forget(self, streams: Iterable[Stream]) -> None:
        """Nothing more is said of these."""
        for stream in streams:
            self._streams.get(stream.ref, OrderedDict()).pop(stream, None)

    def reject(self, stream: Stream, seq: int, reason: str) -> None:
        """This batch was set aside as poison."""
        said = self._rejected.setdefault(stream.ref, deque(maxlen=REJECTED))
        said.append(ack.Rejected(stream.epoch, Lane(stream.lane), seq, seq, reason[:256]))
        self._repeat((stream.ref,))

    def greet(self) -> None:
        """Every gateway ever heard learns that the centre listens from now on: what it sent before may have met nobody."""
        self._since = self._clock()
        self._repeat(self._streams)

    async def run(self, publish: Callable[[GatewayRef, bytes], Awaitable[None]]) -> None:
        """Publishes until cancelled. What was due and could not be said stays due."""
        while True:
            await self._some.wait()
            self._some.clear()
            said = 0
            for ref in list(self._due):
                said += await self._say(ref, publish)
            await asyncio.sleep(min(said * _PAUSE_EACH_S, _PAUSE_S))

    async def _say(self, ref: GatewayRef, publish: Callable[[GatewayRef, bytes], Awaitable[None]]) -> bool:
        """Says what is due to a gateway; whether there was anything to say."""
        self._due.discard(ref)
        marks = self._marks(ref)
        said = self._said.get(ref)
        if (key := self._key(ref)) is None or (said and said[1] == frozenset(marks) and ref not in self._again):
            return False
        self._again.discard(ref)
        try:
            await publish(ref, self._signed(ref, key, marks))
        except BaseException:
            self._repeat((ref,))
            raise
        self._said[ref] = (self._clock(), frozenset(marks))
        return True

    def message(self, ref: GatewayRef) -> bytes | None:
        """The signed acknowledgement as it would go out now."""
        key = self._key(ref)
        return None if key is None else self._signed(ref, key, self._marks(ref))

    def _marks(self, ref: GatewayRef) -> list[ack.Mark]:
        return [
            ack.Mark(stream.epoch, Lane(stream.lane), min(durable.get(stream, 0) for durable in self._durables))
            for stream in self._streams.get(ref, ())
        ]

    def _signed(self, ref: GatewayRef, key: bytes, marks: list[ack.Mark]) -> bytes:
        rejected = list(self._rejected.get(ref, ()))
        word = ack.Ack(at=self._clock(), marks=marks, rejected=rejected, credit=self._credit(), since=self._since)
        return ack.encode(word, ref, key)

    def _repeat(self, refs: Iterable[GatewayRef]) -> None:
        self._due.update(refs)
        self._again.update(refs)
        self._some.set()

    def _remember(self, stream: Stream) -> None:
        streams = self._streams.setdefault(stream.ref, OrderedDict())
        streams[stream] = None
        streams.move_to_end(stream)
        while len(streams) > MARKS:
            streams.popitem(last=False)
