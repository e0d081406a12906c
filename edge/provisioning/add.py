"""Takes a device into ``devices.yaml``, or out of it.

1. A device is written only after it was read plausibly, or a person waived what was not.
2. The whole list is checked with the new device in it before anything is read or written.
3. What is written is durable before the agent is told; the same request twice changes nothing.
"""

import asyncio
from typing import Annotated, Any

import msgspec
import structlog

from edge.config import DeviceConfig, GatewayConfig, device_problems
from edge.provisioning import devices_file
from edge.provisioning.probe import Probed, Seconds, probe_device, where
from edge.provisioning.site import Site
from telemetry.document import convert, nearest
from telemetry.errors import BrokerUnavailable, BusUnavailable, ConfigInvalid, LinliError, Problem

log = structlog.get_logger()


class Add(msgspec.Struct, frozen=True, kw_only=True, tag="add", tag_field="verb", forbid_unknown_fields=True):
    """``device`` as it would stand in ``devices.yaml``. ``accept``: why it is taken although it does not read plausibly."""

    device: dict[str, Any]
    accept: Annotated[str, msgspec.Meta(max_length=256)] = ""
    seconds: Seconds = 60.0


class Added(msgspec.Struct, frozen=True, kw_only=True, tag="added", tag_field="answer"):
    """``already``: it was there, the same in everything, and nothing was read. ``waived``: doubts that were accepted."""

    device: str
    already: bool = False
    probed: Probed | None = None
    waived: tuple[str, ...] = ()


class Remove(msgspec.Struct, frozen=True, tag="remove", tag_field="verb", forbid_unknown_fields=True):
    device: str


class Removed(msgspec.Struct, frozen=True, tag="removed", tag_field="answer"):
    device: str


class Implausible(LinliError):
    """The device was not taken because it does not read as its profile says; one problem a point."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


async def add(site: Site, asked: Add) -> Added:
    """Raises ``ConfigInvalid``, ``Implausible``, ``BusUnavailable`` or ``BrokerUnavailable``."""
    file = site.config.devices_file
    there = devices_file.load(file)
    device = convert(asked.device, str(file), DeviceConfig, f"devices[{len(there)}]")
    if device in there:
        return Added(device=device.id, already=True)
    same_id = [known for known in there if known.id == device.id]
    if same_id:
        raise ConfigInvalid([_taken(site.config, same_id[0])])
    devices = (*there, device)
    problems = device_problems(msgspec.structs.replace(site.config, devices=devices), site.library)
    if problems:
        raise ConfigInvalid(problems)
    probed, doubts = await _doubts(site, device, asked)
    if doubts and not asked.accept:
        raise Implausible(_problems(site.config, device, doubts))
    waived = tuple(f"{point}: {reason}" for point, reason in doubts)
    await _write(site, devices)
    log.info("device added", device=device.id, profile=device.profile, waived=len(waived), accept=asked.accept or None)
    return Added(device=device.id, probed=probed, waived=waived)


async def remove(site: Site, asked: Remove) -> Removed:
    """Raises ``ConfigInvalid`` when there is no such device."""
    file = site.config.devices_file
    there = devices_file.load(file)
    left = tuple(device for device in there if device.id != asked.device)
    if len(left) == len(there):
        cure = nearest(asked.device, [device.id for device in there])
        raise ConfigInvalid([Problem(str(file), "devices", f"no device {asked.device!r}", cure)])
    problems = device_problems(msgspec.structs.replace(site.config, devices=left), site.library)
    if problems:
        raise ConfigInvalid(problems)
    await _write(site, left)
    log.info("device removed", device=asked.device)
    return Removed(asked.device)


def _taken(config: GatewayConfig, there: DeviceConfig) -> Problem:
    cure = f"choose another id, or take that one out first: linli device remove {there.id}"
    words = f"{there.id!r} is there already, not the same: {there.profile} at {where(config, there.address)}"
    return Problem(str(config.devices_file), "devices", words, cure)


async def _write(site: Site, devices: tuple[DeviceConfig, ...]) -> None:
    await asyncio.to_thread(devices_file.save, site.config.devices_file, devices)
    await site.replace_devices(devices)


async def _doubts(site: Site, device: DeviceConfig, asked: Add) -> tuple[Probed | None, tuple[tuple[str, str], ...]]:
    """What the device said, and what keeps it from being taken. A bus that cannot be reached may be waived too."""
    try:
        probed = await probe_device(site, device, asked.seconds, enough=1)
    except (BusUnavailable, BrokerUnavailable) as error:
        if not asked.accept:
            raise
        return None, (("*", str(error)),)
    return probed, probed.doubts


def _problems(config: GatewayConfig, device: DeviceConfig, doubts: tuple[tuple[str, str], ...]) -> tuple[Problem, ...]:
    reasons = {reason for _, reason in doubts}
    if len(reasons) == 1 and len(doubts) > 1:
        doubts = (("*", reasons.pop()),)
    cure = 'check wiring, address and profile; or take it as it is with --accept "why"'
    return tuple(
        Problem(device.id, "" if point == "*" else point, f"{reason} [{where(config, device.address)}]", cure)
        for point, reason in doubts
    )
