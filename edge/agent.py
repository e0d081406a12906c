"""The gateway agent: every part is made and joined here, and all of them end as one.

1. One agent a data folder.
2. A bus, a broker or the centre that cannot be reached stops none of the others.
3. At a stop the sources and the uplink end first, what was said is committed, then the outbox closes: within five seconds,
   whatever hangs.
4. The devices may be replaced while it runs; those that stay the same notice nothing.
"""

import asyncio
import hashlib
import random
import secrets
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from device_profiles import Keys, Library, load_library
from edge.accept import Accept
from edge.bus_load import BusLoad, bus_load
from edge.clock import Clock, wall_clock
from edge.config import DeviceConfig, GatewayConfig, device_problems, load, profile_dirs, profile_of, read_key
from edge.control import ControlServer
from edge.counters import Counters
from edge.drivers.modbus import Bus, open_bus
from edge.drivers.mqtt import DeviceBrokerLink
from edge.drivers.routes import Listener
from edge.health import Health
from edge.logbook import Logbook
from edge.outbox import Outbox
from edge.poller import Poller
from edge.provisioning.site import LOCK, hold
from edge.refusals import Refusals
from edge.tally import Tally
from edge.unit import units_on
from edge.uplink import Uplink
from telemetry.errors import ConfigInvalid
from telemetry.presence import Device

REFUSALS = "refusals.json"
DAY_US = 86_400_000_000
COUNTERS = "counters.json"
PATIENCE_S = 1.0
"""How long a part may take to end before it is told again, at a stop."""
TELLINGS = 4
COMMIT_S = 3.0
"""The same for the last commit, which a slow card may need."""

log = structlog.get_logger()


async def run(config_file: Path, *, report_fd: int | None = None, stop: asyncio.Event) -> None:
    """Runs the gateway of ``config_file`` until ``stop`` is set.

    ``report_fd`` gets a line ``device at`` for each reading committed. Raises ``ConfigInvalid``, ``AgentBusy`` or
    ``OutboxUnusable`` before anything starts.
    """
    library = load_library(profile_dirs(config_file))
    config = load(config_file, library)
    keys = Keys(
        read_key(config.path(config.gateway.privacy.key_file), "community's privacy key"), frozenset(config.gateway.privacy.clear)
    )
    with hold(config.data_dir / LOCK):
        outbox = Outbox.open(
            config.outbox_file,
            gateway=config.gateway.gateway.id,
            now=wall_clock(),
            max_bytes=config.gateway.outbox_max_mb << 20,
            max_age_us=int(config.gateway.outbox_max_days * DAY_US),
        )
        try:
            await Agent(config, library, keys, outbox, report_fd).run(stop)
        finally:
            outbox.close()


class Agent:
    """The running gateway; the installers' verbs see it as their ``Site``."""

    def __init__(self, config: GatewayConfig, library: Library, keys: Keys, outbox: Outbox, report_fd: int | None) -> None:
        gateway = config.gateway
        self._config = config
        self._library = library
        self._keys = keys
        self._name = f"linli-{gateway.gateway.community}-{gateway.gateway.id}"
        clock = Clock(outbox.opened_at)
        self._accept = Accept(outbox, report=report_fd, clock=clock.utc, stamp=clock.stamp)
        self._counters = Counters(config.data_dir / COUNTERS)
        self._logbook = Logbook(self._accept, outbox.recent(), self._counters, utc=clock.utc, stamp=clock.stamp)
        self._uplink = Uplink(
            config,
            outbox,
            self._inventory,
            config_hash=lambda: self._config_hash,
            clock=clock.utc,
            told=clock.hear,
        )
        tally = Tally()
        self._buses = {bus.id: open_bus(bus) for bus in gateway.buses}
        self._health = Health(gateway.gateway.id, tally, self._logbook, outbox, self._accept, self._uplink, self._buses)
        self._refusals = Refusals(config.data_dir / REFUSALS)
        self._pollers = {id: Poller(bus, self._logbook, tally, self._refusals) for id, bus in self._buses.items()}
        self._links = {
            broker.id: DeviceBrokerLink(
                broker, config.path, f"{self._name}-{broker.id}", self._logbook, tally, keys, random.Random(secrets.randbits(64))
            )
            for broker in gateway.brokers
        }
        self._open: dict[str, DeviceConfig] = {}
        self._take_up(config)

    @property
    def config(self) -> GatewayConfig:
        return self._config

    @property
    def library(self) -> Library:
        return self._library

    def bus(self, id: str) -> Bus:
        """A bus to read from between the polls."""
        return self._buses[id]

    async def replace_devices(self, devices: tuple[DeviceConfig, ...]) -> None:
        """Works with these devices from now on and tells the centre. Raises ``ConfigInvalid`` and changes nothing."""
        config = msgspec.structs.replace(self._config, devices=devices)
        problems = device_problems(config, self._library)
        if problems:
            raise ConfigInvalid(problems)
        self._take_up(config)
        self._uplink.announce()
        log.info("devices replaced", devices=len(devices))

    async def run(self, stop: asyncio.Event) -> None:
        gateway = self._config.gateway.gateway
        log.info("gateway runs", community=gateway.community, gateway=gateway.id, devices=len(self._config.devices))
        async with asyncio.TaskGroup() as group:
            accept = group.create_task(self._accept.run(), name="accept")
            uplink = group.create_task(self._uplink.run(), name="uplink")
            try:
                await self._listen(stop, uplink)
            finally:
                await _end([accept], COMMIT_S)
                for bus in self._buses.values():
                    await bus.close()
        log.info("gateway ended")

    async def _listen(self, stop: asyncio.Event, uplink: asyncio.Task[None]) -> None:
        """Everything that brings readings in, until ``stop``, which ends ``uplink`` as well."""
        interval_s = self._config.gateway.health_interval_s
        sources: dict[str, Coroutine[Any, Any, None]] = {
            "health": self._health.run(interval_s),
            "control": ControlServer(self).run(),
            "counters": self._counters.run(),
            **{f"bus-{id}": poller.run() for id, poller in self._pollers.items()},
            **{f"broker-{id}": link.run() for id, link in self._links.items()},
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(source, name=name) for name, source in sources.items()]
            await stop.wait()
            await _end([*tasks, uplink])

    def _take_up(self, config: GatewayConfig) -> None:
        wanted = {device.id: device for device in config.devices}
        for id in [id for id, device in self._open.items() if wanted.get(id) != device]:
            self._logbook.close(id)
            del self._open[id]
        for device in config.devices:
            if device.id not in self._open:
                self._logbook.open(device.id, profile_of(device, self._library))
                self._open[device.id] = device
        self._config = config
        self._config_hash = _hash_of(config)
        self._refusals.keep_only(wanted)
        self._counters.keep_only(wanted)
        for bus in config.gateway.buses:
            units = units_on(bus, config.devices, self._library)
            self._pollers[bus.id].replace(units)
            warn_of(bus_load(bus, units))
        for broker_id, link in self._links.items():
            link.replace(self._listener(device) for device in config.devices if device.address.broker == broker_id)

    def _listener(self, device: DeviceConfig) -> Listener:
        return Listener(device.id, profile_of(device, self._library), device.address.topic)

    def _inventory(self) -> list[Device]:
        return [inventory_entry(device, self._library) for device in self._config.devices]


def warn_of(load: BusLoad) -> None:
    """Says before it happens that polls will come later than they were asked for."""
    if not load.fits:
        worst = max((poll.becomes_s / poll.interval_s for unit in load.units for poll in unit.polls), default=1.0)
        log.warning(
            "bus cannot keep its schedule",
            bus=load.bus,
            share=round(load.share, 2),
            slower=round(worst, 1),
            assumed_delay_s=load.assumed_delay_s,
        )


def inventory_entry(device: DeviceConfig, library: Library) -> Device:
    """What the centre is told of a device."""
    profile = profile_of(device, library)
    polled = min((point.interval_s for point in profile.points.values() if point.metric and point.interval_s), default=None)
    return Device(
        id=device.id,
        kind=profile.kind,
        profile=profile.id,
        profile_version=profile.version,
        place=device.place,
        zone=device.zone,
        unit=device.unit,
        metrics=dict(profile.metrics),
        interval_s=device.interval_s or polled,
    )


async def _end(tasks: Collection[asyncio.Task[None]], patience_s: float = PATIENCE_S) -> None:
    """Cancels tasks and waits until they have ended; what lingers over its farewell, or has lost the word, is told again."""
    for _ in range(TELLINGS):
        for task in tasks:
            task.cancel()
        _, lingering = await asyncio.wait(tasks, timeout=patience_s)
        if not lingering:
            return


def _hash_of(config: GatewayConfig) -> str:
    return hashlib.sha256(msgspec.json.encode((config.gateway, config.devices))).hexdigest()[:16]
