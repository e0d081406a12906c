"""The journal of work orders: who did what when and why, and the case as it then was. Append-only, chained by hashes. Pure.

1. Each line's digest covers the line and the digest before it: a line that is changed, taken out, put in or moved breaks the
   chain there and for ever after.
2. A line holds the whole case after its change: what the desk could know at any instant is in the journal alone.

A chain cannot tell that its end is missing; the versions of the work orders, which the journal's last lines must reach, can.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

START = "0" * 64


class Line(NamedTuple):
    """``event_at`` is when it happened, ``known_at`` when it was entered; ``details`` is the move and ``body`` the case after it,
    both JSON."""

    seq: int
    case: str
    version: int
    action: str
    event_at: int
    known_at: int
    token: str
    person: str
    role: str
    unit: str
    reason: str
    details: bytes
    body: bytes
    before: str
    digest: str


def digest(line: Line) -> str:
    """What the line's digest must be; ``seq`` is the database's own and not covered."""
    return hashlib.sha256(msgspec.json.encode(line[1:-1])).hexdigest()


class Broken(NamedTuple):
    seq: int
    reason: str


def first_break(lines: Iterable[Line], before: str) -> Broken | None:
    """Where a run of lines, the first after the digest ``before``, is not what was written."""
    for line in lines:
        if line.before != before:
            return Broken(line.seq, "a line before it is missing, or it was put in")
        if line.digest != digest(line):
            return Broken(line.seq, "it was changed")
        before = line.digest
    return None
