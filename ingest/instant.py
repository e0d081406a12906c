"""Instants as people and JSON see them: RFC 3339 in UTC with microseconds; inside they are integer microseconds.

``text`` and ``parse`` are inverse. An instant without an offset is refused: "08:00" means two things in one house.
"""

import re
from datetime import UTC, datetime, timedelta

from telemetry.reading import Micros

CURE = "write 2026-11-23T08:00:00Z, 2026-11-23T16:00:00+08:00 or 16 digits of microseconds since 1970"

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = re.compile("[0-9]{16}")
_UNESCAPED_OFFSET = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})")


def text(at: int) -> str:
    """``2026-11-23T08:00:00.123456Z`` of microseconds since 1970."""
    return (_START + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(written: str) -> Micros:
    """Microseconds since 1970. Raises ``ValueError`` that names the cure.

    A blank before the offset is read as ``+``: that is what an unescaped plus becomes in a query.
    """
    if _MICROS.fullmatch(written):
        return Micros(int(written))
    try:
        at = datetime.fromisoformat(_UNESCAPED_OFFSET.sub(r"\1+\2", written))
        if at.tzinfo is None:
            raise ValueError("it has no offset")
        return Micros((at - _START) // timedelta(microseconds=1))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{written[:40]!r} is not an instant; {CURE}") from error
