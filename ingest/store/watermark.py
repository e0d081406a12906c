"""Which arrivals are new to a store, by its watermark: pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ingest.arrival import Arrival
from telemetry.identity import Stream


class Fresh(NamedTuple):
    """Arrivals to store, in the order of their streams, and the marks that hold once they are durable."""

    arrivals: tuple[Arrival, ...]
    marks: dict[Stream, int]


def fresh(arrivals: Iterable[Arrival], marks: Mapping[Stream, int]) -> Fresh:
    """Those of ``arrivals`` that continue their stream without a gap; what was seen, or lies beyond a gap, is left out."""
    taken: list[Arrival] = []
    moved: dict[Stream, int] = {}
    for arrival in sorted(arrivals, key=_seq):
        expected = moved.get(arrival.stream, marks.get(arrival.stream, 0)) + 1
        if arrival.seq == expected:
            taken.append(arrival)
            moved[arrival.stream] = arrival.seq
    return Fresh(tuple(taken), moved)


def _seq(arrival: Arrival) -> int:
    return arrival.seq
