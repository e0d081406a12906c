"""Sinks forget streams that are finished, and know them again when something of them comes.

1. A watermark is put aside before anything forgets it, and the sinks forget before their stores do.
2. A sink writes nothing of a stream that it does not know before it has looked for what was put aside.
3. Neither happens while the other does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from ingest.acknowledger import Acknowledger
from ingest.arrival import Arrival
from ingest.finished import Finished, Finishing, Marks
from ingest.sequencer import Gap
from ingest.sink import Sink
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.reading import Micros

log = structlog.get_logger()

EVERY_S = 3_600.0


class Recalling:
    """What a sink calls to write and to settle, knowing again what it forgot. ``durable`` is the sink's own."""

    def __init__(
        self,
        sink: str,
        finished: Finished,
        lock: asyncio.Lock,
        durable: Callable[[], Marks],
        write: Callable[[Sequence[Arrival]], Awaitable[None]],
        settle: Callable[[Gap], Awaitable[None]],
        advance: Callable[[Stream, int], Awaitable[None]],
    ) -> None:
        self._sink = sink
        self._finished = finished
        self._lock = lock
        self._durable = durable
        self._write = write
        self._settle = settle
        self._advance = advance

    async def write(self, arrivals: Sequence[Arrival]) -> None:
        await self._recall({arrival.stream for arrival in arrivals})
        await self._write(arrivals)

    async def settle(self, gap: Gap) -> None:
        """What was had once is no gap."""
        known = await self._recall({gap.stream})
        if known.get(gap.stream, 0) < gap.last:
            await self._settle(gap)

    async def _recall(self, streams: Collection[Stream]) -> Marks:
        durable = self._durable()
        new = [stream for stream in streams if stream not in durable]
        if not new:
            return {}
        async with self._lock:
            found = await self._finished.of(self._sink, new)
            for stream, seq in found.items():
                await self._advance(stream, seq)
        return found


class Forgetting:
    """``forget`` makes a store behind the sinks forget streams, durably."""

    def __init__(
        self,
        finished: Finished,
        finishing: Finishing,
        lock: asyncio.Lock,
        sinks: Sequence[Sink],
        acknowledger: Acknowledger,
        forget: Sequence[Callable[[Collection[Stream]], Awaitable[None]]],
        clock: Callable[[], Micros],
    ) -> None:
        self._finished = finished
        self._finishing = finishing
        self._lock = lock
        self._sinks = sinks
        self._acknowledger = acknowledger
        self._forget = forget
        self._clock = clock

    async def run(self) -> None:
        """Looks now and then, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                log.warning("streams that are finished are not forgotten yet", error=str(error))

    async def sweep(self) -> None:
        """Raises ``StoreUnavailable``; what was put aside by then is known again by whoever asks."""
        now = self._clock()
        known = {stream: seq for sink in self._sinks for stream, seq in sink.durable.items()}
        async with self._lock:
            streams = self._idle(self._finishing.look(known, now))
            if not streams:
                return
            marks = {sink.name: {stream: sink.durable.get(stream, 0) for stream in streams} for sink in self._sinks}
            await self._finished.put_aside(marks, now)
            unchanged = [
                stream
                for stream in self._idle(streams)
                if all(sink.durable.get(stream, 0) == marks[sink.name][stream] for sink in self._sinks)
            ]
            for sink in self._sinks:
                sink.forget(unchanged)
            self._acknowledger.forget(unchanged)
            for forget in self._forget:
                await forget(unchanged)
        log.info("finished streams are forgotten", streams=len(unchanged))

    def _idle(self, streams: Collection[Stream]) -> list[Stream]:
        """Those of which no sink has anything to do."""
        busy = {stream for sink in self._sinks for stream in sink.busy(streams)}
        return [stream for stream in streams if stream not in busy]
