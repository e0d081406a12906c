"""Writes blocks of lines and copes with whatever the server answers.

1. A line is refused only when the server names it, says that it dropped all, or refuses it when it is sent alone.
2. Everything else is kept: the write raises ``StoreUnavailable``, and the same lines are written again later.
3. A server error that never passes is searched for the lines that cause it; a line is refused for it only while the server
   takes another.
4. A body that is too large, or that the server hangs up on, is sent in smaller ones; what was learned holds for the next.
5. A server that asks for rest, or refuses our credentials, is left alone for a while; nothing waits longer than
   ``answer.MAX_WAIT_S``.

Sending a line twice is harmless, so halving may send again what was taken.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from ingest.store.answer import Meaning, Verdict
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.reading import Reading

MAX_BYTES = 4_000_000
"""Less than half of what any of the servers takes at once (InfluxDB 3: 10 MiB)."""

LEAST_BYTES = 64_000
"""A body of this size is not what a server hangs up on, and a line beyond it is no reading of ours."""

DENIED_REST_S = 30.0
FAULTS_BEFORE_DOUBT = 5
ABREAST = 2
"""Blocks on their way together: the server works at one while the other comes in."""

_COMPARED = 40


class Origin(NamedTuple):
    """The reading of a line, and the batch it came in."""

    stream: Stream
    seq: int
    reading: Reading


class Line(NamedTuple):
    """One line, without its newline; one that Linli computed itself has no origin."""

    text: str
    origin: Origin | None = None


class Refused(NamedTuple):
    line: Line
    reason: str


class LineWriter:
    """``send`` posts lines and says what the answer means; ``clock`` counts seconds and never goes back."""

    def __init__(self, name: str, send: Callable[[Sequence[Line]], Awaitable[Verdict]], clock: Callable[[], float]) -> None:
        self.max_bytes = MAX_BYTES
        self._name = name
        self._send = send
        self._clock = clock
        self._rest_until = 0.0
        self._rest_for = ""
        self._faulty = ""
        self._faults = 0
        self._abreast = ABREAST

    def check_rest(self) -> None:
        """Raises ``StoreUnavailable`` while the server is not to be asked."""
        left = self._rest_until - self._clock()
        if left > 0:
            raise StoreUnavailable(f"{self._name}: {self._rest_for} (asked again in {left:.0f} s)")

    def rest(self, found: Verdict) -> None:
        """Leaves the server alone for as long as its answer calls for."""
        wait_s = DENIED_REST_S if found.meaning is Meaning.DENIED else found.wait_s
        self._rest_until, self._rest_for = self._clock() + wait_s, found.reason

    async def write(self, lines: Sequence[Line]) -> list[Refused]:
        """The lines that the server will never take; the others are stored. Raises ``StoreUnavailable``."""
        self.check_rest()
        return await self._settle(lines)

    async def write_all(self, blocks: Sequence[Sequence[Line]]) -> list[Refused]:
        """The same of many blocks. After one that was not taken they go one by one, until all of some write were."""
        refused: list[Refused] = []
        under_way: deque[asyncio.Task[list[Refused]]] = deque()
        abreast, self._abreast = self._abreast, 1
        try:
            for block in blocks:
                if len(under_way) == abreast:
                    refused += await under_way.popleft()
                under_way.append(asyncio.create_task(self.write(block)))
            while under_way:
                refused += await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        self._abreast = ABREAST
        return refused

    async def _settle(self, lines: Sequence[Line]) -> list[Refused]:
        found = await self._send(lines)
        if found.meaning is Meaning.CUT and size_of(lines) > LEAST_BYTES:
            found = await self._send(lines)
        match found.meaning:
            case Meaning.STORED:
                return []
            case Meaning.BAD:
                return await self._sifted(lines, found)
            case Meaning.LARGE | Meaning.CUT if size_of(lines) > LEAST_BYTES:
                return await self._in_smaller(lines, found)
            case Meaning.FAULT if self._doubted(lines):
                return await _Search(self._send, self._given_up, lines).run(found)
            case _:
                raise self._given_up(found)

    async def _sifted(self, lines: Sequence[Line], found: Verdict) -> list[Refused]:
        """Some of the lines are bad for good. The server may have named a part of them only, so the rest is sent again."""
        if found.dropped == len(lines) or len(lines) == 1:
            return [Refused(line, found.reason) for line in lines]
        if named := _named(lines, found):
            rest = [line for place, line in enumerate(lines) if place not in named]
            refused = [Refused(lines[place], reason) for place, reason in named.items()]
            return refused + (await self._settle(rest) if rest else [])
        middle = len(lines) // 2
        return await self._settle(lines[:middle]) + await self._settle(lines[middle:])

    async def _in_smaller(self, lines: Sequence[Line], found: Verdict) -> list[Refused]:
        if len(lines) == 1:
            return [Refused(lines[0], found.reason)]
        size = size_of(lines)
        self.max_bytes = max(LEAST_BYTES, min(self.max_bytes, size // 2))
        half = _half(lines, size)
        return await self._settle(lines[:half]) + await self._settle(lines[half:])

    def _doubted(self, lines: Sequence[Line]) -> bool:
        """Whether the server failed at these lines so often that one of them may be the cause."""
        self._faults = self._faults % FAULTS_BEFORE_DOUBT + 1 if lines[0].text == self._faulty else 1
        self._faulty = lines[0].text
        return self._faults == FAULTS_BEFORE_DOUBT

    def _given_up(self, found: Verdict) -> StoreUnavailable:
        self.rest(found)
        return StoreUnavailable(f"{self._name}: {found.reason}")


class _Search:
    """Finds the lines for which a server fails, as long as it takes others."""

    def __init__(
        self,
        send: Callable[[Sequence[Line]], Awaitable[Verdict]],
        given_up: Callable[[Verdict], StoreUnavailable],
        lines: Sequence[Line],
    ) -> None:
        self._send = send
        self._given_up = given_up
        self._lines = lines
        self._patience = 2 * len(lines).bit_length()
        self._taken: Line | None = None
        self._suspects: list[Line] = []

    async def run(self, found: Verdict) -> list[Refused]:
        if len(self._lines) == 1:
            raise self._given_up(found)  # nothing else shows whether it is the line or the server
        refused = await self._halves(self._lines)
        return refused + [bad for line in self._suspects for bad in await self._convicted(line)]

    async def _halves(self, lines: Sequence[Line]) -> list[Refused]:
        middle = len(lines) // 2
        return await self._part(lines[:middle]) + await self._part(lines[middle:])

    async def _part(self, lines: Sequence[Line]) -> list[Refused]:
        found = await self._send(lines)
        match found.meaning:
            case Meaning.STORED:
                self._taken = lines[0]
                return []
            case Meaning.BAD if len(lines) == 1:
                return [Refused(lines[0], found.reason)]
            case Meaning.BAD | Meaning.FAULT:
                self._patience -= self._taken is None
                if self._patience < 0:
                    raise self._given_up(found)
                if len(lines) > 1:
                    return await self._halves(lines)
                self._suspects.append(lines[0])
                return []
            case _:
                raise self._given_up(found)

    async def _convicted(self, line: Line) -> list[Refused]:
        """A line that fails again while one that was taken is taken again. Raises when the server fails at both."""
        found = await self._send([line])
        if found.meaning is Meaning.STORED:
            return []
        if self._taken is None or (await self._send([self._taken])).meaning is not Meaning.STORED:
            raise self._given_up(found)
        return [Refused(line, found.reason)]


def size_of(lines: Sequence[Line]) -> int:
    """The bytes of the lines with their newlines."""
    return sum(map(bytes_of, lines))


def bytes_of(line: Line) -> int:
    return 1 + (len(line.text) if line.text.isascii() else len(line.text.encode()))


def _named(lines: Sequence[Line], found: Verdict) -> dict[int, str]:
    """Places and reasons of the lines that the answer names; none at all when one of them is not the line it quotes."""
    places: dict[int, str] = {}
    for number, quoted, reason in found.named:
        if not 1 <= number <= len(lines) or not lines[number - 1].text.startswith(quoted.partition(" ")[0][:_COMPARED]):
            return {}
        places[number - 1] = reason
    return places


def _half(lines: Sequence[Line], size: int) -> int:
    """The place that halves the lines by their bytes; at least one line on each side."""
    seen = 0
    for place, line in enumerate(lines[:-1], 1):
        seen += bytes_of(line)
        if 2 * seen >= size:
            return place
    return len(lines) - 1
