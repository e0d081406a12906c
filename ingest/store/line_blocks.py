"""Batches as blocks of lines, each ready to be sent: pure.

1. A block has at most ``MAX_LINES`` lines, and at most as many bytes as the server takes, unless a single line is longer.
2. Readings that no store may take come back as refusals; all others are in a block, in the order of their batches.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

from ingest.arrival import Arrival
from ingest.store import line_protocol
from ingest.store.facts import body_of, why_unsound
from ingest.store.line_server import deflated
from ingest.store.line_writer import Line, Origin
from ingest.store.protocol import Refusal

MAX_LINES = 5_000


class Block(list[Line]):
    """The lines of one request, and its body; what is cut out of it is a list without."""

    body = b""


def blocks(
    arrivals: Iterable[Arrival], numbers_only: bool, max_bytes: Callable[[], int], refusals: list[Refusal]
) -> Iterator[Block]:
    """``max_bytes`` is asked before each block: what a server takes is learned on the way."""
    waiting: list[Line] = []
    for arrival in arrivals:
        waiting += _lines(arrival, numbers_only, refusals)
        while len(waiting) >= MAX_LINES:
            yield from _cut(waiting[:MAX_LINES], max_bytes)
            del waiting[:MAX_LINES]
    if waiting:
        yield from _cut(waiting, max_bytes)


def body_of_lines(lines: Sequence[Line]) -> bytes:
    return deflated(_joined(lines))


def _cut(lines: Sequence[Line], max_bytes: Callable[[], int]) -> Iterator[Block]:
    joined = _joined(lines)
    if len(joined) > max_bytes() and len(lines) > 1:
        middle = len(lines) // 2
        yield from _cut(lines[:middle], max_bytes)
        yield from _cut(lines[middle:], max_bytes)
    else:
        block = Block(lines)
        block.body = deflated(joined)
        yield block


def _joined(lines: Sequence[Line]) -> bytes:
    return "\n".join([line.text for line in lines]).encode()


def _lines(arrival: Arrival, numbers_only: bool, refusals: list[Refusal]) -> Iterable[Line]:
    """The lines of all sound readings; the others go to ``refusals``."""
    stream, seq, ref = arrival.stream, arrival.seq, arrival.stream.ref
    tails = line_protocol.NUMBER_TAILS if numbers_only else line_protocol.TEXT_TAILS
    if arrival.checked and (texts := line_protocol.lines_of_floats(ref, arrival.readings, tails)):
        return map(Line, texts, map(Origin, repeat(stream), repeat(seq), arrival.readings))
    encode = line_protocol.numeric_line if numbers_only else line_protocol.line
    lines: list[Line] = []
    for reading in arrival.readings:
        text = line_protocol.plain_line(ref, reading, tails)
        if not text and (reason := why_unsound(reading)):
            refusals.append(Refusal(stream, seq, body_of(reading), reason))
        else:
            lines.append(Line(text or encode(ref, reading), Origin(stream, seq, reading)))
    return lines
