"""What came of an attempt to tell somebody."""

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import NamedTuple, Protocol

from ingest.notify.outbox import Notice


class Fate(StrEnum):
    """``ENOUGH``: the channel wants a rest. ``GONE``: the receiver wants nothing from us any more, ever."""

    SENT = auto()
    FAILED = auto()
    ENOUGH = auto()
    GONE = auto()


class Verdict(NamedTuple):
    """``rest_s``: nothing before so many seconds. ``reason`` holds no secret: people read it."""

    fate: Fate
    reason: str = ""
    rest_s: float = 0.0


SENT = Verdict(Fate.SENT)


def failed(reason: str) -> Verdict:
    return Verdict(Fate.FAILED, reason)


class Sender(Protocol):
    """One way to tell somebody. It ends within ``LONGEST_S`` and raises nothing that it expects."""

    @property
    def most(self) -> int:
        """How many notices one message may tell of."""

    async def send(self, notices: Sequence[Notice]) -> Verdict: ...
