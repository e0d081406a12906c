"""What exists: the gateways with what they last said of themselves, their devices, and when each was last heard.

1. A gateway's word is known at once and becomes durable behind it, many in one transaction (``run``): the broker retains it
   too, so what a crash left out comes again with the next connection. A hello alone is not written.
2. ``find`` and ``zone_of`` answer from memory and may be asked from any thread: a gateway's devices are replaced as a whole.
3. When a device was last heard, and a gateway's health, live in memory alone and are bounded: ``MAX_HEARD`` devices a gateway.
4. Nothing outside a scope leaves ``devices`` and ``gateways``.

Whether a gateway is registered is decided before its word comes here.
"""

import asyncio
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from ingest.arrival import Arrival
from ingest.database import Database, metadata, upsert
from ingest.gateway_watch import Attendance
from telemetry.errors import BatchInvalid, StoreUnavailable
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import LIFE, Kind, Value
from telemetry.presence import Device, Inventory, State, decode_inventory, decode_state, encode
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

log = structlog.get_logger()

MAX_HEARD = 10_000
_WRITE_EVERY_S = 1.0
_RETRY_S = 5.0
_at = attrgetter("at")
_BAD, _GATEWAY = Quality.BAD, Kind.GATEWAY
"""To ask an enumeration for its member, once for each reading, costs as much as all the rest."""

_presence = sa.Table(
    "gateway_presence",
    metadata,
    sa.Column("community", sa.Text, primary_key=True),
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("leaf", sa.Text, primary_key=True),
    sa.Column("taken_at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class Heard(NamedTuple):
    """The newest word of one device, and when it last said a value.

    ``silent``: its gateway reports that it did not answer. ``online`` is what it or its bridge says of itself, if ever.
    """

    at: Micros
    spoke_at: Micros | None
    silent: bool
    online: bool | None


class DeviceSeen(NamedTuple):
    """A device of the inventory. ``online`` is ``None`` while nothing was heard from it since the centre started."""

    ref: GatewayRef
    device: Device
    online: bool | None
    last_seen: Micros | None


class GatewaySeen(NamedTuple):
    """A gateway as the centre sees it; ``health`` holds the newest value of each metric it said of itself."""

    ref: GatewayRef
    online: bool
    since: Micros
    software: str
    last_seen: Micros | None
    devices: int
    health: Mapping[str, Value]


class Registry:
    """Implements ``ingest.alerts.Directory`` and ``ingest.gateway_watch.Roll``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._states: dict[GatewayRef, tuple[Micros, State]] = {}
        self._devices: dict[GatewayRef, dict[str, Device]] = {}
        self._heard: dict[GatewayRef, dict[str, Heard]] = {}
        self._health: dict[GatewayRef, dict[str, Value]] = {}
        self._spoke_at: dict[GatewayRef, Micros] = {}
        self._unwritten: dict[tuple[GatewayRef, str], tuple[int, bytes]] = {}
        self._some = asyncio.Event()

    async def open(self) -> None:
        """Recalls what was known before the restart."""
        for row in await self._database.read(lambda connection: connection.execute(sa.select(_presence)).all()):
            ref = GatewayRef(row.community, row.gateway)
            try:
                if row.leaf == "state":
                    self._states[ref] = (Micros(row.taken_at), decode_state(row.body))
                else:
                    self._devices[ref] = _by_id(decode_inventory(row.body))
            except BatchInvalid as error:
                log.warning("stored presence left out", gateway=str(ref), leaf=row.leaf, reason=str(error))

    async def run(self) -> None:
        """Makes durable what gateways say, until cancelled."""
        late = False
        while True:
            await self._some.wait()
            try:
                await self.write()
                late = False
            except StoreUnavailable as error:
                if not late:
                    log.error("what gateways say of themselves waits for the database", error=str(error))
                late = True
            await asyncio.sleep(_RETRY_S if late else _WRITE_EVERY_S)

    async def write(self) -> None:
        """Everything taken so far is durable on return. Raises ``StoreUnavailable``."""
        self._some.clear()
        words, self._unwritten = self._unwritten, {}
        rows = [
            {"community": ref.community, "gateway": ref.gateway, "leaf": leaf, "taken_at": at, "body": body}
            for (ref, leaf), (at, body) in words.items()
        ]
        try:
            if rows:
                await self._database.write(lambda connection: upsert(connection, _presence, rows))
        except StoreUnavailable:
            self._unwritten = words | self._unwritten
            self._some.set()
            raise

    def take_state(self, ref: GatewayRef, state: State, at: int) -> None:
        """``at`` is when it came, UTC microseconds. A retained state that comes again is no news."""
        known = self._states.get(ref)
        if known and known[1] == state:
            return
        if known is None or _essence(known[1]) != _essence(state):
            self._keep(ref, "state", encode(state), at)
        self._states[ref] = (Micros(at), state)
        if known is None or known[1].online != state.online:
            log.info("gateway state changed", gateway=str(ref), online=state.online)

    def take_inventory(self, ref: GatewayRef, inventory: Inventory) -> None:
        """The gateway's devices are now these and no others."""
        devices = _by_id(inventory)
        if self._devices.get(ref) == devices:
            return
        self._keep(ref, "inventory", encode(inventory), inventory.at)
        self._devices[ref] = devices
        log.info("inventory taken", gateway=str(ref), devices=len(devices))

    def seen(self, arrivals: Iterable[Arrival]) -> None:
        """Remembers when each device was last heard. A clock that runs ahead is not believed beyond the arrival."""
        for arrival in arrivals:
            self._spoke_at[arrival.stream.ref] = arrival.received_at
            heard = self._heard.setdefault(arrival.stream.ref, {})
            for reading in _telling(arrival):
                self._hear(arrival, reading, heard)

    def find(self, ref: GatewayRef, device: str) -> Device | None:
        return self._devices.get(ref, {}).get(device)

    def zone_of(self, ref: GatewayRef, device: str) -> str:
        """``""`` when unknown."""
        found = self.find(ref, device)
        return found.zone if found else ""

    def edition(self, ref: GatewayRef) -> object:
        """Another object when the gateway's devices are others."""
        return self._devices.get(ref)

    def device(self, ref: GatewayRef, name: str) -> DeviceSeen | None:
        found = self.find(ref, name)
        return self._device_seen(ref, found) if found else None

    def gateway(self, ref: GatewayRef) -> GatewaySeen | None:
        """``None`` when nothing was ever heard of it."""
        return self._gateway_seen(ref) if ref in self._states or ref in self._devices or ref in self._heard else None

    def inventory(self, community: str) -> list[tuple[GatewayRef, Device]]:
        """Every device of a community, with its gateway."""
        refs = sorted(ref for ref in self._devices if ref.community == community)
        return [(ref, device) for ref in refs for device in self._devices[ref].values()]

    def devices(self, scope: Scope) -> list[DeviceSeen]:
        """Sorted by community, gateway and id."""
        return [
            self._device_seen(ref, device)
            for ref in self._refs(scope)
            for _, device in sorted(self._devices.get(ref, {}).items())
        ]

    def gateways(self, scope: Scope) -> list[GatewaySeen]:
        """Sorted by community and id."""
        return [self._gateway_seen(ref) for ref in self._refs(scope)]

    def states(self, scope: Scope) -> Mapping[GatewayRef, tuple[Micros, State]]:
        """What each gateway said last of itself, and when it came."""
        return {ref: word for ref, word in sorted(self._states.items()) if scope.covers(ref.community)}

    def state(self, ref: GatewayRef) -> State | None:
        """What it said last of itself."""
        return self._states[ref][1] if ref in self._states else None

    def is_online(self, ref: GatewayRef) -> bool:
        """Whether the gateway is connected, as far as it or its broker said."""
        return ref in self._states and self._states[ref][1].online

    def attendance(self) -> Mapping[GatewayRef, Attendance]:
        """Of the gateways that ever said that they are there, or not."""
        return {ref: Attendance(word.online, at, self._spoke_at.get(ref, 0)) for ref, (at, word) in self._states.items()}

    def safety_devices(self, ref: GatewayRef) -> int:
        """How many devices behind a gateway protect life, by its inventory."""
        devices = self._devices.get(ref, {}).values()
        return sum(device.kind is Kind.SAFETY or not LIFE.isdisjoint(device.metrics) for device in devices)

    def is_within(self, scope: Scope) -> bool:
        """Whether the scope covers every community that was ever heard of."""
        return all(scope.covers(ref.community) for ref in {*self._states, *self._devices, *self._heard})

    def _refs(self, scope: Scope) -> list[GatewayRef]:
        return sorted(ref for ref in {*self._states, *self._devices, *self._heard} if scope.covers(ref.community))

    def _gateway_seen(self, ref: GatewayRef) -> GatewaySeen:
        since, state = self._states.get(ref, (Micros(0), State(online=False, at=Micros(0))))
        heard = self._heard.get(ref, {}).values()
        last_seen = max((word.spoke_at for word in heard if word.spoke_at), default=None)
        health = self._health.get(ref, {})
        return GatewaySeen(ref, state.online, since, state.software, last_seen, len(self._devices.get(ref, {})), health)

    def _device_seen(self, ref: GatewayRef, device: Device) -> DeviceSeen:
        word = self._heard.get(ref, {}).get(device.id)
        known = self._states.get(ref)
        if known is not None and not known[1].online:
            online: bool | None = False
        else:
            online = None if word is None else word.online is not False and not word.silent
        return DeviceSeen(ref, device, online, word.spoke_at if word else None)

    def _hear(self, arrival: Arrival, reading: Reading, heard: dict[str, Heard]) -> None:
        at = reading.at if reading.at < arrival.received_at else arrival.received_at
        known = heard.get(reading.device)
        if (known is None and len(heard) >= MAX_HEARD) or (known is not None and at < known.at):
            return
        silent = reading.quality is _BAD and not reading.values
        said = reading.values.get("online")
        online = said if isinstance(said, bool) else known.online if known else None
        spoke_at = (known.spoke_at if known else None) if silent else at
        heard[reading.device] = tuple.__new__(
            Heard, (at, spoke_at, silent, online)
        )  # for every device of a batch, at half the price
        if reading.kind is _GATEWAY and not reading.event_id:
            self._health.setdefault(arrival.stream.ref, {}).update(reading.values)

    def _keep(self, ref: GatewayRef, leaf: str, body: bytes, at: int) -> None:
        self._unwritten[ref, leaf] = (at, body)
        self._some.set()


def _essence(state: State) -> tuple[object, ...]:
    """What of a state is worth a write: the hello is news at each connection and of no use after a restart."""
    return state.online, state.software, state.config_hash, state.inventory_hash


def _telling(arrival: Arrival) -> Iterable[Reading]:
    """Those that say something of their device: where all say no more than values, the newest of each tells as much as all."""
    readings, bad = arrival.readings, _BAD
    if _GATEWAY in arrival.gist.kinds:
        return readings
    for reading in readings:
        if reading.quality is bad or "online" in reading.values:
            return readings
    return {reading.device: reading for reading in sorted(readings, key=_at)}.values()


def _by_id(inventory: Inventory) -> dict[str, Device]:
    """The texts and metrics that devices have in common are kept once: a city's are a third less for it."""
    texts: dict[str, str] = {}
    intervals: dict[float | None, float | None] = {}
    metrics: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    return {
        one.id: replace(
            one,
            profile=texts.setdefault(one.profile, one.profile),
            zone=texts.setdefault(one.zone, one.zone),
            metrics=metrics.setdefault(tuple(one.metrics.items()), one.metrics),
            interval_s=intervals.setdefault(one.interval_s, one.interval_s),
        )
        for one in inventory.devices
    }
