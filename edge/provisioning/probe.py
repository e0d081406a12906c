"""Asks a device for everything its profile knows, once, and says of every point whether it can be believed. Reads only."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Protocol

import msgspec

from device_profiles import Answer, Decoded, Library, Observation, Profile, Request, Table, decode, plan
from edge.config import Address, DeviceConfig, GatewayConfig, device_problems, profile_of
from edge.provisioning.listen import is_alive, listen
from edge.provisioning.site import Site, bus_config
from telemetry.document import convert, nearest
from telemetry.errors import ConfigInvalid, DeviceRefused, DeviceTimeout, Problem
from telemetry.metric import Value
from telemetry.quality import Quality

TRIES = 2
Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]


class Probe(msgspec.Struct, frozen=True, kw_only=True, tag="probe", tag_field="verb", forbid_unknown_fields=True):
    """A configured device by its id, or a profile at an address, with what its inputs mean. ``seconds`` bounds how long MQTT is
    listened to."""

    device: str | None = None
    profile: str | None = None
    address: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    kind: str | None = None
    seconds: Seconds = 10.0


class PointRead(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a Modbus device. ``metric`` is ``None`` for a register that only helps to read others."""

    point: str
    metric: str | None
    value: Value | None
    unit: str
    words: tuple[int, ...]
    quality: Quality
    reason: str
    latency_ms: float | None

    @property
    def is_plausible(self) -> bool:
        return self.metric is None or (self.quality is Quality.GOOD and self.value is not None)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One observation that a message gave; ``at`` is UTC microseconds, ``None`` when the device sent no time."""

    values: dict[str, Value]
    at: int | None
    event_id: str | None
    quality: Quality
    faults: dict[str, str]


class Probed(msgspec.Struct, frozen=True, kw_only=True, tag="probed", tag_field="answer"):
    """``where`` is the address in words; ``undecodable`` says why messages could not be read."""

    profile: str
    where: str
    points: tuple[PointRead, ...] = ()
    observations: tuple[Seen, ...] = ()
    undecodable: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """What keeps this device from being taken: point and reason; none when all is plausible."""
        if self.points:
            return tuple((row.point, row.reason or "no value") for row in self.points if not row.is_plausible)
        if any(map(is_alive, self.observations)):
            return ()
        if self.observations:
            return (("online", "it is offline, and said nothing else"),)
        return (("*", self.undecodable[-1] if self.undecodable else "no message came"),)


class Reads(Protocol):
    """The reading half of a bus."""

    async def read(
        self, unit_id: int, table: Table, address: int, count: int, timeout_s: float | None = None
    ) -> tuple[int, ...]: ...


async def probe(site: Site, asked: Probe) -> Probed:
    """Raises ``ConfigInvalid``, ``BusUnavailable`` or ``BrokerUnavailable``; a silent device is an answer, not an error."""
    return await probe_device(site, _device_of(site.config, site.library, asked), asked.seconds)


async def probe_device(site: Site, device: DeviceConfig, seconds: float, enough: int | None = None) -> Probed:
    """Reads a device whose address has been checked; stops listening after ``enough`` observations."""
    profile = profile_of(device, site.library)
    address = device.address
    if address.bus is not None and address.unit_id is not None:
        points = await read_points(site.bus(address.bus), address.unit_id, profile)
        return Probed(profile=profile.id, where=where(site.config, address), points=points)
    heard = await listen(site.config, site.library, device, seconds, enough)
    seen = tuple(_seen(observation) for observation in heard.observations)
    return Probed(profile=profile.id, where=where(site.config, address), observations=seen, undecodable=heard.undecodable)


async def read_points(
    bus: Reads, unit_id: int, profile: Profile, clock: Callable[[], float] = time.monotonic
) -> tuple[PointRead, ...]:
    """Every point of the profile. A refused joint read is asked again point by point; a silent unit is left alone."""
    answers: list[Answer] = []
    latency_ms: dict[str, float] = {}
    silent = ""
    queue = deque(plan(profile))
    while queue:
        request = queue.popleft()
        begun = clock()
        try:
            answer = Answer(request, None if silent else await _read(bus, unit_id, profile, request), silent)
        except DeviceTimeout as error:
            silent = "" if any(earlier.words for earlier in answers) else str(error)
            answer = Answer(request, None, str(error))
        except DeviceRefused as error:
            if len(request.points) > 1:
                queue.extendleft(_alone(profile, point) for point in reversed(request.points))
                continue
            answer = Answer(request, None, str(error))
        latency_ms |= dict.fromkeys(request.points, round((clock() - begun) * 1000, 1)) if answer.words else {}
        answers.append(answer)
    return tuple(_point(profile, row, latency_ms.get(row.point)) for row in decode(profile, answers))


def _alone(profile: Profile, point: str) -> Request:
    """The request for one point and nothing beside it that the model does not ask for."""
    register, model = profile.points[point].register, profile.modbus
    assert register is not None and model is not None, "a planned point has a register"
    first = register.address - register.address % model.align
    end = -(-(register.address + register.count) // model.align) * model.align
    return Request(register.table, first, end - first, (point,))


def _point(profile: Profile, row: Decoded, latency_ms: float | None) -> PointRead:
    return PointRead(
        point=row.point,
        metric=row.metric,
        value=row.value,
        unit=profile.points[row.point].unit,
        words=row.words,
        quality=row.quality,
        reason=row.reason,
        latency_ms=latency_ms,
    )


def where(config: GatewayConfig, address: Address) -> str:
    """An address in words, with the end it stands for."""
    if address.bus is not None:
        bus = bus_config(config, address.bus)
        return f"{address.bus} ({bus.end}) unit {address.unit_id}"
    return f"{address.broker} " + " ".join(f"{name}={value}" for name, value in sorted(address.topic.items()))


async def _read(bus: Reads, unit_id: int, profile: Profile, request: Request) -> tuple[int, ...]:
    modbus = profile.modbus
    for left in reversed(range(TRIES)):
        try:
            return await bus.read(unit_id, request.table, request.address, request.count, modbus.timeout_s if modbus else None)
        except DeviceTimeout:
            if not left:
                raise
        finally:
            if modbus and modbus.gap_ms:
                await asyncio.sleep(modbus.gap_ms / 1000)
    raise AssertionError("TRIES is at least 1")


def _device_of(config: GatewayConfig, library: Library, asked: Probe) -> DeviceConfig:
    """The device that a request means, its address checked. Raises ``ConfigInvalid``."""
    if asked.device is not None:
        for device in config.devices:
            if device.id == asked.device:
                return device
        cure = nearest(asked.device, [device.id for device in config.devices])
        raise ConfigInvalid([Problem(str(config.devices_file), "devices", f"no device {asked.device!r}", cure)])
    plain: dict[str, Any] = {"id": "probe", "profile": asked.profile or "", "address": asked.address, "inputs": asked.inputs}
    plain |= {"kind": asked.kind} if asked.kind else {}
    device = convert(plain, "the address asked for", DeviceConfig)
    problems = device_problems(msgspec.structs.replace(config, devices=(device,)), library)
    if problems:
        raise ConfigInvalid(
            problem._replace(file="the address asked for", path=problem.path.removeprefix("devices[0].")) for problem in problems
        )
    return device


def _seen(observation: Observation) -> Seen:
    return Seen(
        values=dict(observation.values),
        at=observation.at,
        event_id=observation.event_id,
        quality=observation.quality,
        faults=dict(observation.faults or {}),
    )
