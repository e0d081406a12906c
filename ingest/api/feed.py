"""Who waits for changes of alerts, and how they are woken.

1. ``beat`` never waits for a reader: a reader is only woken, and asks for what is new when it is ready.
2. Bounded: so many readers of one token, so many in all; one more is refused.
3. ``close`` ends every reader's wait, so that the program can end.

All of it belongs to one event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

READERS_OF_ONE = 8
READERS = 256


class FeedFull(Exception):
    """So many readers are there already."""


class Feed:
    def __init__(self) -> None:
        self._readers: dict[asyncio.Event, str] = {}
        self.closed = False

    def beat(self) -> None:
        """Something has changed."""
        for reader in self._readers:
            reader.set()

    def close(self) -> None:
        self.closed = True
        self.beat()

    @contextmanager
    def reader(self, whose: str) -> Iterator[asyncio.Event]:
        """An event that is set at every change; its holder clears it. Raises ``FeedFull``."""
        if len(self._readers) >= READERS or Counter(self._readers.values())[whose] >= READERS_OF_ONE:
            raise FeedFull
        woken = asyncio.Event()
        self._readers[woken] = whose
        try:
            yield woken
        finally:
            del self._readers[woken]
