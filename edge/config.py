"""A gateway's configuration: ``gateway.yaml``, written by people, and ``devices.yaml`` beside it, kept by ``linli device``.

Both become frozen values; everything wrong with either is said at once. Secrets stand in files of mode 0600, never in YAML.
Paths are relative to the file that names them.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from device_profiles import (
    Library,
    Meaning,
    Profile,
    address_faults,
    input_faults,
    parameter_faults,
    read_text,
    with_inputs,
    with_parameters,
)
from edge.bus_config import BusConfig, RtuBus, SerialLine
from telemetry.broker import Broker, broker_problems, public_files, secret_files
from telemetry.document import nearest, parse, read
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import COMMUNITY_PATTERN
from telemetry.metric import Kind
from telemetry.presence import Words
from telemetry.reading import Name
from telemetry.topic import DEFAULT_ROOT, is_root

DEVICES_FILE = "devices.yaml"

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Period = Annotated[float, msgspec.Meta(ge=0.05, le=86_400)]
Pattern = Annotated[str, msgspec.Meta(pattern=COMMUNITY_PATTERN, description="12 digits in quotes, or 15 with the grid")]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    community: Pattern
    name: Words = Words()


class Centre(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the uplink goes; ``key_file`` holds the gateway's key as 64 hex characters."""

    broker: Broker
    key_file: str
    root: str = DEFAULT_ROOT


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``key_file``: the community's key for hashes of plates and cards. ``clear``: kinds kept unmasked (none by default)."""

    key_file: str
    clear: tuple[Literal["plate", "credential"], ...] = ()


class DeviceBroker(Broker, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A broker that devices publish to."""

    id: Name


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``gateway.yaml``."""

    gateway: Identity
    centre: Centre
    privacy: Privacy
    data: str = "data"
    devices_file: str = DEVICES_FILE
    profiles: tuple[str, ...] = ()
    buses: tuple[BusConfig, ...] = ()
    brokers: tuple[DeviceBroker, ...] = ()
    outbox_max_mb: Annotated[int, msgspec.Meta(ge=8, le=1_000_000)] = 1024
    outbox_max_days: Annotated[float, msgspec.Meta(ge=1, le=3_650)] = 7
    health_interval_s: Period = 10.0


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a device is reached today: a unit on a bus, or the parameters of its profile's topics on a broker."""

    bus: str | None = None
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    broker: str | None = None
    topic: dict[str, str] = {}


class Wired(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a contact means; ``inverted`` where it is open when that comes about."""

    word: str
    inverted: bool = False


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One place. ``unit`` is the serial number of the hardware now there; ``interval_s`` overrides the profile's polls.

    ``parameters``: what only the site knows and the profile asks for, as a transformer's ratio. ``inputs``: what is wired to the
    contacts of a module, point to word; ``kind`` where the words alone do not tell it. Several devices with inputs may stand at
    one address, each with contacts of its own.
    """

    id: Name
    profile: str
    address: Address
    place: Words = Words()
    zone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    unit: Annotated[str, msgspec.Meta(max_length=64)] = ""
    interval_s: Period | None = None
    parameters: dict[str, float] = {}
    kind: Kind | None = None
    inputs: dict[str, str | Wired] = {}

    @property
    def meanings(self) -> dict[str, Meaning]:
        """The inputs, each with its word."""
        plain = {name: Wired(said) if isinstance(said, str) else said for name, said in self.inputs.items()}
        return {name: Meaning(wired.word, wired.inverted) for name, wired in plain.items()}


class Devices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``devices.yaml``."""

    devices: tuple[DeviceConfig, ...] = ()


class GatewayConfig(msgspec.Struct, frozen=True):
    """Both files, checked against each other and the profile library."""

    file: Path
    gateway: Gateway
    devices: tuple[DeviceConfig, ...]

    def path(self, name: str) -> Path:
        """A path of ``gateway.yaml``, seen from the file's folder."""
        return (self.file.parent / name).absolute()

    @property
    def data_dir(self) -> Path:
        return self.path(self.gateway.data)

    @property
    def devices_file(self) -> Path:
        return self.path(self.gateway.devices_file)

    @property
    def control_socket(self) -> Path:
        """Where a running agent listens for installers on this machine."""
        return self.data_dir / "control.sock"

    @property
    def outbox_file(self) -> Path:
        return self.data_dir / "outbox.db"


def profile_dirs(file: Path) -> tuple[Path, ...]:
    """The extra profile folders that ``gateway.yaml`` names; needed to load the library before the rest is checked."""
    names = _said(file, "profiles", [])
    return tuple(file.parent / name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def load(file: Path, library: Library) -> GatewayConfig:
    """The configuration in ``file`` and its devices file. Raises ``ConfigInvalid`` with every problem of both."""
    try:
        gateway = read(read_text(file), str(file), Gateway)
    except ConfigInvalid as error:
        raise ConfigInvalid([*error.problems, *_devices_file_problems(file)]) from error
    config = GatewayConfig(file.resolve(), gateway, ())
    problems = list(_gateway_problems(config))
    devices: tuple[DeviceConfig, ...] = ()
    try:
        devices = read(read_text(config.devices_file, absent=""), str(config.devices_file), Devices).devices
    except ConfigInvalid as error:
        problems += error.problems
    config = msgspec.structs.replace(config, devices=devices)
    problems += device_problems(config, library)
    if problems:
        raise ConfigInvalid(problems)
    return config


def _said(file: Path, key: str, default: object) -> object:
    """What ``gateway.yaml`` says under ``key``, whether the rest of it is good or not."""
    try:
        data = parse(read_text(file), str(file))
    except ConfigInvalid:
        return default
    return data.get(key, default) if isinstance(data, dict) else default


def _devices_file_problems(file: Path) -> tuple[Problem, ...]:
    """What is wrong with the devices file in itself, told together with a ``gateway.yaml`` that it cannot be held against."""
    devices_file = file.resolve().parent / str(_said(file, "devices_file", DEVICES_FILE))
    try:
        read(read_text(devices_file, absent=""), str(devices_file), Devices)
    except ConfigInvalid as error:
        return error.problems
    return ()


def device_problems(config: GatewayConfig, library: Library) -> list[Problem]:
    """Everything wrong with the devices: ids, profiles, buses, brokers, addresses, all in one pass."""
    file = str(config.devices_file)
    seen: dict[object, int] = {}
    shared = _shared_places(config.devices)
    problems: list[Problem] = []
    for number, device in enumerate(config.devices):
        here = f"devices[{number}]"
        for key, at in _own(device, shared):
            first = seen.setdefault(key, number)
            if first != number:
                problems.append(
                    Problem(file, f"{here}{at}", f"the same as devices[{first}] ({config.devices[first].id})", "each stands once")
                )
        if device.id == config.gateway.gateway.id:
            problems.append(
                Problem(file, f"{here}.id", "is the gateway's own", "choose another id; the gateway reports under its own")
            )
        profile = library.profiles.get(device.profile)
        if profile is None:
            cure = nearest(device.profile, library.profiles)
            problems.append(Problem(file, f"{here}.profile", f"no profile {device.profile!r}", cure))
        else:
            problems += (
                Problem(file, f"{here}.address{at}", reason, cure)
                for at, reason, cure in _address_faults(config, device, profile)
            )
            problems += (
                Problem(file, f"{here}.parameters.{name}", reason, f"linli profile show {profile.id}")
                for name, reason in parameter_faults(profile, device.parameters).items()
            )
            problems += (
                Problem(file, f"{here}.{at}", reason, cure)
                for at, reason, cure in input_faults(profile, device.meanings, device.kind)
            )
    return problems


def profile_of(device: DeviceConfig, library: Library) -> Profile:
    """The profile of a device whose configuration was checked, with the site's parameters in it and what its inputs mean."""
    return with_inputs(with_parameters(library.profiles[device.profile], device.parameters), device.meanings, device.kind)


def read_key(path: Path, what: str) -> bytes:
    """A key of 32 bytes from a file of 64 hex characters that its owner alone can read. Raises ``ConfigInvalid``."""
    problem = secret_problem(path, what)
    if problem:
        raise ConfigInvalid([problem])
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != 32:
        raise ConfigInvalid([Problem(str(path), "", f"the {what} is not 64 hex characters", "make it with 'linli gateway init'")])
    return key


def secret_problem(path: Path, what: str) -> Problem | None:
    """Why a secret file cannot be used, or ``None``."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return Problem(str(path), "", f"the {what} is not a file to read", "make it with 'linli gateway init'")
    except OSError as error:
        return Problem(str(path), "", f"the {what} cannot be read: {error.strerror}", "make it with 'linli gateway init'")
    if stat.S_IMODE(mode) & 0o077:
        return Problem(str(path), "", f"the {what} can be read by others (mode {stat.S_IMODE(mode):04o})", f"chmod 600 {path}")
    return None


def _gateway_problems(config: GatewayConfig) -> Iterator[Problem]:
    file, gateway = str(config.file), config.gateway
    yield from broker_problems(gateway.centre.broker, file, "centre.broker")
    if not is_root(gateway.centre.root):
        yield Problem(file, "centre.root", f"{gateway.centre.root!r} cannot stand before a topic", f"for example {DEFAULT_ROOT}")
    for name, what in ((gateway.centre.key_file, "gateway's key"), (gateway.privacy.key_file, "community's privacy key")):
        try:
            read_key(config.path(name), what)
        except ConfigInvalid as error:
            yield from error.problems
    for number, broker in enumerate(gateway.brokers):
        yield from broker_problems(broker, file, f"brokers[{number}]")
    reached: tuple[Broker, ...] = (gateway.centre.broker, *gateway.brokers)
    for name in sorted({name for broker in reached for name in secret_files(broker)}):
        if (problem := secret_problem(config.path(name), "broker's secret")) is not None:
            yield problem
    for name in sorted({name for broker in reached for name in public_files(broker)}):
        try:
            read_text(config.path(name))
        except ConfigInvalid as error:
            yield from error.problems
    for number, bus in enumerate(gateway.buses):
        if isinstance(bus, RtuBus) and not Path(bus.port).is_absolute():
            cure = "its whole path, as /dev/ttyUSB0; those in /dev/serial/by-id stay the same when adapters are exchanged"
            yield Problem(file, f"buses[{number}].port", f"{bus.port!r} is not the path of a port", cure)
        if not isinstance(bus, RtuBus) and not _HOST.fullmatch(bus.host):
            yield Problem(file, f"buses[{number}].host", f"{bus.host!r} is not a host", "a name or an address, without port")
    for name in ("buses", "brokers"):
        ids = [item.id for item in getattr(gateway, name)]
        for number, id_ in enumerate(ids):
            if id_ in ids[:number]:
                yield Problem(file, f"{name}[{number}].id", f"{id_!r} stands twice", "each bus or broker has its own id")
    ends = [bus.end for bus in gateway.buses]
    for number, end in enumerate(ends):
        if end in ends[:number]:
            yield Problem(
                file, f"buses[{number}]", f"{end} is already another bus", "one bus has one master; put its units on one bus"
            )


_HOST = re.compile(r"(?![^:]*:[^:]*\Z)[^\s/@\[\]]{1,253}")
"""One colon would be a port's; an IPv6 address has more."""

_LINE_UNITS = frozenset(range(1, 248))
_PORT_UNITS = _LINE_UNITS | {0, 255}
"""What speaks Modbus TCP itself is often reached by unit 0 or 255; on a line 0 is everybody and 248 to 255 are reserved."""


def _units_of(config: GatewayConfig, bus_id: str) -> frozenset[int]:
    on_a_line = any(isinstance(bus, SerialLine) and bus.id == bus_id for bus in config.gateway.buses)
    return _LINE_UNITS if on_a_line else _PORT_UNITS


def _shared_places(devices: tuple[DeviceConfig, ...]) -> frozenset[object]:
    """The addresses at which every device has contacts of its own, of one and the same module."""
    at: dict[object, list[DeviceConfig]] = {}
    for device in devices:
        at.setdefault(_place_of(device), []).append(device)
    return frozenset(place for place, those in at.items() if all(one.inputs and one.profile == those[0].profile for one in those))


def _own(device: DeviceConfig, shared: frozenset[object]) -> Iterator[tuple[object, str]]:
    """What no other device may have, each with its path: its id, and its address or its contacts there."""
    yield ("id", device.id), ".id"
    place = _place_of(device)
    if place not in shared:
        yield ("address", place), ".address"
    for name in device.inputs if place in shared else ():
        yield ("input", place, name), f".inputs.{name}"


def _place_of(device: DeviceConfig) -> object:
    address = device.address
    if address.bus is not None:
        return ("bus", address.bus, address.unit_id)
    return ("broker", address.broker, device.profile, tuple(sorted(address.topic.items())))


def _address_faults(config: GatewayConfig, device: DeviceConfig, profile: Profile) -> Iterator[tuple[str, str, str]]:
    address, gateway = device.address, config.gateway
    if (address.bus is None) == (address.broker is None):
        yield "", "names neither or both of bus and broker", "give bus and unit_id, or broker and topic"
    elif address.bus is not None:
        if profile.modbus is None:
            yield ".bus", f"profile {profile.id} does not speak Modbus", "give broker and topic"
        if address.bus not in (ids := [bus.id for bus in gateway.buses]):
            yield ".bus", f"no bus {address.bus!r} in {config.file.name}", nearest(address.bus, ids)
        if address.unit_id is None:
            yield ".unit_id", "is missing", "the Modbus unit id of the device, 1 to 247"
        elif address.unit_id not in (units := _units_of(config, address.bus)):
            yield ".unit_id", f"no unit can have {address.unit_id}", "1 to 247" + (", 0 or 255" if 255 in units else "")
    else:
        if profile.mqtt is None:
            yield ".broker", f"profile {profile.id} does not speak MQTT", "give bus and unit_id"
            return
        if address.broker not in (ids := [broker.id for broker in gateway.brokers]):
            yield ".broker", f"no broker {address.broker!r} in {config.file.name}", nearest(address.broker or "", ids)
        known = profile.mqtt.known
        for name, fault in address_faults(profile, address.topic).items():
            yield f".topic.{name}", fault, f"parameters of {profile.id}: {', '.join(sorted(known))}"
