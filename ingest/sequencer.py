"""Puts each stream's batches in order: sans-IO, one for each durable sink.

1. What it gives out is contiguous per stream: seq n is given out once, after n-1.
2. What came too early is held back, at most ``HELD`` batches and ``HELD_BYTES`` a gateway and ``HELD_BYTES_IN_ALL``; more are
   dropped, and come again.
3. A stream that is not known yet starts at 1, or where the gateway's hello says that its unacknowledged part starts: that
   is believed when a batch from there on has come too. A hello alone moves nothing and makes nothing grow.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from ingest.arrival import Arrival
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import Span

HELD = 128
HELD_BYTES = 4 << 20
HELD_BYTES_IN_ALL = 32 << 20
UNKNOWN = "acknowledged before, not in this store"
ROLLED_BACK = "the gateway lost what it had sent"


class Verdict(Enum):
    """What became of a batch that was pushed."""

    NEW = auto()
    HELD = auto()
    DUPLICATE = auto()
    DROPPED = auto()


class Gap(NamedTuple):
    """Seqs that this sink will never see: the gateway no longer holds them, or rolled back behind our watermark."""

    stream: Stream
    first: int
    last: int
    reason: str

    @property
    def passes(self) -> bool:
        """Whether the sink goes on after ``last``; behind a watermark there is nothing to pass over."""
        return self.reason == UNKNOWN


class Sequencer:
    """``watermarks``: the highest contiguous seq per stream that the sink holds already."""

    def __init__(self, watermarks: Mapping[Stream, int]) -> None:
        self._next = {stream: seq + 1 for stream, seq in watermarks.items()}
        self._held: dict[Stream, dict[int, Arrival]] = {}
        self._holding: Counter[GatewayRef] = Counter()
        self._holding_bytes: Counter[GatewayRef] = Counter()
        self._bytes = 0
        self._starts: dict[GatewayRef, dict[Stream, int]] = {}

    def push(self, arrival: Arrival) -> tuple[Verdict, list[Arrival]]:
        """What became of it, and the batches that are now in order, oldest first."""
        stream, seq = arrival.stream, arrival.seq
        expected = self._next.get(stream, 1)
        if seq < expected:
            return Verdict.DUPLICATE, []
        if seq > expected:
            return self._hold(arrival), []
        ready = [arrival]
        while (following := self._release(stream, seq + len(ready))) is not None:
            ready.append(following)
        self._next[stream] = seq + len(ready)
        return Verdict.NEW, ready

    def concede(self, arrival: Arrival) -> Gap | None:
        """The gap before an arrival that its gateway's hello owns to, to be asked before ``push``."""
        start = self._starts.get(arrival.stream.ref, {}).get(arrival.stream) if self._starts else None
        return self._begin(arrival.stream, start) if start is not None and arrival.seq >= start else None

    def unpush(self, arrival: Arrival) -> None:
        """The sink had no room for an arrival just given out: it and what follows will come again."""
        self._next[arrival.stream] = min(self._next[arrival.stream], arrival.seq)

    def holds(self, stream: Stream) -> bool:
        """Whether something of it came too early and waits."""
        return stream in self._held

    def forget(self, stream: Stream) -> None:
        """It is as new as one that was never heard."""
        self._next.pop(stream, None)

    def hello(self, ref: GatewayRef, spans: Sequence[Span], *, retained: bool = False) -> tuple[list[Gap], list[Arrival]]:
        """Takes what a gateway says it holds; the gaps that this reveals, and batches that are now in order.

        One that the broker ``retained`` is older than what has come since, so to know more than it says is no rollback.
        """
        gaps: list[Gap] = []
        ready: list[Arrival] = []
        self._starts.pop(ref, None)
        for span in spans:
            stream = Stream(ref.community, ref.gateway, span.epoch, span.lane)
            expected = self._next.get(stream)
            if expected is not None and span.last + 1 < expected:
                if not retained:
                    gaps.append(Gap(stream, span.last + 1, expected - 1, ROLLED_BACK))
            elif (expected or 1) < span.first:
                self._starts.setdefault(ref, {})[stream] = span.first
                if any(seq >= span.first for seq in self._held.get(stream, ())):
                    gaps += filter(None, [self._begin(stream, span.first)])
                    ready += self._drain(stream)
        return gaps, ready

    def _begin(self, stream: Stream, start: int) -> Gap | None:
        """Gives up what lies before ``start``, unless it has come meanwhile."""
        starts = self._starts[stream.ref]
        del starts[stream]
        if not starts:
            del self._starts[stream.ref]
        expected = self._next.get(stream, 1)
        if expected >= start:
            return None
        self._next[stream] = start
        return Gap(stream, expected, start - 1, UNKNOWN)

    def _hold(self, arrival: Arrival) -> Verdict:
        stream, seq = arrival.stream, arrival.seq
        if seq in self._held.get(stream, ()):
            return Verdict.DUPLICATE
        size = self._holding_bytes[stream.ref] + arrival.size
        if self._holding[stream.ref] >= HELD or size > HELD_BYTES or self._bytes + arrival.size > HELD_BYTES_IN_ALL:
            return Verdict.DROPPED
        self._held.setdefault(stream, {})[seq] = arrival
        self._holding[stream.ref] += 1
        self._holding_bytes[stream.ref] = size
        self._bytes += arrival.size
        return Verdict.HELD

    def _release(self, stream: Stream, seq: int) -> Arrival | None:
        held = self._held.get(stream)
        arrival = held.pop(seq, None) if held else None
        if arrival is not None:
            self._holding[stream.ref] -= 1
            self._holding_bytes[stream.ref] -= arrival.size
            self._bytes -= arrival.size
        if not held:
            self._held.pop(stream, None)
        return arrival

    def _drain(self, stream: Stream) -> list[Arrival]:
        held = self._held.get(stream, {})
        for seq in [seq for seq in held if seq < self._next[stream]]:
            self._release(stream, seq)
        first = self._release(stream, self._next[stream])
        return self.push(first)[1] if first is not None else []
