"""MQTT 3.1.1 and 5 packets, as far as a client needs them that reads much and says little: sans-IO.

1. ``Packets.feed`` takes bytes however they were cut and gives whole packets in order.
2. Bounded: of a packet over ``MAX_PACKET`` bytes only the beginning is kept; the rest is passed over as it comes.
3. What is no MQTT raises ``BrokerUnavailable``: the connection is of no more use.

Why not a library: docs/decisions/0008-the-centre-reads-mqtt-itself.md
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from telemetry.errors import BrokerUnavailable

MAX_PACKET = (1 << 20) + (1 << 16)
"""A batch of the largest size with the longest topic."""

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
_RECEIVE_MAXIMUM = 0x21
_SERVER_KEEPALIVE = 0x13
_SIZES = {1: 1, 2: 4, 11: 0, 17: 4, 19: 2, 23: 1, 24: 4, 25: 1, 33: 2, 34: 2, 35: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1}
"""Bytes of each property of MQTT 5 whose size is fixed; 0: a variable integer. All others begin with their length."""
_PAIR = 38


class Kind(IntEnum):
    """The types of packets that a broker sends."""

    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBACK = 9
    PINGRESP = 13
    DISCONNECT = 14


class Publish(NamedTuple):
    """A message; ``mid`` is 0 at QoS 0. ``retained``: the broker kept it, it was not said just now."""

    topic: bytes
    payload: bytes
    mid: int
    retained: bool = False


class Control(NamedTuple):
    """Any other packet; ``body`` is what follows its length."""

    kind: Kind
    body: bytes


class Connack(NamedTuple):
    """``code`` 0: accepted. ``receive_maximum``: so many messages of ours may wait for their acknowledgement."""

    code: int
    receive_maximum: int
    keepalive_s: int | None


class Packets:
    """Bytes in, packets out."""

    def __init__(self, *, v5: bool) -> None:
        self._v5 = v5
        self._rest = b""
        self._passing_over = 0

    def feed(self, chunk: bytes) -> Iterator[Publish | Control]:
        if self._passing_over:
            passed = min(self._passing_over, len(chunk))
            self._passing_over -= passed
            chunk = chunk[passed:]
        buffer = self._rest + chunk if self._rest else chunk
        at, end = 0, len(buffer)
        while end - at >= 2:
            length, body = buffer[at + 1], at + 2
            if length & 0x80:
                length, body = _varint(buffer, at + 1)
                if not body:
                    break
            after = body + length
            if length > MAX_PACKET and end - body >= MAX_PACKET:
                self._passing_over, after = max(0, after - end), min(after, end)
                yield self._packet(buffer[at], buffer, body, body + MAX_PACKET)
            elif after > end:
                break
            else:
                yield self._packet(buffer[at], buffer, body, after)
            at = after
        self._rest = buffer[at:] if at else buffer

    def _packet(self, first: int, buffer: bytes, at: int, after: int) -> Publish | Control:
        try:
            if first >> 4 == Kind.PUBLISH:
                return self._publish(first, buffer, at, after)
            return Control(Kind(first >> 4), buffer[at:after])
        except (ValueError, IndexError) as error:
            raise BrokerUnavailable(f"the broker sent no MQTT: a packet that begins with 0x{first:02x}") from error

    def _publish(self, first: int, buffer: bytes, at: int, after: int) -> Publish:
        end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
        topic, mid = buffer[at + 2 : end], 0
        if first & 6:
            mid = buffer[end] << 8 | buffer[end + 1]
            end += 2
        if self._v5:
            length, behind = _varint(buffer, end)
            end = behind + length if behind else after + 1
        if end > after:
            raise ValueError("a head longer than its packet")
        return Publish(topic, buffer[end:after], mid, bool(first & 1))


def connect(identifier: str, user: str, password: str | None, keepalive_s: int, *, v5: bool, receive_maximum: int) -> bytes:
    """A session that ends with its connection."""
    flags = 0x02 | (0x80 if user else 0) | (0x40 if password is not None else 0)
    properties = bytes([5 + 3]) + b"\x27" + (MAX_PACKET + 16).to_bytes(4) + b"\x21" + receive_maximum.to_bytes(2) if v5 else b""
    header = _text("MQTT") + bytes([5 if v5 else 4, flags]) + keepalive_s.to_bytes(2) + properties
    login = (_text(user) if user else b"") + (_text(password) if password is not None else b"")
    return _packet(0x10, header + _text(identifier) + login)


def connack(body: bytes, *, v5: bool) -> Connack:
    """Raises ``BrokerUnavailable``."""
    try:
        properties = dict(_properties(body, 2)) if v5 else {}
        return Connack(body[1], properties.get(_RECEIVE_MAXIMUM, 65_535), properties.get(_SERVER_KEEPALIVE))
    except (IndexError, ValueError) as error:
        raise BrokerUnavailable("the broker's first word is no MQTT") from error


def subscribe(mid: int, filters: Sequence[str], qos: int, *, v5: bool) -> bytes:
    wanted = b"".join(_text(name) + bytes([qos]) for name in filters)
    return _packet(0x82, mid.to_bytes(2) + (b"\0" if v5 else b"") + wanted)


def refused(body: bytes, count: int) -> bool:
    """Whether a SUBACK refuses any of ``count`` filters."""
    return any(code >= 0x80 for code in body[-count:])


def publish(topic: str, payload: bytes, mid: int, *, retain: bool, v5: bool) -> bytes:
    """At QoS 1, or at QoS 0 when ``mid`` is 0."""
    number = mid.to_bytes(2) if mid else b""
    return _packet(0x30 | (2 if mid else 0) | retain, _text(topic) + number + (b"\0" if v5 else b"") + payload)


def puback(mid: int) -> bytes:
    return b"\x40\x02" + mid.to_bytes(2)


def _packet(first: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first]) + digits + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2) + encoded


def _varint(buffer: bytes, at: int) -> tuple[int, int]:
    """The variable integer at ``at`` and where it ends; where it ends is 0 while it is not whole."""
    value = 0
    for place, digit in enumerate(buffer[at : at + 4]):
        value |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            return value, at + place + 1
    if len(buffer) - at >= 4:
        raise BrokerUnavailable("the broker sent no MQTT: a length of more than four bytes")
    return 0, 0


def _properties(body: bytes, at: int) -> Iterator[tuple[int, int]]:
    """The properties of fixed size; the others are passed over."""
    length, at = _varint(body, at)
    end = at + length
    while at < end:
        identifier, at = body[at], at + 1
        if (size := _SIZES.get(identifier)) is None:
            for _ in range(2 if identifier == _PAIR else 1):
                at += 2 + int.from_bytes(body[at : at + 2])
        elif size:
            yield identifier, int.from_bytes(body[at : at + size])
            at += size
        else:
            _, at = _varint(body, at)
