"""What a profile file may say: the YAML format as frozen types, nothing decided yet.

A profile joins everything about a device model once. ``points`` say what a value means (metric, unit, scale, range,
how often it is wanted); ``modbus`` bindings say where in the registers it stands, ``mqtt`` messages where in a payload.
Addresses are 0-based wire addresses. ``device_profiles.resolve`` checks a document and makes a ``Profile`` of it;
the JSON Schema for editors is made of these types.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from telemetry.identity import NAME_PATTERN
from telemetry.metric import Kind
from telemetry.presence import Words

Scalar = bool | int | float | str
PointName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 7)]
Address = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


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


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Binding(_Strict, frozen=True):
    """Where a point stands. ``bit`` (0 is the lowest) or ``bits`` (lowest, highest) cut it out of an unsigned register.

    ``registers`` is needed for ``bcd`` and ``ascii`` alone; the other types know their width.
    """

    table: Table
    address: Address
    type: RawType = RawType.UINT16
    order: Order = Order.ABCD
    registers: Annotated[int, msgspec.Meta(ge=1, le=125)] | None = None
    bit: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    bits: tuple[Annotated[int, msgspec.Meta(ge=0, le=63)], Annotated[int, msgspec.Meta(ge=0, le=63)]] | None = None


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
    one of the given values, else this one means nothing.
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
    note: str = ""


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
    holes: tuple[Hole, ...] = ()


class Encoding(StrEnum):
    """How a value stands in a payload. ``number``: a number, also as text; ``list``: a list of texts, sorted and joined by
    commas; ``base64``: UTF-8 text in base64."""

    PLAIN = "plain"
    NUMBER = "number"
    BASE64 = "base64"
    LIST = "list"


class Source(_Strict, frozen=True):
    """Where in the payload a point stands (``$`` is all of it), or the constant that the message itself means."""

    path: str = ""
    value: Scalar | None = None
    encoding: Encoding = Encoding.PLAIN


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
    a last will), ``stale`` (the usual one for state), or ``ignore`` (the usual one for events).
    """

    topic: Topic
    payload: Literal["json", "text"] = "json"
    when: dict[str, Scalar | tuple[Scalar, ...] | Check] = {}
    any_changed: dict[str, str] = {}
    each: str = ""
    event: str | EventFrom | None = None
    event_id: tuple[str, ...] = ()
    time: DeviceTime | None = None
    retained: Literal["current", "stale", "ignore"] | None = None
    require: tuple[PointName, ...] = ()
    values: dict[PointName, str | Source] = {}


class MqttDocument(_Strict, frozen=True):
    """``interval_s``: how often the device is known to speak; ``None`` when it promises nothing.

    ``defaults``: parameters that a device's address may leave out.
    """

    messages: Annotated[tuple[MessageDocument, ...], msgspec.Meta(min_length=1)]
    interval_s: Seconds | None = None
    defaults: dict[str, Text] = {}


class Origin(StrEnum):
    """``manual``: printed by the maker; ``recorded``: taken from a device; ``computed``: worked out by us."""

    MANUAL = "manual"
    RECORDED = "recorded"
    COMPUTED = "computed"


class Frame(_Strict, frozen=True):
    """One read on the wire: complete RTU frames in hexadecimal, and what points it gives, in the metrics' units."""

    origin: Origin
    tx: str
    rx: str
    gives: dict[PointName, Scalar | None]
    given: dict[PointName, Scalar] = {}


class Vector(_Strict, frozen=True):
    """Words of one point and its value, ``None`` where they mean no measurement. ``given``: helpers it depends on."""

    origin: Origin
    point: PointName
    words: tuple[Annotated[int, msgspec.Meta(ge=0, le=65_535)], ...]
    gives: Scalar | None
    given: dict[PointName, Scalar] = {}


class Given(_Strict, frozen=True):
    """One observation. ``ref:X`` stands for the keyed hash of ``X``, in a value and in ``event_id``.

    ``at``: ISO, when the device's time counts.
    """

    values: dict[str, Scalar]
    event_id: str | None = None
    at: str | None = None
    quality: Literal["good", "uncertain", "stale", "bad"] = "good"


class MessageExample(_Strict, frozen=True):
    """A message and the observations it gives. ``arrived_at`` is ISO; it matters where the device tells time."""

    origin: Origin
    topic: str
    parameters: dict[str, str] = {}
    payload: Any = None
    retained: bool = False
    arrived_at: str = "2025-03-18T02:11:10Z"
    gives: tuple[Given, ...] = ()


class Examples(_Strict, frozen=True):
    frames: tuple[Frame, ...] = ()
    vectors: tuple[Vector, ...] = ()
    messages: tuple[MessageExample, ...] = ()


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
    modbus: ModbusMap | None = None
    mqtt: MqttDocument | None = None
    points: Annotated[dict[PointName, PointDocument], msgspec.Meta(min_length=1)]
    examples: Examples


def schema() -> dict[str, Any]:
    """The JSON Schema of a profile file, for editors and checkers."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(ProfileDocument)}
