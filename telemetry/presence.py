"""What a gateway keeps retained about itself: its state with the hello, and its inventory."""

import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec

from telemetry.batch import Epoch, Instant, Lane, Seq
from telemetry.errors import BatchInvalid
from telemetry.metric import Kind
from telemetry.reading import Name

MAX_BYTES = 1 << 20
MAX_SPANS = 256

_T = TypeVar("_T")


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """One epoch and lane in the outbox: ``first`` is the lowest seq not yet acknowledged, ``last`` the highest sealed.

    ``last == first - 1`` when all is acknowledged. Both sides find lost acknowledgements, gaps and rollbacks by it.
    """

    epoch: Epoch
    lane: Lane
    first: Seq
    last: Annotated[int, msgspec.Meta(ge=0)]
    before: Epoch | None = None
    before_last: Annotated[int, msgspec.Meta(ge=0)] = 0


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Retained, and the last will with ``online`` false."""

    v: Literal[1] = 1
    online: bool
    at: Instant
    software: Annotated[str, msgspec.Meta(max_length=64)] = ""
    config_hash: Annotated[str, msgspec.Meta(max_length=64)] = ""
    inventory_hash: Annotated[str, msgspec.Meta(max_length=64)] = ""
    hello: Annotated[list[Span], msgspec.Meta(max_length=MAX_SPANS)] = []


class Words(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One text in both languages."""

    zh: Annotated[str, msgspec.Meta(max_length=128)] = ""
    en: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One place of the inventory, the hardware now there and what it can say (metric to unit).

    ``gc=False``: it holds no cycle, and a city has half a million.
    """

    id: Name
    kind: Kind
    profile: Annotated[str, msgspec.Meta(max_length=64)]
    profile_version: int = 1
    place: Words = Words()
    zone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    unit: Annotated[str, msgspec.Meta(max_length=64)] = ""
    metrics: dict[str, str] = {}
    interval_s: float | None = None


class Inventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``hash`` is of the devices alone, so that both sides can compare it."""

    v: Literal[1] = 1
    at: Instant
    hash: Annotated[str, msgspec.Meta(max_length=64)]
    devices: Annotated[list[Device], msgspec.Meta(max_length=10_000)] = []


_encoder = msgspec.json.Encoder()
_state = msgspec.json.Decoder(State)
_inventory = msgspec.json.Decoder(Inventory)


def inventory_hash(devices: list[Device]) -> str:
    return hashlib.sha256(_encoder.encode(sorted(devices, key=lambda device: device.id))).hexdigest()[:16]


def encode(message: State | Inventory) -> bytes:
    return _encoder.encode(message)


def decode_state(message: bytes) -> State:
    """Raises ``BatchInvalid``."""
    return _decode(_state, message)


def decode_inventory(message: bytes) -> Inventory:
    """Raises ``BatchInvalid``."""
    return _decode(_inventory, message)


def _decode(decoder: msgspec.json.Decoder[_T], message: bytes) -> _T:
    if len(message) > MAX_BYTES:
        raise BatchInvalid(f"a message of {len(message)} bytes")
    try:
        return decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchInvalid(str(error)) from error
