"""Modbus masters, one for each bus, through pymodbus.

1. One request is on the wire at a time. Callers take turns in the order they came: an installer's read goes between two polls.
2. An answer is only ever taken for its own request (see ``frames``). RTU answers carry no number, so after a time-out a unit
   is not asked again before its late answer can no longer come; other units are (see ``line``).
3. Connects at the first read, and again by itself; between failed attempts reads fail at once, for up to 30 s.
4. Every read ends within its time-out and raises nothing but ``DeviceTimeout``, ``DeviceRefused`` and ``BusUnavailable``.
"""

import asyncio
import errno
import logging
import os
import socket
import termios
import time
from typing import Protocol

import structlog
from pymodbus.client.base import ModbusBaseClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transaction import TransactionManager

from device_profiles import Table
from edge.bus_config import BusConfig, RtuBus, RtuOverTcpBus, TcpBus, UdpBus
from edge.drivers.clients import connect, make_client
from edge.drivers.frames import Frames, Question, RtuFrames, TcpFrames, UdpFrames
from edge.drivers.line import Line, RtuLine
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
GATEWAY_SAYS_SILENT = (10, 11)
"""Exception codes by which a TCP gateway tells that the unit behind it did not answer."""

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "accepted, still working",
    6: "busy",
    8: "parity error",
    10: "no path",
    11: "no answer behind the gateway",
}

log = structlog.get_logger()

_REQUESTS: dict[Table, type[ModbusPDU]] = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE: ReadDiscreteInputsRequest,
    Table.HOLDING: ReadHoldingRegistersRequest,
    Table.INPUT: ReadInputRegistersRequest,
}


class Bus(Protocol):
    """A line with one master and several units."""

    @property
    def id(self) -> str: ...

    async def read(self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None) -> tuple[int, ...]:
        """``count`` registers (0..65535) or bits (0, 1) from ``address`` (0-based).

        Raises ``DeviceTimeout``, ``DeviceRefused`` or ``BusUnavailable``.
        """
        ...

    def ready_at(self, unit_id: int) -> float:
        """The instant of the monotonic clock until when a read of this unit would wait for a late answer to pass."""
        ...

    @property
    def used_s(self) -> float:
        """How long the wire was used since the start, waiting for answers included; seconds."""
        ...

    async def close(self) -> None: ...


def open_bus(config: BusConfig) -> Bus:
    """The master of a bus; nothing is connected yet."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    match config:
        case TcpBus():
            return Master(config, TcpFrames(), Line())
        case UdpBus():
            return Master(config, UdpFrames(), Line())
        case RtuBus():
            return Master(config, RtuFrames(config.echo), RtuLine(config))
        case RtuOverTcpBus():
            return Master(config, RtuFrames(), RtuLine(config))


class Master:
    """The master of one bus: the turn, the connection and its back-off, the translation of answers and errors."""

    def __init__(self, config: BusConfig, frames: Frames, line: Line) -> None:
        self.id = config.id
        self.used_s = 0.0
        self._config = config
        self._frames = frames
        self._line = line
        self._turn = asyncio.Lock()
        self._client: ModbusBaseClient | None = None
        self._reason = ""
        self._retry_s = FIRST_RETRY_S
        self._retry_at = 0.0

    async def read(self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None) -> tuple[int, ...]:
        question = Question(unit_id, table, count)
        while True:
            async with self._turn:
                late_s = self._line.ready_at(unit_id) - _now()
                if late_s <= 0:
                    client = await self._connected()
                    gap_s = self._line.free_at() - _now()
                    if gap_s > 0:
                        await asyncio.sleep(gap_s)
                    return await self._ask(client, question, address, timeout_s or self._config.timeout_s)
            await asyncio.sleep(late_s)  # others have their turn meanwhile

    def ready_at(self, unit_id: int) -> float:
        return self._line.ready_at(unit_id)

    async def close(self) -> None:
        self._disconnect()
        await asyncio.sleep(0)

    async def _ask(self, client: ModbusBaseClient, question: Question, address: int, timeout_s: float) -> tuple[int, ...]:
        self._frames.question, self._frames.malformed = question, False
        request = _REQUESTS[question.table](address=address, count=question.count, dev_id=question.unit_id)
        began, answered = _now(), False
        try:
            answer = await _exchange(client.ctx, request, timeout_s + self._line.on_the_wire_s(question))
            answered = answer is not None
        finally:
            now = _now()
            self.used_s += now - began
            self._frames.question = None
            self._line.ended(question, answered, timeout_s, now)
            connected, damaged = client.connected, self._frames.malformed or bool(client.ctx.recv_buffer)
            if not answered:
                self._mistrust(client)
        if answer is None:
            raise _silence(question, timeout_s, damaged=damaged) if connected else self._unavailable("the connection was lost")
        if answer.isError():
            raise _refusal(question, answer.exception_code)
        return tuple(answer.registers)

    def _mistrust(self, client: ModbusBaseClient) -> None:
        """Gives a network connection up when half an answer stands in it, or when nobody behind it speaks any more."""
        if isinstance(self._config, RtuBus):
            return
        if self._line.seems_dead or (self._line.residue_confuses and client.ctx.recv_buffer):
            self._line.silences = 0
            self._disconnect()

    async def _connected(self) -> ModbusBaseClient:
        if self._client is not None and self._client.connected:
            return self._client
        if _now() < self._retry_at:
            raise BusUnavailable(self._reason)
        client = make_client(self._config, self._frames)
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await connect(client, self._config)
        except (OSError, ValueError, termios.error) as error:
            client.close()
            raise self._unavailable(_cause(error)) from error
        await asyncio.sleep(0)
        self._client = client
        if self._reason:
            log.info("bus available again", bus=self.id)
        self._reason, self._retry_s, self._retry_at = "", FIRST_RETRY_S, 0.0
        return client

    def _unavailable(self, cause: str) -> BusUnavailable:
        reason = f"{self._config.end} cannot be used: {cause}"
        if not self._reason:
            log.warning("bus unavailable", bus=self.id, reason=reason)
        self._reason = reason
        self._retry_at = _now() + self._retry_s
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
        self._disconnect()
        return BusUnavailable(reason)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


async def _exchange(wire: TransactionManager, request: ModbusPDU, within_s: float) -> ModbusPDU | None:
    """One request and its answer, ``None`` when none came in time.

    pymodbus's own ``execute`` retries, and waits by ``wait_for``: more turns of the loop for each poll, and before Python 3.12
    a cancellation that can be lost.
    """
    loop = asyncio.get_running_loop()
    request.transaction_id = wire.getNextTID()
    wire.recv_buffer = b""
    wire.response_future = answer = loop.create_future()
    timer = loop.call_later(within_s, _give_up, answer)
    try:
        wire.pdu_send(request)
        found: ModbusPDU | None = await answer
        return found
    finally:
        timer.cancel()


def _give_up(answer: asyncio.Future[ModbusPDU | None]) -> None:
    if not answer.done():
        answer.set_result(None)


def _silence(question: Question, timeout_s: float, *, damaged: bool) -> DeviceTimeout:
    said = "gave only a damaged answer" if damaged else "did not answer"
    return DeviceTimeout(f"unit {question.unit_id} {said} within {timeout_s:g} s", damaged=damaged)


def _now() -> float:
    return time.monotonic()


def _refusal(question: Question, code: int) -> DeviceRefused | DeviceTimeout:
    words = f"exception {code}" + (f" ({EXCEPTIONS[code]})" if code in EXCEPTIONS else "")
    if code in GATEWAY_SAYS_SILENT:
        return DeviceTimeout(f"unit {question.unit_id}: {words}")
    return DeviceRefused(f"unit {question.unit_id}: {words}", code)


_CURES = {
    errno.ENOENT: "is the adapter plugged in? ls -l /dev/serial/by-id",
    errno.EACCES: "ports belong to the group dialout: run it as the agent's user, or with sudo",
    errno.ECONNREFUSED: "is it the right port, and does the converter take one more connection?",
    errno.EHOSTUNREACH: "is it the right address, and has it power?",
}


def _cause(error: BaseException) -> str:
    """Why a bus cannot be opened, and what to look at where that is known."""
    if isinstance(error, TimeoutError):
        return f"no connection in time ({_CURES[errno.EHOSTUNREACH]})"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, OSError) and error.errno:
        cure = _CURES.get(error.errno)
        return os.strerror(error.errno) + (f" ({cure})" if cure else "")
    return str(error)
