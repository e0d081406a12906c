"""Where an installer's verb works: in the running agent, between its polls, or on its own when none runs.

1. A bus never has two masters: without an agent the verb holds the lock that an agent takes at its start.
2. Nothing here needs the centre.
"""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from device_profiles import Library
from edge.bus_config import BusConfig
from edge.config import DeviceConfig, GatewayConfig
from edge.drivers.modbus import Bus, open_bus
from telemetry.document import nearest
from telemetry.errors import ConfigInvalid, LinliError, Problem

LOCK = "agent.lock"


class Site(Protocol):
    """What the verbs ask of a gateway. The agent is one; ``Offline`` is the other."""

    @property
    def config(self) -> GatewayConfig: ...

    @property
    def library(self) -> Library: ...

    def bus(self, id: str) -> Bus:
        """The one master of a bus; its reads take turns with the polls. The id is one of the configuration."""
        ...

    async def replace_devices(self, devices: tuple[DeviceConfig, ...]) -> None:
        """After the devices file was written: poll these from now on and tell the centre."""
        ...


class AgentBusy(LinliError):
    """Another process holds this gateway's lock: wait for it, or ask it."""


class Offline:
    """A gateway whose agent does not run: opens a bus when it is asked for."""

    def __init__(self, config: GatewayConfig, library: Library) -> None:
        self.config = config
        self.library = library
        self._buses: dict[str, Bus] = {}

    def bus(self, id: str) -> Bus:
        if id not in self._buses:
            self._buses[id] = open_bus(bus_config(self.config, id))
        return self._buses[id]

    async def replace_devices(self, devices: tuple[DeviceConfig, ...]) -> None:
        self.config = msgspec.structs.replace(self.config, devices=devices)

    async def close(self) -> None:
        for bus in self._buses.values():
            await bus.close()


@contextlib.asynccontextmanager
async def offline(config: GatewayConfig, library: Library) -> AsyncIterator[Offline]:
    """The gateway without its agent, which cannot start meanwhile. Raises ``AgentBusy``."""
    with hold(config.data_dir / LOCK):
        site = Offline(config, library)
        try:
            yield site
        finally:
            await site.close()


@contextlib.contextmanager
def hold(lock: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is made when missing. Raises ``AgentBusy`` or ``ConfigInvalid``."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        cure = "run it as the agent's user, or with sudo"
        raise ConfigInvalid([Problem(str(lock), "", f"cannot be opened: {error.strerror}", cure)]) from error
    try:
        _give_to_the_owner_of_its_folder(handle, lock)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise AgentBusy(f"{lock} is held by an agent or by another installer's command; try again when it has ended") from error
    finally:
        os.close(handle)


def bus_config(config: GatewayConfig, id: str) -> BusConfig:
    """The bus of this id. Raises ``ConfigInvalid``."""
    for bus in config.gateway.buses:
        if bus.id == id:
            return bus
    cure = nearest(id, [bus.id for bus in config.gateway.buses])
    raise ConfigInvalid([Problem(str(config.file), "buses", f"no bus {id!r}", cure)])


def _give_to_the_owner_of_its_folder(handle: int, lock: Path) -> None:
    """A lock made under sudo must not keep the agent's own user out."""
    if os.geteuid() == 0:
        owner = lock.parent.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
