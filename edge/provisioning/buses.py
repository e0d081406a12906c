"""The buses of a gateway as its files name them; nothing is opened."""

from pathlib import Path

import msgspec

from edge.bus_config import BusConfig, RtuBus, SerialLine, type_of
from edge.config import GatewayConfig


class BusSeen(msgspec.Struct, frozen=True, kw_only=True):
    """``present`` says of a serial bus whether its port exists, and is ``None`` for one on the network."""

    id: str
    type: str
    end: str
    setting: str
    present: bool | None
    devices: tuple[str, ...]


def buses(config: GatewayConfig) -> tuple[BusSeen, ...]:
    return tuple(_seen(config, bus) for bus in config.gateway.buses)


def _seen(config: GatewayConfig, bus: BusConfig) -> BusSeen:
    return BusSeen(
        id=bus.id,
        type=type_of(bus),
        end=bus.end,
        setting=f"{bus.baud}-8{bus.parity}{bus.stop_bits}" if isinstance(bus, SerialLine) else "",
        present=Path(bus.port).exists() if isinstance(bus, RtuBus) else None,
        devices=tuple(device.id for device in config.devices if device.address.bus == bus.id),
    )
