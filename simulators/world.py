"""A world: the devices of a simulated community and the ends at which they are reached. ``world.yaml`` to frozen values.

Everything wrong with a world and its scenario is said at once, each with its place and a cure.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from device_profiles import Library, read_text
from simulators import scenario, signals
from simulators.scenario import Scenario, Step
from simulators.signals import Signal
from telemetry.document import nearest, read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.metric import Value
from telemetry.reading import Name

Level = Annotated[str, msgspec.Meta(pattern=r"^[^+#/\x00]{1,64}\Z")]
TopicName = Annotated[str, msgspec.Meta(pattern=r"^[^+#\x00]{1,256}\Z")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Pause = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class TcpBus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tcp", tag_field="type"):
    """A Modbus TCP port; 0 takes any free one."""

    id: Name
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    host: str = "127.0.0.1"


class SerialBus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="serial", tag_field="type"):
    """A serial line on a pseudo-terminal; masters find it in the run folder under ``link``."""

    id: Name
    link: FileName


class ModbusEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="modbus", tag_field="type"):
    """A unit on a bus. ``points``: what each point of its profile does, in the profile's words and canonical units."""

    bus: str
    unit_id: Annotated[int, msgspec.Meta(ge=1, le=255)]
    points: Annotated[dict[str, Signal], msgspec.Meta(min_length=1)]


class Zigbee2MqttEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="zigbee2mqtt", tag_field="type"):
    """A sensor of a bridge: its friendly name, its fields before the story changes them, its habit of reporting."""

    name: TopicName
    fields: Annotated[dict[str, Value], msgspec.Meta(min_length=1)]
    report_every_s: Pause = 60.0
    base: TopicName = "zigbee2mqtt"


class EspRfidEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="esp-rfid", tag_field="type"):
    topic: TopicName


class FrigateEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="frigate", tag_field="type"):
    camera: Level
    prefix: TopicName = "frigate"


class VzenithEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="vzenith", tag_field="type"):
    serial: Level


class MqttEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mqtt", tag_field="type"):
    """Anything else that publishes, below ``topic``, what the story says."""

    topic: TopicName


DeviceEnd = ModbusEnd | Zigbee2MqttEnd | EspRfidEnd | FrigateEnd | VzenithEnd | MqttEnd

SAYS: Mapping[type[DeviceEnd], tuple[type[Step], ...]] = {
    ModbusEnd: (scenario.Bend, scenario.Switch, scenario.Silence, scenario.Refuse),
    Zigbee2MqttEnd: (scenario.Report,),
    EspRfidEnd: (scenario.Swipe,),
    FrigateEnd: (scenario.Track,),
    VzenithEnd: (scenario.Plate,),
    MqttEnd: (scenario.Publish,),
}
"""Which steps of a story can happen to which device."""


class DeviceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    profile: str
    end: DeviceEnd


class World(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A world file. ``grid_s``: registers change at whole multiples of it, in virtual seconds."""

    seed: int = 1
    speed: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    grid_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 1.0
    scenario: str = ""
    buses: tuple[TcpBus | SerialBus, ...] = ()
    devices: tuple[DeviceSpec, ...]


class Stage(msgspec.Struct, frozen=True):
    """A world with its story, checked against each other and against the profiles."""

    world: World
    story: Scenario
    library: Library

    def modbus(self, bus: str) -> Iterator[tuple[DeviceSpec, ModbusEnd]]:
        """The units on a bus."""
        for device in self.world.devices:
            if isinstance(device.end, ModbusEnd) and device.end.bus == bus:
                yield device, device.end


def load_stage(file: Path, library: Library, story: Path | None = None, only: Collection[str] = ()) -> Stage:
    """The world in ``file`` with its own scenario, or with ``story``; of it what raises the kinds ``only``, if any are named.

    Raises ``ConfigInvalid`` with every problem.
    """
    world = read(read_text(file), str(file), World)
    problems = list(_world_problems(world, file, library))
    told = Scenario(())
    story = story or (file.parent / world.scenario if world.scenario else None)
    if story is not None:
        try:
            told = read(read_text(story), str(story), Scenario)
        except ConfigInvalid as error:
            problems += error.problems
        problems += _story_problems(told, story, world)
    problems += (
        Problem(str(story or file), kind, "no step raises it", nearest(kind, told.kinds))
        for kind in only
        if kind not in told.kinds
    )
    if problems:
        raise ConfigInvalid(problems)
    return Stage(world, told.only(only) if only else told, library)


def _world_problems(world: World, file: Path, library: Library) -> Iterator[Problem]:
    buses = [bus.id for bus in world.buses]
    for number, bus in enumerate(buses):
        if bus in buses[:number]:
            yield Problem(str(file), f"buses[{number}].id", f"{bus!r} stands twice", "each bus has its own id")
    seen: dict[object, int] = {}
    for number, device in enumerate(world.devices):
        here = f"devices[{number}]"
        for key, what in ((device.id, f"{here}.id"), (_place(device.end), f"{here}.end")):
            if seen.setdefault(key, number) != number:
                yield Problem(str(file), what, f"the same as devices[{seen[key]}]", "each stands once")
        if device.profile not in library.profiles:
            yield Problem(
                str(file), f"{here}.profile", f"no profile {device.profile!r}", nearest(device.profile, library.profiles)
            )
        elif isinstance(device.end, ModbusEnd):
            for path, reason, cure in _unit_faults(device, device.end, buses, library):
                yield Problem(str(file), f"{here}.end{path}", reason, cure)


def _unit_faults(device: DeviceSpec, end: ModbusEnd, buses: list[str], library: Library) -> Iterator[tuple[str, str, str]]:
    known = {name: point for name, point in library.profiles[device.profile].points.items() if point.register is not None}
    if library.profiles[device.profile].modbus is None:
        yield "", f"profile {device.profile} does not speak Modbus", "choose another profile or another type of end"
    if end.bus not in buses:
        yield ".bus", f"no bus {end.bus!r}", nearest(end.bus, buses)
    for name in sorted(end.points.keys() - known.keys()):
        yield f".points.{name}", f"profile {device.profile} has no point {name!r}", nearest(name, known)
    for name in sorted(known.keys() - end.points.keys()):
        yield f".points.{name}", "is missing", f"say what {name} does"
    for name, reason, cure in signals.faults(end.points):
        yield f".points.{name}", reason, cure


def _story_problems(told: Scenario, file: Path, world: World) -> Iterator[Problem]:
    points = {device.id: frozenset(device.end.points if isinstance(device.end, ModbusEnd) else ()) for device in world.devices}
    for path, reason, cure in scenario.faults(told, points):
        yield Problem(str(file), path, reason, cure)
    ends = {device.id: device.end for device in world.devices}
    for number, step in enumerate(told.steps):
        end = ends.get(step.device)
        if end is not None and not isinstance(step, SAYS[type(end)]):
            able = ", ".join(str(kind.__struct_config__.tag) for kind in SAYS[type(end)])
            yield Problem(str(file), f"steps[{number}].do", f"cannot happen to {step.device}", f"to such a device: {able}")


def _place(end: DeviceEnd) -> object:
    match end:
        case ModbusEnd():
            return end.bus, end.unit_id
        case Zigbee2MqttEnd():
            return "zigbee2mqtt", end.base, end.name
        case EspRfidEnd():
            return "esp-rfid", end.topic
        case FrigateEnd():
            return "frigate", end.prefix, end.camera
        case MqttEnd():
            return "mqtt", end.topic
    return "vzenith", end.serial
