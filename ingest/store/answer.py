"""What an answer of a line protocol server means for the lines that were sent: pure.

Sources: InfluxDB 1.6.7 and VictoriaMetrics 1.79 as tried, the API references and sources of InfluxDB 1.x, 2.x and 3.x.

| status | means |
|---|---|
| 2xx | STORED |
| 400, 422; 5xx whose words name lines that will never be taken | BAD: some of the lines, for good |
| 413 | LARGE: take fewer bytes at once |
| 401, 403 | DENIED: a person must put it right, nothing is thrown away |
| 404 | ABSENT: no such database, bucket or endpoint |
| other 5xx | FAULT: usually passes; one that never does may hide a bad line |
| 429, 503, no answer in time, anything else | LATER |
| none: the server broke the connection | CUT: it went away, or hangs up on so large a body |
"""

import email.utils
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

MAX_REASON = 256
MAX_WAIT_S = 300.0

_PERMANENT = (
    "partial write",
    "unable to parse",
    "field type conflict",
    "points beyond retention policy",
    "max series per database",
    "max-series-per-database",
    "max-values-per-tag",
)
_DROPPED = re.compile(r"dropped=(\d+)")


class Meaning(Enum):
    STORED = "stored"
    BAD = "bad"
    LARGE = "large"
    DENIED = "denied"
    ABSENT = "absent"
    FAULT = "fault"
    LATER = "later"
    CUT = "cut"


class Named(NamedTuple):
    """A line that InfluxDB 3 names: its number from 1, how it read it (perhaps cut), and why it did not take it."""

    number: int
    line: str
    reason: str


class Verdict(NamedTuple):
    """``dropped`` is how many lines were surely not taken; ``wait_s`` how long the server asks not to be asked."""

    meaning: Meaning
    reason: str = ""
    named: tuple[Named, ...] = ()
    dropped: int = 0
    wait_s: float = 0.0


def verdict(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Verdict:
    """The meaning of a status, its body and its headers."""
    said = _said(body)
    if 200 <= status < 300:
        return Verdict(Meaning.STORED)
    if status in (400, 422) or (status >= 500 and any(words in said for words in _PERMANENT)):
        return Verdict(Meaning.BAD, said or f"status {status}", tuple(_named(body)), _dropped(said))
    if status == 413:
        return Verdict(Meaning.LARGE, said or "the request is too large")
    if status in (401, 403):
        return Verdict(Meaning.DENIED, f"the server refuses our credentials: {said or f'status {status}'}")
    if status == 404:
        return Verdict(Meaning.ABSENT, said or "status 404")
    if status >= 500 and status not in (502, 503, 504):
        return Verdict(Meaning.FAULT, f"status {status}: {said}")
    return Verdict(Meaning.LATER, f"status {status}: {said}", wait_s=_wait_s(headers or {}))


def _dropped(said: str) -> int:
    """At its limit of series 1.6.7 drops what it would take in smaller portions, so that its number says nothing."""
    found = None if "limit exceeded" in said else _DROPPED.search(said)
    return int(found[1]) if found else 0


def _wait_s(headers: Mapping[str, str]) -> float:
    """``Retry-After`` in seconds, bounded; a date is counted from the answer's own, so that no clock of ours matters."""
    asked = headers.get("Retry-After", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            until, now = (email.utils.parsedate_to_datetime(date) for date in (asked, headers.get("Date", "")))
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(seconds, MAX_WAIT_S) if seconds > 0 else 0.0


def _said(body: bytes) -> str:
    """What the server says in its own words: ``error`` of 1.x and 3.x, ``message`` of 2.x, or plain text."""
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace").strip()[:MAX_REASON]
    return str(found.get("message") or found.get("error") or "").strip()[:MAX_REASON]


class _Line(msgspec.Struct, frozen=True):
    line_number: int
    error_message: str
    original_line: str = ""


class _Lines(msgspec.Struct, frozen=True):
    data: list[_Line] | _Line | None = None


def _named(body: bytes) -> Iterator[Named]:
    try:
        found = msgspec.json.decode(body, type=_Lines).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    for bad in found if isinstance(found, list) else [found] if found else []:
        yield Named(bad.line_number, bad.original_line, bad.error_message[:MAX_REASON])
