"""pymodbus's clients as this gateway wants them: they neither retry nor reconnect by themselves."""

from typing import TypedDict

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.client.base import ModbusBaseClient
from serial.rs485 import RS485Settings

from edge.bus_config import BusConfig, Rs485, RtuBus, UdpBus
from edge.drivers.frames import Frames

LONGEST_READ = 4096
"""Bytes taken off a socket at once: some answers' worth."""

NO_RS485 = "the port's driver cannot switch a transceiver; leave 'rs485' out, with an adapter that switches by itself"


class _Passive(TypedDict):
    timeout: float
    retries: int
    reconnect_delay: float


def make_client(bus: BusConfig, frames: Frames) -> ModbusBaseClient:
    """A client that is not connected yet."""
    passive: _Passive = {"timeout": bus.timeout_s, "retries": 0, "reconnect_delay": 0}
    client: ModbusBaseClient
    if isinstance(bus, RtuBus):
        client = AsyncModbusSerialClient(bus.port, baudrate=bus.baud, parity=bus.parity, stopbits=bus.stop_bits, **passive)
    elif isinstance(bus, UdpBus):
        client = AsyncModbusUdpClient(bus.host, port=bus.port, **passive)
    else:
        client = AsyncModbusTcpClient(bus.host, port=bus.port, **passive)
    client.ctx.framer = frames
    client.set_max_no_responses(1 << 30)  # when to give a connection up is decided by us
    return client


async def connect(client: ModbusBaseClient, bus: BusConfig) -> None:
    """Opens the connection. Raises ``OSError``, ``ValueError`` or ``termios.error``."""
    # Not client.connect(): that swallows why it failed.
    client.ctx.transport, _ = await client.ctx.call_create()
    if hasattr(client.ctx.transport, "max_size"):
        client.ctx.transport.max_size = LONGEST_READ  # asyncio's 256 KiB are mapped and unmapped for each answer
    if isinstance(bus, RtuBus) and bus.rs485 is not None:
        try:
            client.ctx.transport.sync_serial.rs485_mode = settings(bus.rs485)  # type: ignore[attr-defined]  # pymodbus's own transport
        except (OSError, ValueError) as error:
            raise ValueError(NO_RS485) from error


def settings(rs485: Rs485) -> RS485Settings:
    """Delays in seconds, as pyserial wants them."""
    return RS485Settings(
        rts_level_for_tx=rs485.rts_while_sending,
        rts_level_for_rx=rs485.rts_while_receiving,
        delay_before_tx=rs485.delay_before_ms / 1000,
        delay_before_rx=rs485.delay_after_ms / 1000,
    )
