"""What a profile file may say: the YAML format as frozen types, nothing decided yet.

A profile joins everything about a device model once. ``points`` say what a value means (metric, unit, scale, range,
how often it is wanted); ``modbus`` bindings say where in the registers it stands, ``mqtt`` messages where in a payload.
Addresses are 0-based wire addresses. ``device_profiles.resolve`` checks a document and makes a ``Profile`` of it;
the JSON Schema for editors is made of these types.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from device_profiles.format_base import PointName, Scalar
from device_profiles.format_examples import Examples
from telemetry.identity import NAME_PATTERN
from telemetry.metric import Kind
from telemetry.presence import Words

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 7)]
Address = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


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


class Encoding(StrEnum):
    """How a value stands in a payload. ``number``: a number, also as text; ``list``: a list of texts, sorted and joined by
    commas; ``base64``: UTF-8 text in base64."""

    PLAIN = "plain"
    NUMBER = "number"
    BASE64 = "base64"
    LIST = "list"


class Absent(StrEnum):
    """What a field that is not there means: nothing new, zero (or false, or empty), or that the value is not known now."""

    UNCHANGED = "unchanged"
    ZERO = "zero"
    UNKNOWN = "unknown"


class Source(_Strict, frozen=True):
    """Where in the message a point stands, or the constant that the message itself means.

    ``$`` is the whole payload (inside ``each`` the element), ``^.a`` is seen from the whole payload always, ``#2`` is the
    third level of the topic. ``unit`` and ``absent`` go before those of the point and of the message.
    """

    path: str = ""
    value: Scalar | None = None
    encoding: Encoding = Encoding.PLAIN
    unit: str | None = None
    absent: Absent | None = None


class Check(_Strict, frozen=True):
    """A condition that is more than equality; all that are given must hold."""

    present: bool | None = None
    other_than: tuple[Scalar, ...] = ()
    at_least: float | None = None
    at_most: float | None = None


class EventFrom(_Strict, frozen=True):
    """The event a payload names; a word that ``map`` does not hold is no event."""

    path: str
    map: dict[bool | int | str, str]


class DeviceTime(_Strict, frozen=True):
    """The device's own clock. ``zone`` is ``utc`` or a named zone for local time; an offset in the text goes before it.

    Believed only from ``past_s`` before to ``future_s`` after arrival; else the arrival counts and quality is uncertain.
    """

    path: str
    format: Literal["epoch_s", "epoch_ms", "epoch_us", "iso"]
    zone: str = "utc"
    past_s: Annotated[float, msgspec.Meta(gt=0, le=86_400 * 366)] = 86_400.0
    future_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 60.0


class MessageDocument(_Strict, frozen=True):
    """One meaning of one kind of message; several may share a topic and each that applies gives an observation.

    ``topic`` may hold ``{parameter}`` (one level), ``{parameter...}`` (one or several levels) and the wildcard ``+``.
    ``when``: paths and what they must hold (a value, a list of values, or a check); all must apply. ``any_changed``: pairs of
    paths of which at least one must differ. ``each``: a path to a list; the rest then applies to each element.
    ``event``: what happened, so that the reading is an event; ``event_id``: paths that make its key. ``require``: points
    without which the message says nothing. ``retained``: what a retained copy is worth: ``current`` (the broker keeps the truth:
    a last will), ``stale`` (the usual one for state), or ``ignore`` (the usual one for events). ``absent``: what a value that
    is not there means. ``carrier`` in place of ``topic``: paths are of the decoded object of a LoRaWAN uplink.
    """

    topic: Topic | None = None
    carrier: Literal["lorawan"] | None = None
    payload: Literal["json", "text"] = "json"
    when: dict[str, Scalar | tuple[Scalar, ...] | Check] = {}
    any_changed: dict[str, str] = {}
    each: str = ""
    event: str | EventFrom | None = None
    event_id: tuple[str | Source, ...] = ()
    time: DeviceTime | None = None
    retained: Literal["current", "stale", "ignore"] | None = None
    require: tuple[PointName, ...] = ()
    absent: Absent = Absent.UNCHANGED
    values: dict[PointName, str | Source] = {}


class MqttDocument(_Strict, frozen=True):
    """``interval_s``: how often the device is known to speak; ``None`` when it promises nothing.

    ``defaults``: parameters that a device's address may leave out.
    """

    messages: Annotated[tuple[MessageDocument, ...], msgspec.Meta(min_length=1)]
    interval_s: Seconds | None = None
    defaults: dict[str, Text] = {}


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
