"""A Modbus bus as ``gateway.yaml`` names it: how it is reached, and how fast its line is.

A bus has one master, and its ``end`` (a port, or host and port) stands for it in messages and tells it from the others.
"""

from typing import Annotated, Literal

import msgspec

from telemetry.reading import Name

TimeoutSeconds = Annotated[float, msgspec.Meta(gt=0, le=60)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]

SILENT_CHARACTERS = 3.5
FAST_BAUD = 19_200
FAST_SILENCE_S = 0.00175
"""Above 19,200 baud the silence between frames is fixed (Modbus over serial line 1.02, 2.5.1.1)."""


class SerialLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every unit of a line is set to. ``gap_ms``: silence between frames, where 3.5 characters are not enough."""

    baud: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    gap_ms: Milliseconds = 0.0

    @property
    def character_s(self) -> float:
        """Start bit, eight of data, parity and stop bits, in seconds."""
        return (9 + self.stop_bits + (self.parity != "N")) / self.baud

    @property
    def silence_s(self) -> float:
        """The silence that parts two frames, in seconds."""
        standard_s = SILENT_CHARACTERS * self.character_s if self.baud <= FAST_BAUD else FAST_SILENCE_S
        return max(standard_s, self.gap_ms / 1000)


class Rs485(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the port drives a transceiver by RTS, for adapters that do not do it themselves. Levels: true is high."""

    rts_while_sending: bool = True
    rts_while_receiving: bool = False
    delay_before_ms: Milliseconds = 0.0
    delay_after_ms: Milliseconds = 0.0


class _OnTheNetwork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    host: str
    port: Port = 502
    timeout_s: TimeoutSeconds = 1.0

    @property
    def end(self) -> str:
        return f"{self.host}:{self.port}"


class TcpBus(_OnTheNetwork, frozen=True, forbid_unknown_fields=True, tag="modbus-tcp", tag_field="type"):
    """Modbus TCP."""


class UdpBus(_OnTheNetwork, frozen=True, forbid_unknown_fields=True, tag="modbus-udp", tag_field="type"):
    """The frames of Modbus TCP, one a datagram."""


class RtuOverTcpBus(SerialLine, frozen=True, forbid_unknown_fields=True, tag="modbus-rtu-over-tcp", tag_field="type"):
    """RTU frames through a serial server in its transparent mode; the line's setting is the serial server's."""

    id: Name
    host: str
    port: Port = 502
    timeout_s: TimeoutSeconds = 1.0

    @property
    def end(self) -> str:
        return f"{self.host}:{self.port}"


class RtuBus(SerialLine, frozen=True, forbid_unknown_fields=True, tag="modbus-rtu", tag_field="type"):
    """A serial port of the gateway. ``echo``: the adapter hears what it sends itself."""

    id: Name
    port: str
    timeout_s: TimeoutSeconds = 1.0
    echo: bool = False
    rs485: Rs485 | None = None

    @property
    def end(self) -> str:
        return self.port


BusConfig = TcpBus | UdpBus | RtuOverTcpBus | RtuBus


def type_of(bus: BusConfig) -> str:
    """The word for it in ``gateway.yaml``."""
    return str(bus.__struct_config__.tag)
