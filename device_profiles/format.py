"""What a profile file may say: the YAML format as frozen types, nothing decided yet.

A profile joins everything about a device model once. ``points`` say what a value means (metric, unit, scale, range,
how often it is wanted); ``modbus`` bindings say where in the registers it stands, ``mqtt`` messages where in a payload.
Addresses are 0-based wire addresses. ``device_profiles.resolve`` checks a document and makes a ``Profile`` of it;
the JSON Schema for editors is made of these types.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from device_profiles.format_base import PointName, Scalar, Seconds, Text
from device_profiles.format_examples import Examples
from device_profiles.format_mqtt import MqttDocument
from telemetry.identity import NAME_PATTERN
from telemetry.metric import Kind
from telemetry.presence import Words

Address = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Table(StrEnum):
    """The four address spaces of Modbus; coils and discrete inputs hold bits, the others 16-bit registers."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


class Order(StrEnum):
    """Byte order of a value on the wire: A is its most significant byte."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


class RawType(StrEnum):
    """How registers are read; ``bit`` is one coil, one discrete input, or one bit of a register."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BIT = "bit"
    BCD = "bcd"
    ASCII = "ascii"


class Personal(StrEnum):
    """A value that names a person or a vehicle: it leaves the gateway masked, with a keyed hash, or as a hash alone."""

    PLATE = "plate"
    CREDENTIAL = "credential"
    PERSON = "person"


class Elsewhere(_Strict, frozen=True):
    """Another place where the same value stands in the same form; ``address`` is the same unless it is given."""

    table: Table
    address: Address | None = None


class Binding(_Strict, frozen=True):
    """Where a point stands. ``bit`` (0 is the lowest) or ``bits`` (lowest, highest) cut it out of an unsigned register.

    ``registers`` is needed for ``bcd`` and ``ascii`` alone; the other types know their width. ``plc``: the number that the
    manual prints (40001 is holding register 0), checked against table and address. ``also``: other places of the same
    value, tried in their order where the device refuses the first.
    """

    table: Table
    address: Address
    type: RawType = RawType.UINT16
    order: Order = Order.ABCD
    registers: Annotated[int, msgspec.Meta(ge=1, le=125)] | None = None
    bit: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    bits: tuple[Annotated[int, msgspec.Meta(ge=0, le=63)], Annotated[int, msgspec.Meta(ge=0, le=63)]] | None = None
    plc: Annotated[int, msgspec.Meta(ge=1, le=465_536)] | None = None
    also: tuple[Elsewhere, ...] = ()


class ScaleFrom(_Strict, frozen=True):
    """A factor that another register holds: itself, or ten to the power of it, or of its negative."""

    point: PointName
    means: Literal["factor", "exponent", "negative_exponent"] = "factor"


class UnitScale(_Strict, frozen=True):
    unit: str
    scale: float = 1.0


class UnitFrom(_Strict, frozen=True):
    """The unit that another register names by a code; ``scale`` goes from the device's unit to the named one."""

    point: PointName
    units: dict[int, str | UnitScale]


class PointDocument(_Strict, frozen=True):
    """One value of the device.

    ``value = raw * scale + offset`` in ``unit``, then converted to the metric's own unit. ``range`` and ``deadband`` are in
    ``unit`` too. ``metric`` is the point's name unless it says otherwise; a ``helper`` is read for others and not emitted.
    ``invalid``: raw values that mean "no measurement", compared before scaling. ``valid_when``: other points that must hold
    one of the given values, else this one means nothing. ``wrap``: the raw value where a counter starts again at zero.
    ``times``: parameters of the site that the value is multiplied by. ``formula``: arithmetic over other points and
    parameters, in place of a register or a field; it gives what stands here for ``raw``.
    """

    metric: str = ""
    helper: bool = False
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, float] | None = None
    invalid: tuple[int | str, ...] = ()
    map: dict[bool | int | str, Scalar] = {}
    invert: bool = False
    interval_s: Seconds | None = None
    deadband: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    heartbeat_s: Seconds = 300.0
    urgent: bool | None = None
    personal: Personal | None = None
    modbus: Binding | None = None
    scale_from: ScaleFrom | None = None
    unit_from: UnitFrom | None = None
    valid_when: dict[PointName, tuple[Scalar, ...]] = {}
    wrap: Annotated[int, msgspec.Meta(ge=2)] | None = None
    times: tuple[PointName, ...] = ()
    formula: Annotated[str, msgspec.Meta(max_length=200)] = ""
    note: str = ""


class ParameterDocument(_Strict, frozen=True):
    """What the site knows and the model does not, as a transformer's ratio. Without ``default`` it must be given."""

    meaning: Text
    default: float | None = None
    range: tuple[float, float] = (0.0, 1e9)


class Link(_Strict, frozen=True):
    """Factory settings; ``None`` is not stated by any source: the site must find out."""

    baud: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None


class Hole(_Strict, frozen=True):
    """Addresses, both ends included, that no request may touch."""

    table: Table
    first: Address
    last: Address


class ModbusMap(_Strict, frozen=True):
    """What requests the device bears. ``max_gap``: how many unused registers a request may read across to join two points.

    ``align``: start and count of a request are multiples of it. ``gap_ms``: silence the device wants before a request.
    ``address_base``: what the manual counts its addresses from; those in this file are always 0-based.
    """

    link: Link = Link()
    interval_s: Seconds = 10.0
    max_registers: Annotated[int, msgspec.Meta(ge=1, le=125)] = 125
    max_bits: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 2000
    max_gap: Annotated[int, msgspec.Meta(ge=0, le=124)] = 0
    align: Literal[1, 2, 4] = 1
    gap_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    timeout_s: Seconds | None = None
    one_point_per_request: bool = False
    address_base: Literal[0, 1, "uncertain"] = 0
    holes: tuple[Hole, ...] = ()


class ProfileDocument(_Strict, frozen=True, kw_only=True):
    """A whole file. ``confidence``: two or more independent sources agree, one source, or sources disagree."""

    id: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN.replace("\\Z", "$"))]
    version: Annotated[int, msgspec.Meta(ge=1)] = 1
    kind: Kind
    vendor: Text
    model: Text
    name: Words
    confidence: Literal["confirmed", "single", "uncertain"]
    notes: tuple[Text, ...] = ()
    sources: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    parameters: dict[PointName, ParameterDocument] = {}
    modbus: ModbusMap | None = None
    mqtt: MqttDocument | None = None
    points: Annotated[dict[PointName, PointDocument], msgspec.Meta(min_length=1)]
    examples: Examples


def schema() -> dict[str, Any]:
    """The JSON Schema of a profile file, for editors and checkers."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(ProfileDocument)}
