"""What a profile file may say of messages: topics, conditions, where values and times stand, and what an absence means."""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from device_profiles.format_base import PointName, Scalar, Seconds, Text, Topic


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


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
    """Where in the message a point stands, or the constant that the message itself means; as ``{way}`` a parameter that the
    device's address may give.

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
