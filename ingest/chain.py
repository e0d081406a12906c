"""Journals chained by hashes: append-only tables that show it when somebody rewrote them.

Each line's digest covers the line and the digest before it: a line that is changed, taken out, put in or moved breaks the chain
there and for ever after. A chain cannot tell that its end is missing; what the newest lines must agree with can.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import sqlalchemy as sa

from ingest.database import Database

START = "0" * 64
"""What stands before the first line."""


class Chained(Protocol):
    """A tuple whose first field is ``seq``, the database's own and not covered; its last ones are ``before`` and ``digest``."""

    @property
    def seq(self) -> int: ...

    @property
    def before(self) -> str: ...

    @property
    def digest(self) -> str: ...

    def __getitem__(self, key: slice, /) -> tuple[Any, ...]: ...


class Broken(NamedTuple):
    seq: int
    reason: str


class Checked(NamedTuple):
    """What a check of a journal found: so many ``lines`` as they were written, up to ``head``, the digest of the last of them.
    Noted elsewhere, it shows later whether everything up to it still stands."""

    lines: int
    head: str
    broken: Broken | None


def digest(line: Chained) -> str:
    """What the line's digest must be."""
    return hashlib.sha256(msgspec.json.encode(line[1:-1])).hexdigest()


def followed(lines: Iterable[Chained], before: str) -> Checked:
    """How far a run of lines, the first after the digest ``before``, is what was written."""
    count = 0
    for line in lines:
        if line.before != before:
            return Checked(count, before, Broken(line.seq, "a line before it is missing, or it was put in"))
        if line.digest != digest(line):
            return Checked(count, before, Broken(line.seq, "it was changed"))
        before, count = line.digest, count + 1
    return Checked(count, before, None)


async def checked(
    database: Database,
    run_after: Callable[[int], Callable[[sa.Connection], Sequence[Chained]]],
    stray: Callable[[sa.Connection], Broken | None],
) -> Checked:
    """Whether a journal is what was written.

    ``run_after`` reads the next lines after a ``seq``, in their order; ``stray`` finds what does not agree with the newest ones.
    """
    lines, head, after = 0, START, 0
    while True:
        run = await database.read(run_after(after))
        more, head, broken = followed(run, head)
        lines += more
        if broken is not None:
            return Checked(lines, head, broken)
        if not run:
            return Checked(lines, head, await database.read(stray))
        after = run[-1].seq
