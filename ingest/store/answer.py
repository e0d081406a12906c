"""What an answer of a line protocol server means for the lines that were sent: pure.

Sources: InfluxDB 1.6.7 and VictoriaMetrics 1.79 as tried, the API references of InfluxDB 1.x, 2.x and 3.x.
"""

from enum import Enum
from typing import NamedTuple

import msgspec

MAX_REASON = 256

_PERMANENT = ("partial write", "unable to parse", "field type conflict", "points beyond retention policy")


class Meaning(Enum):
    """``SPLIT``: something in it is bad for good, halve it to find out what. ``LATER``: the same may succeed later."""

    STORED = "stored"
    SPLIT = "split"
    LATER = "later"


class Verdict(NamedTuple):
    meaning: Meaning
    reason: str = ""


def verdict(status: int, body: bytes) -> Verdict:
    """The meaning of a status and its body. What a person must put right first (credentials, limits, no database) is LATER:
    the readings are sound and nothing of them may be thrown away."""
    said = _said(body)
    if 200 <= status < 300:
        return Verdict(Meaning.STORED)
    if status in (401, 403):
        return Verdict(Meaning.LATER, f"the server refuses our credentials: {said}")
    if "limit exceeded" in said:
        return Verdict(Meaning.LATER, f"the server is at its limit: {said}")
    if status in (400, 413, 422) or (status >= 500 and any(words in said for words in _PERMANENT)):
        return Verdict(Meaning.SPLIT, said or f"status {status}")
    return Verdict(Meaning.LATER, f"status {status}: {said}")


def _said(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=dict[str, object]).get("error") or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = body.decode(errors="replace")
    return str(error).strip()[:MAX_REASON]
