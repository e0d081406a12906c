"""Tells each gateway, signed and retained, what is durable here: the lower of all sinks' watermarks, per epoch and lane.

Cumulative, so a lost acknowledgement costs nothing; several that fall together are said once.
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
_PAUSE_S = 0.02


class Acknowledger:
    """``durables`` are the sinks' watermarks, seen live. ``key`` gives a gateway's key, or ``None`` when it has none."""

    def __init__(
        self,
        durables: Sequence[Mapping[Stream, int]],
        key: Callable[[GatewayRef], bytes | None],
        clock: Callable[[], Micros],
        credit: float,
    ) -> None:
        self._durables = durables
        self._key = key
        self._clock = clock
        self._credit = credit
        self._streams: dict[GatewayRef, OrderedDict[Stream, None]] = {}
        self._rejected: dict[GatewayRef, deque[ack.Rejected]] = {}
        self._due: set[GatewayRef] = set()
        self._some = asyncio.Event()
        for durable in durables:
            for stream in durable:
                self._remember(stream)

    def touch(self, stream: Stream) -> None:
        """The gateway waits for word of this stream, new or not."""
        self._remember(stream)
        self._due.add(stream.ref)
        self._some.set()

    def confirmed(self, streams: Iterable[Stream]) -> None:
        """A sink made more of these durable."""
        self._due.update(stream.ref for stream in streams)
        self._some.set()

    def reject(self, stream: Stream, seq: int, reason: str) -> None:
        """This batch was set aside as poison."""
        said = self._rejected.setdefault(stream.ref, deque(maxlen=REJECTED))
        said.append(ack.Rejected(stream.epoch, Lane(stream.lane), seq, seq, reason[:256]))

    def greet(self) -> None:
        """Every gateway ever heard learns that the centre is here."""
        self._due.update(self._streams)
        self._some.set()

    async def run(self, publish: Callable[[GatewayRef, bytes], Awaitable[None]]) -> None:
        """Publishes until cancelled. What was due and could not be said stays due."""
        while True:
            await self._some.wait()
            self._some.clear()
            for ref in list(self._due):
                self._due.discard(ref)
                message = self.message(ref)
                if message is None:
                    continue
                try:
                    await publish(ref, message)
                except BaseException:
                    self._due.add(ref)
                    raise
            await asyncio.sleep(_PAUSE_S)

    def message(self, ref: GatewayRef) -> bytes | None:
        """The signed acknowledgement as it would go out now."""
        key = self._key(ref)
        if key is None:
            return None
        marks = [
            ack.Mark(stream.epoch, Lane(stream.lane), min(durable.get(stream, 0) for durable in self._durables))
            for stream in self._streams.get(ref, ())
        ]
        rejected = list(self._rejected.get(ref, ()))
        return ack.encode(ack.Ack(at=self._clock(), marks=marks, rejected=rejected, credit=self._credit), ref, key)

    def _remember(self, stream: Stream) -> None:
        streams = self._streams.setdefault(stream.ref, OrderedDict())
        streams[stream] = None
        streams.move_to_end(stream)
        while len(streams) > MARKS:
            streams.popitem(last=False)
