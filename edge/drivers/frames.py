"""Which bytes on the wire are the answer to the request before them, and which are not.

An answer must name the unit, the function and the length that were asked for, and on TCP the transaction. Whatever else
arrives (the late answer of another request, noise, half a frame) is passed over and never becomes a value.
"""

import struct
from typing import NamedTuple

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from device_profiles import Table

FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
MBAP_BYTES = 7


class Question(NamedTuple):
    """What was asked for: ``count`` registers or bits of one table of one unit."""

    unit_id: int
    table: Table
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody wants of a question

    @property
    def is_bits(self) -> bool:
        return self.table in (Table.COIL, Table.DISCRETE)

    @property
    def answer_bytes(self) -> int:
        """The bytes of values in the answer."""
        return (self.count + 7) // 8 if self.is_bits else self.count * 2


def answer(question: Question, pdu: bytes) -> ModbusPDU | None:
    """The answer in ``pdu`` (function code first) with the values as ``registers``, or ``None`` when it is of something else."""
    function = FUNCTION[question.table]
    if len(pdu) == 2 and pdu[0] == function | 0x80:
        return ExceptionResponse(function, pdu[1], question.unit_id)
    if len(pdu) != 2 + question.answer_bytes or pdu[0] != function or pdu[1] != question.answer_bytes:
        return None
    return ModbusPDU(dev_id=question.unit_id, registers=values(question, pdu[2:]))


def values(question: Question, body: bytes) -> tuple[int, ...]:
    """Registers, or 0 and 1 for bits (the first bit is the lowest of the first byte)."""
    if not question.is_bits:
        return struct.unpack(f">{question.count}H", body)
    return tuple(body[number >> 3] >> (number & 7) & 1 for number in range(question.count))


class TcpFrames(FramerSocket):
    """Modbus TCP: an answer carries the request's transaction id."""

    def __init__(self) -> None:
        super().__init__(DecodePDU(False))
        self.question: Question | None = None
        self.malformed = False
        """Whether an answer to the question came that cannot be one."""

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:
        """Called by pymodbus with all unread bytes: how many are used up, and the answer if it is there."""
        used = 0
        while True:
            length, unit_id, transaction, pdu = self.decode(data[used:])
            if length < MBAP_BYTES:
                return used, None
            used += length
            if self.question and transaction == exp_tid and unit_id == self.question.unit_id:
                found = answer(self.question, pdu)
                if found is not None:
                    return used, found
                self.malformed = True


class UdpFrames(TcpFrames):
    """The same over UDP: a datagram is never the rest of another one."""

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:
        """As for TCP; what is left of a datagram is dropped."""
        used, found = super().handleFrame(data, exp_devid, exp_tid)
        self.malformed = self.malformed or used < len(data)
        return len(data), found


class RtuFrames(FramerRTU):
    """Modbus RTU: no transaction id, so the frame is searched by its head and proved by its CRC.

    ``echo``: the line carries our own requests back to us. They have the shape of an answer when it is 8 bytes long.
    """

    def __init__(self, echo: bool = False) -> None:
        super().__init__(DecodePDU(False))
        self.question: Question | None = None
        self.malformed = False
        """Never set: without a number, what is no answer is not known to be meant as one."""
        self._echo = echo
        self._sent = b""

    def buildFrame(self, message: ModbusPDU) -> bytes:
        """Called by pymodbus for the bytes of a request."""
        self._sent = super().buildFrame(message)
        return self._sent

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, ModbusPDU | None]:
        """Called by pymodbus with all unread bytes: how many are used up, and the answer if it is there."""
        question = self.question
        if question is None:
            return len(data), None
        function = FUNCTION[question.table]
        good = bytes((question.unit_id, function, question.answer_bytes)), 5 + question.answer_bytes
        refusal = bytes((question.unit_id, function | 0x80)), 5
        for start in range(self._after_echo(data), len(data) - 4):
            for head, size in (good, refusal):
                frame = data[start : start + size]
                if len(frame) == size and frame.startswith(head) and self._is_whole(frame):
                    return start + size, answer(question, frame[1:-2])
        return 0, None

    def _after_echo(self, data: bytes) -> int:
        heard = data.find(self._sent) if self._echo else -1
        return heard + len(self._sent) if heard >= 0 else 0

    @staticmethod
    def _is_whole(frame: bytes) -> bool:
        return FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))


Frames = TcpFrames | RtuFrames
