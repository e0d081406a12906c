"""Pieces of sentences that alerts and work orders share. Pure."""

from datetime import UTC, datetime, timedelta, timezone

from telemetry.presence import Words

DRILL = "【演练 DRILL】"
"""Stands first in everything that people read of what is raised in a drill."""

_CHINA = timezone(timedelta(hours=8))
_START = datetime(1970, 1, 1, tzinfo=UTC)


def local(at: int) -> str:
    return (_START + timedelta(microseconds=at)).astimezone(_CHINA).strftime("%m-%d %H:%M:%S")


def either(words: Words) -> str:
    return flat(words.zh or words.en)


def both(words: Words) -> str:
    return " ".join(flat(text) for text in (words.zh, words.en) if text)


def flat(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
