"""The one message of the system: a sealed batch of readings, and its bytes.

JSON, readable with any MQTT client; zlib-compressed when that is smaller. The first byte tells: ``{`` or 0x78.
Decoding is bounded: a small message cannot unpack into a large one. What it lets through a store can hold: each reading is
sound, and of one device at one instant there is one, the first; the others are poison.
"""

import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec

from telemetry.errors import BatchInvalid
from telemetry.identity import EPOCH_PATTERN, GatewayRef, Stream
from telemetry.reading import EARLIEST, LATEST, Name, Reading, all_sound, any_said_twice, faults_of

MAX_READINGS = 1_000
MAX_BYTES = 1 << 20
MAX_SEQ = (1 << 63) - 1
SAID_TWICE = "said twice: its batch has a reading of this device at this instant before it"

Instant = Annotated[int, msgspec.Meta(ge=EARLIEST, le=LATEST)]
Epoch = Annotated[str, msgspec.Meta(pattern=EPOCH_PATTERN)]
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]


class Lane(StrEnum):
    """``urgent`` is sealed at once and sent first: access, safety and every event. ``bulk`` is the rest."""

    URGENT = "urgent"
    BULK = "bulk"


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything of a batch but its readings. ``replay`` is the id of the command that asked for it again."""

    v: Literal[1] = 1
    gateway: Name
    epoch: Epoch
    lane: Lane
    seq: Seq
    sealed_at: Instant
    sent_at: Instant
    resent: bool = False
    replay: Annotated[str, msgspec.Meta(max_length=16)] = ""


class Batch(Head, frozen=True, kw_only=True, omit_defaults=True):
    """Readings sealed together; ``(epoch, lane, seq)`` is its key, fixed before it is first sent.

    ``seq`` starts at 1 in each (epoch, lane) and has no holes. ``sealed_at`` and ``sent_at`` are UTC microseconds.
    """

    readings: Annotated[list[Reading], msgspec.Meta(max_length=MAX_READINGS)]

    def stream(self, ref: GatewayRef) -> Stream:
        return Stream(ref.community, ref.gateway, self.epoch, self.lane)


class _Lenient(Head, frozen=True, kw_only=True, omit_defaults=True):
    readings: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_READINGS)]


class Poison(NamedTuple):
    """A reading that cannot be taken: its bytes and the reason."""

    body: bytes
    reason: str


class Decoded(NamedTuple):
    """A batch with its sound readings, what had to be left out of it, and the bytes of its JSON."""

    batch: Batch
    poison: tuple[Poison, ...]
    size: int


_encoder = msgspec.json.Encoder()
_batch = msgspec.json.Decoder(Batch)
_head = msgspec.json.Decoder(Head)
_lenient = msgspec.json.Decoder(_Lenient)
_reading = msgspec.json.Decoder(Reading)


def encode(batch: Batch) -> bytes:
    """The message of a batch; ``decode`` is its inverse."""
    return pack(_encoder.encode(batch))


def encode_readings(readings: Sequence[Reading]) -> bytes:
    """Readings as JSON with commas between them and no brackets: what ``join`` takes, and what a gateway stores."""
    return _encoder.encode(readings)[1:-1]


def join(head: Batch, readings: Sequence[bytes]) -> bytes:
    """The message of ``head``, which has no readings of its own, with readings that are already JSON."""
    return pack(_encoder.encode(head)[:-2] + b",".join(part for part in readings if part) + b"]}")


def pack(body: bytes) -> bytes:
    """``body`` as it travels: deflated when that is smaller."""
    packed = zlib.compress(body, 6)
    return packed if len(packed) < len(body) else body


def unpack(message: bytes) -> bytes:
    """The JSON of a message. Raises ``BatchInvalid`` when it is neither JSON nor zlib, or too large."""
    if not message or len(message) > MAX_BYTES:
        raise BatchInvalid(f"a message of {len(message)} bytes; 1 to {MAX_BYTES} are taken")
    if message[:1] == b"{":
        return message
    if message[:1] != b"\x78":
        raise BatchInvalid(f"neither JSON nor zlib: it starts with 0x{message[0]:02x}")
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(message, MAX_BYTES)
    except zlib.error as error:
        raise BatchInvalid(f"damaged zlib: {error}") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise BatchInvalid(f"truncated, or larger than {MAX_BYTES} bytes when unpacked")
    return body


def decode(message: bytes) -> Decoded:
    """The batch in ``message``. What no store could hold is set apart as poison; raises ``BatchInvalid`` when the rest is
    unusable."""
    body = unpack(message)
    try:
        batch = _batch.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_one_by_one(body)
    if all_sound(batch.readings) and not any_said_twice(batch.readings):
        return Decoded(batch, (), len(body))
    return _decode_one_by_one(body)


def head_of(message: bytes) -> Head | None:
    """The key of a batch whose readings cannot be taken, so that it can be rejected by name; ``None`` when it has none."""
    try:
        return _head.decode(unpack(message))
    except (BatchInvalid, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode_one_by_one(body: bytes) -> Decoded:
    try:
        head = _lenient.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchInvalid(str(error)) from error
    taken: dict[tuple[str, int], Reading] = {}
    poison: list[Poison] = []
    for raw in head.readings:
        try:
            reading = _reading.decode(raw)
            faults = faults_of(reading) or ([SAID_TWICE] if (reading.device, reading.at) in taken else [])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            faults = [str(error)]
        if faults:
            poison.append(Poison(bytes(raw), "; ".join(faults)))
        else:
            taken[reading.device, reading.at] = reading
    fields = {name: getattr(head, name) for name in Head.__struct_fields__}
    return Decoded(Batch(**fields, readings=list(taken.values())), tuple(poison), len(body))
