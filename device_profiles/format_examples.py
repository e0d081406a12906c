"""What the examples of a profile file may say: real bytes or messages, and the values that their author expects."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from device_profiles.format_base import PointName, Scalar


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Origin(StrEnum):
    """``manual``: printed by the maker; ``recorded``: taken from a device; ``computed``: worked out by us."""

    MANUAL = "manual"
    RECORDED = "recorded"
    COMPUTED = "computed"


class Frame(_Strict, frozen=True, kw_only=True):
    """Complete RTU frames in hexadecimal, and what points a read gives, in the metrics' units.

    Without ``rx`` the request alone: it must be one that this profile plans. A write gives nothing; its answer must fit.
    """

    origin: Origin
    tx: str
    rx: str = ""
    gives: dict[PointName, Scalar | None] = {}
    given: dict[PointName, Scalar] = {}


class Vector(_Strict, frozen=True, kw_only=True):
    """Words of one point and its value, ``None`` where they mean no measurement. ``given``: raw values of helpers it
    depends on, or for a point with a formula (which has no words) the values of the points in it."""

    origin: Origin
    point: PointName
    words: tuple[Annotated[int, msgspec.Meta(ge=0, le=65_535)], ...] = ()
    gives: Scalar | None
    given: dict[PointName, Scalar] = {}
    parameters: dict[PointName, float] = {}


class Given(_Strict, frozen=True):
    """One observation. ``ref:X`` stands for the keyed hash of ``X``, in a value and in ``event_id``.

    ``at``: ISO, when the device's time counts. ``faults``: metrics that came and could not be taken.
    """

    values: dict[str, Scalar]
    event_id: str | None = None
    at: str | None = None
    quality: Literal["good", "uncertain", "stale", "bad"] = "good"
    faults: tuple[str, ...] = ()


class MessageExample(_Strict, frozen=True):
    """A message and the observations it gives. ``arrived_at`` is ISO; it matters where the device tells time."""

    origin: Origin
    topic: str
    parameters: dict[str, str] = {}
    payload: Any = None
    retained: bool = False
    arrived_at: str = "2025-03-18T02:11:10Z"
    gives: tuple[Given, ...] = ()


class UplinkExample(_Strict, frozen=True):
    """The decoded object of a LoRaWAN uplink, told as each network server tells it, and what it gives.

    ``at`` of an observation is left out where the server's time counts, ``event_id`` where it is the server's own key.
    """

    origin: Origin
    object: dict[str, Any]
    gives: tuple[Given, ...] = ()


class Examples(_Strict, frozen=True):
    frames: tuple[Frame, ...] = ()
    vectors: tuple[Vector, ...] = ()
    messages: tuple[MessageExample, ...] = ()
    uplinks: tuple[UplinkExample, ...] = ()
