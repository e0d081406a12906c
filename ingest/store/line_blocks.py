"""Batches as blocks of lines, each ready to be sent: pure.

1. A block has at most ``MAX_LINES`` lines, and at most as many bytes as the server takes, unless a single line is longer.
2. Readings that no store may take come back as refusals; all others are in a block, in the order of their batches.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple, overload

from ingest.arrival import Arrival
from ingest.store import line_protocol
from ingest.store.facts import body_of, why_unsound
from ingest.store.line_writer import Line, Origin
from ingest.store.protocol import Refusal
from telemetry.reading import Reading

MAX_LINES = 10_000
"""A request costs the centre as much as some hundred lines, and a server that finds fault with one line is asked once more
for each doubling."""

Pack = Callable[[bytes], bytes]
"""Makes a body of lines: deflates them, or not."""


class Piece(NamedTuple):
    """Readings of one batch, and the line of each."""

    arrival: Arrival
    readings: Sequence[Reading]
    texts: Sequence[str]

    def between(self, start: int, end: int | None) -> "Piece":
        return Piece(self.arrival, self.readings[start:end], self.texts[start:end])


class Block(Sequence[Line]):
    """The lines of one request, and its ``body``; what is cut out of it is a list without.

    Each line with its origin is made when somebody looks: servers find fault with few.
    """

    def __init__(self, pieces: Sequence[Piece], body: bytes) -> None:
        self.body = body
        self._pieces = pieces
        self._length = _count(pieces)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Line: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Line]: ...
    def __getitem__(self, place: int | slice) -> Line | Sequence[Line]:
        return self._lines[place]

    @cached_property
    def _lines(self) -> list[Line]:
        return [
            Line(text, Origin(arrival.stream, arrival.seq, reading))
            for arrival, readings, texts in self._pieces
            for reading, text in zip(readings, texts, strict=True)
        ]


class Encoded(NamedTuple):
    """What arrivals came to: blocks to send, and what no store may take."""

    blocks: Sequence[Block]
    refusals: Sequence[Refusal]


def encoded(arrivals: Iterable[Arrival], numbers_only: bool, max_bytes: int, pack: Pack) -> Encoded:
    refusals: list[Refusal] = []
    return Encoded(list(_blocks(arrivals, numbers_only, max_bytes, pack, refusals)), refusals)


def body_of_lines(lines: Iterable[Line], pack: Pack) -> bytes:
    return pack(_joined(line.text for line in lines))


def _blocks(
    arrivals: Iterable[Arrival], numbers_only: bool, max_bytes: int, pack: Pack, refusals: list[Refusal]
) -> Iterator[Block]:
    waiting: list[Piece] = []
    count = 0
    for arrival in arrivals:
        waiting.append(piece := _piece(arrival, numbers_only, refusals))
        count += len(piece.texts)
        while count >= MAX_LINES:
            first, waiting = _parted(waiting, MAX_LINES)
            count -= MAX_LINES
            yield from _cut(first, max_bytes, pack)
    if count:
        yield from _cut(waiting, max_bytes, pack)


def _cut(pieces: Sequence[Piece], max_bytes: int, pack: Pack) -> Iterator[Block]:
    joined, count = _joined(chain.from_iterable([piece.texts for piece in pieces])), _count(pieces)
    if len(joined) > max_bytes and count > 1:
        for half in _parted(pieces, count // 2):
            yield from _cut(half, max_bytes, pack)
    else:
        yield Block(pieces, pack(joined))


def _parted(pieces: Sequence[Piece], count: int) -> tuple[list[Piece], list[Piece]]:
    """The first ``count`` lines, and the others."""
    first: list[Piece] = []
    for place, piece in enumerate(pieces):
        if len(piece.texts) > count:
            return [*first, piece.between(0, count)], [piece.between(count, None), *pieces[place + 1 :]]
        first.append(piece)
        count -= len(piece.texts)
    return first, []


def _count(pieces: Iterable[Piece]) -> int:
    return sum(len(piece.texts) for piece in pieces)


def _joined(texts: Iterable[str]) -> bytes:
    return "\n".join(texts).encode()


def _piece(arrival: Arrival, numbers_only: bool, refusals: list[Refusal]) -> Piece:
    """The lines of all sound readings; the others go to ``refusals``."""
    ref = arrival.stream.ref
    tails = line_protocol.NUMBER_TAILS if numbers_only else line_protocol.TEXT_TAILS
    if arrival.checked and (texts := line_protocol.lines_of_floats(ref, arrival.readings, tails)):
        return Piece(arrival, arrival.readings, texts)
    encode = line_protocol.numeric_line if numbers_only else line_protocol.line
    sound: list[Reading] = []
    texts = []
    for reading in arrival.readings:
        text = line_protocol.plain_line(ref, reading, tails)
        if not text and (reason := why_unsound(reading)):
            refusals.append(Refusal(arrival.stream, arrival.seq, body_of(reading), reason))
        else:
            sound.append(reading)
            texts.append(text or encode(ref, reading))
    return Piece(arrival, sound, texts)
