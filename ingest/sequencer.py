"""Puts each stream's batches in order: sans-IO, one for each durable sink.

1. What it gives out is contiguous per stream: seq n is given out once, after n-1.
2. What came before is held back, at most ``HELD`` batches a stream; more are dropped, and come again.
3. A stream that is not known yet starts at 1, or where the gateway's hello says that its unacknowledged part starts.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from ingest.arrival import Arrival
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import Span

HELD = 128
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


class Sequencer:
    """``watermarks``: the highest contiguous seq per stream that the sink holds already."""

    def __init__(self, watermarks: Mapping[Stream, int]) -> None:
        self._next = {stream: seq + 1 for stream, seq in watermarks.items()}
        self._held: dict[Stream, dict[int, Arrival]] = {}

    def push(self, arrival: Arrival) -> tuple[Verdict, list[Arrival]]:
        """What became of it, and the batches that are now in order, oldest first."""
        stream, seq = arrival.stream, arrival.seq
        expected = self._next.get(stream, 1)
        if seq < expected:
            return Verdict.DUPLICATE, []
        held = self._held.setdefault(stream, {})
        if seq > expected:
            if seq in held:
                return Verdict.DUPLICATE, []
            if len(held) >= HELD:
                return Verdict.DROPPED, []
            held[seq] = arrival
            return Verdict.HELD, []
        ready = [arrival]
        while (following := held.pop(seq + len(ready), None)) is not None:
            ready.append(following)
        self._next[stream] = seq + len(ready)
        return Verdict.NEW, ready

    def unpush(self, arrival: Arrival) -> None:
        """The sink had no room for an arrival just given out: it and what follows will come again."""
        self._next[arrival.stream] = min(self._next[arrival.stream], arrival.seq)

    def hello(self, ref: GatewayRef, spans: Sequence[Span]) -> tuple[list[Gap], list[Arrival]]:
        """Takes what a gateway says it holds; the gaps that this reveals, and batches that are now in order."""
        gaps: list[Gap] = []
        ready: list[Arrival] = []
        for span in spans:
            stream = Stream(ref.community, ref.gateway, span.epoch, span.lane)
            expected = self._next.get(stream)
            if expected is not None and span.last + 1 < expected:
                gaps.append(Gap(stream, span.last + 1, expected - 1, ROLLED_BACK))
            elif expected is None or expected < span.first:
                if span.first > 1:
                    gaps.append(Gap(stream, expected or 1, span.first - 1, UNKNOWN))
                self._next[stream] = span.first
                ready += self._drain(stream)
        return gaps, ready

    def _drain(self, stream: Stream) -> list[Arrival]:
        held = self._held.get(stream, {})
        for seq in [seq for seq in held if seq < self._next[stream]]:
            del held[seq]
        first = held.pop(self._next[stream], None)
        return self.push(first)[1] if first is not None else []
