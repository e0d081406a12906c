"""Modbus masters, one for each bus, through pymodbus.

1. One request is on the wire at a time. Callers take turns in the order they came: an installer's read goes between two polls.
2. An answer is only ever taken for its own request (see ``frames``). RTU answers carry no number, so after a time-out a unit
   is not asked again before its late answer can no longer come; other units are.
3. Connects at the first read, and again by itself; between failed attempts reads fail at once, for up to 30 s.
4. Every read ends within its time-out and raises nothing but ``DeviceTimeout``, ``DeviceRefused`` and ``BusUnavailable``.
"""

import asyncio
import logging
import os
import termios
from abc import ABC, abstractmethod
from typing import Protocol

import structlog
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from device_profiles import Table
from edge.config import BusConfig, RtuBus, TcpBus
from edge.drivers.frames import Question, RtuFrames, TcpFrames
from telemetry.errors import BusUnavailable, DeviceRefused, DeviceTimeout

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
HALF_OPEN_AFTER = 4
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

    async def close(self) -> None: ...


def open_bus(config: BusConfig) -> Bus:
    """The master of a bus; nothing is connected yet."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    return RtuMaster(config) if isinstance(config, RtuBus) else TcpMaster(config)


class _Master(ABC):
    """What TCP and RTU share: the turn, the connection and its back-off, the translation of answers and errors."""

    def __init__(self, id: str, end: str, timeout_s: float, frames: TcpFrames | RtuFrames) -> None:
        self.id = id
        self._end = end
        self._timeout_s = timeout_s
        self._frames = frames
        self._turn = asyncio.Lock()
        self._client: ModbusBaseClient | None = None
        self._reason = ""
        self._retry_s = FIRST_RETRY_S
        self._retry_at = 0.0

    async def read(self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None) -> tuple[int, ...]:
        async with self._turn:
            client = await self._connected()
            question = Question(unit_id, table, count)
            await self._quiet(client, unit_id)
            return await self._ask(client, question, address, timeout_s or self._timeout_s)

    async def close(self) -> None:
        self._disconnect()
        await asyncio.sleep(0)

    async def _ask(self, client: ModbusBaseClient, question: Question, address: int, timeout_s: float) -> tuple[int, ...]:
        self._frames.question = question
        client.ctx.comm_params.timeout_connect = timeout_s + self._on_the_wire_s(question)
        request = _REQUESTS[question.table](address=address, count=question.count, dev_id=question.unit_id)
        answered = False
        try:
            answer = await client.execute(False, request)
            answered = True
        except ModbusException as error:
            if not client.connected:
                raise self._unavailable("the connection was lost") from error
            raise DeviceTimeout(f"unit {question.unit_id} did not answer within {timeout_s:g} s") from error
        finally:
            self._frames.question = None
            self._asked(client, question, answered, timeout_s)
        if answer.isError():
            raise _refusal(question, answer.exception_code)
        return tuple(answer.registers)

    async def _connected(self) -> ModbusBaseClient:
        if self._client is not None and self._client.connected:
            return self._client
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            raise BusUnavailable(self._reason)
        client = self._make_client()
        client.ctx.framer = self._frames
        client.set_max_no_responses(1 << 30)  # when to give a connection up is decided here, not in pymodbus
        try:
            async with asyncio.timeout(self._timeout_s):
                # Not client.connect(): that swallows why it failed.
                client.ctx.transport, _ = await client.ctx.call_create()
        except (OSError, ValueError, termios.error) as error:
            raise self._unavailable(_cause(error)) from error
        await asyncio.sleep(0)
        self._client = client
        if self._reason:
            log.info("bus available again", bus=self.id)
        self._reason, self._retry_s, self._retry_at = "", FIRST_RETRY_S, 0.0
        return client

    def _unavailable(self, cause: str) -> BusUnavailable:
        reason = f"{self._end} cannot be used: {cause}"
        if not self._reason:
            log.warning("bus unavailable", bus=self.id, reason=reason)
        self._reason = reason
        self._retry_at = asyncio.get_running_loop().time() + self._retry_s
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
        self._disconnect()
        return BusUnavailable(reason)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @abstractmethod
    def _make_client(self) -> ModbusBaseClient: ...

    @abstractmethod
    def _on_the_wire_s(self, question: Question) -> float:
        """How long request and answer take on the line itself, on top of the unit's own time."""

    @abstractmethod
    async def _quiet(self, client: ModbusBaseClient, unit_id: int) -> None:
        """Waits until this unit may be asked."""

    @abstractmethod
    def _asked(self, client: ModbusBaseClient, question: Question, answered: bool, timeout_s: float) -> None:
        """Takes note of how a request ended."""


class TcpMaster(_Master):
    """A connection is given up when bytes of a broken answer stand in it, or when nobody behind it has answered for a while."""

    def __init__(self, config: TcpBus) -> None:
        super().__init__(config.id, f"{config.host}:{config.port}", config.timeout_s, TcpFrames())
        self._config = config
        self._silences = 0

    def _make_client(self) -> ModbusBaseClient:
        return AsyncModbusTcpClient(
            self._config.host, port=self._config.port, timeout=self._timeout_s, retries=0, reconnect_delay=0
        )

    def _on_the_wire_s(self, question: Question) -> float:
        return 0.0

    async def _quiet(self, client: ModbusBaseClient, unit_id: int) -> None:
        return

    def _asked(self, client: ModbusBaseClient, question: Question, answered: bool, timeout_s: float) -> None:
        self._silences = 0 if answered else self._silences + 1
        if not answered and (client.ctx.recv_buffer or self._silences >= HALF_OPEN_AFTER):
            self._silences = 0
            self._disconnect()


class RtuMaster(_Master):
    """Keeps the silent interval of 3.5 characters between frames (1.75 ms above 19,200 baud)."""

    def __init__(self, config: RtuBus) -> None:
        super().__init__(config.id, config.port, config.timeout_s, RtuFrames())
        self._config = config
        bits = 9 + config.stop_bits + (config.parity != "N")
        self._character_s = bits / config.baud
        silence_s = 3.5 * self._character_s if config.baud <= 19_200 else 0.00175
        self._gap_s = max(silence_s, config.gap_ms / 1000)
        self._last_frame_at = 0.0
        self._late_until: dict[int, float] = {}

    def _make_client(self) -> ModbusBaseClient:
        config = self._config
        return AsyncModbusSerialClient(
            config.port,
            baudrate=config.baud,
            parity=config.parity,
            stopbits=config.stop_bits,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
        )

    def _on_the_wire_s(self, question: Question) -> float:
        return (8 + 5 + question.answer_bytes) * self._character_s

    async def _quiet(self, client: ModbusBaseClient, unit_id: int) -> None:
        now = asyncio.get_running_loop().time()
        free_at = max(self._last_frame_at + self._gap_s, self._late_until.pop(unit_id, 0.0))
        if free_at > now:
            await asyncio.sleep(free_at - now)

    def _asked(self, client: ModbusBaseClient, question: Question, answered: bool, timeout_s: float) -> None:
        self._last_frame_at = asyncio.get_running_loop().time()
        if not answered:
            self._late_until[question.unit_id] = self._last_frame_at + timeout_s


def _refusal(question: Question, code: int) -> DeviceRefused | DeviceTimeout:
    words = f"exception {code}" + (f" ({EXCEPTIONS[code]})" if code in EXCEPTIONS else "")
    if code in GATEWAY_SAYS_SILENT:
        return DeviceTimeout(f"unit {question.unit_id}: {words}")
    return DeviceRefused(f"unit {question.unit_id}: {words}", code)


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
