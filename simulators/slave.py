"""The answering side of Modbus without any connection: requests in, answers out, for RTU and TCP framing.

1. Reads only (functions 1 to 4): any other function is answered with exception 1, and nothing is ever changed.
2. A frame with a wrong checksum, for a unit that is not there, for everybody (unit 0 on a line) or for a silent unit
   gets no answer.
3. What is buffered is bounded: noise that never becomes a frame is thrown away.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Protocol

from device_profiles import Table

READS = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
_LIMITS = {Table.COIL: 2000, Table.DISCRETE: 2000, Table.HOLDING: 125, Table.INPUT: 125}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
_MAX_FRAME = 260


class Refused(Exception):
    """The unit answers with a Modbus exception."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}")


class Silent(Exception):
    """The unit does not answer."""


class Unit(Protocol):
    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Registers, or 0 and 1 for bits. Raises ``Refused`` or ``Silent``."""


def answer(unit: Unit, request: bytes) -> bytes | None:
    """The answer to a request, both without framing; None for silence."""
    function = request[0] if request else 0
    try:
        return _read(unit, function, request)
    except Refused as refused:
        return bytes((function | 0x80, refused.code))
    except Silent:
        return None


def _read(unit: Unit, function: int, request: bytes) -> bytes:
    if function not in READS:
        unit.words(Table.HOLDING, 0, 0)  # a silent unit is silent to this too
        raise Refused(ILLEGAL_FUNCTION)
    if len(request) != 5:
        raise Refused(ILLEGAL_VALUE)
    table = READS[function]
    address, count = struct.unpack(">HH", request[1:])
    if not 1 <= count <= _LIMITS[table]:
        raise Refused(ILLEGAL_VALUE)
    words = unit.words(table, address, count)
    body = _bits(words) if table in (Table.COIL, Table.DISCRETE) else struct.pack(f">{count}H", *words)
    return bytes((function, len(body))) + body


def _bits(values: tuple[int, ...]) -> bytes:
    whole = sum(1 << place for place, value in enumerate(values) if value)
    return whole.to_bytes((len(values) + 7) // 8, "little")


def crc(frame: bytes) -> bytes:
    """The checksum of Modbus RTU, as it stands on the wire (low byte first)."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class RtuLine:
    """All units of one serial line. ``receive`` takes bytes as they come and yields answers ready for the wire."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._buffer = b""

    def pause(self) -> None:
        """The line has been quiet: what has not become a frame never will."""
        self._buffer = b""

    def receive(self, chunk: bytes) -> Iterator[bytes]:
        self._buffer = (self._buffer + chunk)[-_MAX_FRAME:]
        while frame := self._next_frame():
            unit = self._units.get(frame[0])
            reply = answer(unit, frame[1:-2]) if unit is not None and frame[0] else None
            if reply is not None:
                whole = frame[:1] + reply
                yield whole + crc(whole)

    def _next_frame(self) -> bytes | None:
        """The first sound frame in the buffer, which it leaves together with the noise in front of it."""
        for start in range(len(self._buffer) - 3):
            for length in _lengths(self._buffer[start:]):
                frame = self._buffer[start : start + length]
                if len(frame) == length and crc(frame[:-2]) == frame[-2:]:
                    self._buffer = self._buffer[start + length :]
                    return frame
        return None


def _lengths(frame: bytes) -> tuple[int, ...]:
    """How long a request that begins like this may be, with its checksum."""
    match frame[1]:
        case 1 | 2 | 3 | 4 | 5 | 6:
            return (8,)
        case 15 | 16 if len(frame) > 6:
            return (9 + frame[6],)
        case 7 | 11 | 12 | 17:
            return (4,)
    return ()


class TcpConnection:
    """One connection to a TCP end, and the same bounds; ``closed`` once the peer has spoken nonsense."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._buffer = b""
        self.closed = False

    def receive(self, chunk: bytes) -> Iterator[bytes]:
        self._buffer += chunk
        while not self.closed and len(self._buffer) >= 8:
            transaction, protocol, length, unit_id = struct.unpack(">HHHB", self._buffer[:7])
            if protocol or not 2 <= length <= _MAX_FRAME - 6:
                self.closed = True
                return
            if len(self._buffer) < 6 + length:
                return
            request, self._buffer = self._buffer[7 : 6 + length], self._buffer[6 + length :]
            unit = self._units.get(unit_id)
            reply = answer(unit, request) if unit is not None else None
            if reply is not None:
                yield struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit_id) + reply
