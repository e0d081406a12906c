"""What a device broker delivered and nobody has looked at yet: bounded, in the order it came.

1. At most ``MESSAGES`` messages and ``BYTES`` bytes wait. From half of that on it is ``crowded``: who fills it stops reading, and
   goes on when it is neither crowded nor ``behind``, so that the two do not take turns at every message.
2. Nothing is ever left out: when a message does not fit all the same, the inbox is ``overrun`` and the connection must be given
   up, so that the broker delivers again what was not acknowledged.
3. A payload over ``PAYLOAD_BYTES`` is not kept, only the message around it.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from paho.mqtt.client import MQTTMessage

MESSAGES = 2_000
BYTES = 16 << 20
PAYLOAD_BYTES = 1 << 20
BEHIND = 200
"""More than this wait at once only when they come faster than they can be dealt with."""


class Delivery(NamedTuple):
    """One message as it came. ``payload`` is ``None`` when it was too large, ``topic`` empty when it is not UTF-8.

    ``mid`` and ``qos`` are what an acknowledgement needs; ``arrived_at`` in UTC microseconds.
    """

    topic: str
    payload: bytes | None
    retained: bool
    mid: int
    qos: int
    arrived_at: int


def delivery(message: MQTTMessage, arrived_at: int) -> Delivery:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = ""
    payload = bytes(message.payload) if len(message.payload) <= PAYLOAD_BYTES else None
    return Delivery(topic, payload, message.retain, message.mid, message.qos, arrived_at)


class Inbox:
    """See the module. One producer, one consumer, one event loop."""

    def __init__(self, messages: int = MESSAGES, bytes_: int = BYTES) -> None:
        self.overrun = False
        self._messages = messages
        self._bytes = bytes_
        self._size = 0
        self._waiting: deque[Delivery] = deque()
        self._news = asyncio.Event()

    def put(self, delivered: Delivery) -> None:
        size = len(delivered.payload or b"")
        self.overrun = self.overrun or len(self._waiting) >= self._messages or self._size + size > self._bytes
        if not self.overrun:
            self._size += size
            self._waiting.append(delivered)
        self._news.set()

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) >= BEHIND

    @property
    def is_crowded(self) -> bool:
        """Half full: time to stop reading, while what is on its way still fits."""
        return len(self._waiting) * 2 >= self._messages or self._size * 2 >= self._bytes

    def wake(self) -> None:
        """Ends a wait of the consumer although nothing came."""
        self._news.set()

    async def news(self) -> None:
        """Until something came since the last ``take`` found nothing, or ``wake`` was called."""
        await self._news.wait()

    def take(self) -> Delivery | None:
        if not self._waiting:
            self._news.clear()
            return None
        delivered = self._waiting.popleft()
        self._size -= len(delivered.payload or b"")
        return delivered
