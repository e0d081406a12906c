"""The centre's word that batches are durable: cumulative, signed, retained.

A gateway forgets data on this word alone, so it is signed with the gateway's own key: a forged acknowledgement deletes data.
"""

import hashlib
import hmac
from typing import Annotated, Literal

import msgspec

from telemetry.batch import Epoch, Instant, Lane, Seq
from telemetry.errors import AckInvalid
from telemetry.identity import GatewayRef
from telemetry.reading import LATEST

MAX_BYTES = 64 * 1024


class Mark(msgspec.Struct, frozen=True):
    """Everything up to ``seq`` of this epoch and lane is durable; 0 when nothing is."""

    epoch: Epoch
    lane: Lane
    seq: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Rejected(msgspec.Struct, frozen=True):
    """Batches ``first`` to ``last`` were set aside as poison: acknowledged, not stored."""

    epoch: Epoch
    lane: Lane
    first: Seq
    last: Seq
    reason: Annotated[str, msgspec.Meta(max_length=256)]


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at`` is the centre's clock, UTC microseconds; ``credit`` is how many batches a second may be backfilled.

    ``since`` is when the centre began to listen: what was sent before another ``since`` may have met nobody.
    """

    v: Literal[1] = 1
    at: Instant
    marks: Annotated[list[Mark], msgspec.Meta(max_length=64)]
    rejected: Annotated[list[Rejected], msgspec.Meta(max_length=64)] = []
    credit: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 50.0
    since: Annotated[int, msgspec.Meta(ge=0, le=LATEST)] = 0
    mac: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Ack)


def _mac(ack: Ack, ref: GatewayRef, key: bytes) -> str:
    unsigned = _encoder.encode([ref.community, ref.gateway, msgspec.structs.replace(ack, mac="")])
    return hmac.new(key, b"linli ack 1\n" + unsigned, hashlib.sha256).hexdigest()


def encode(ack: Ack, ref: GatewayRef, key: bytes) -> bytes:
    """The signed message; ``decode`` with the same reference and key is its inverse."""
    return _encoder.encode(msgspec.structs.replace(ack, mac=_mac(ack, ref, key)))


def decode(message: bytes, ref: GatewayRef, key: bytes) -> Ack:
    """The acknowledgement in ``message``. Raises ``AckInvalid`` unless this gateway's key signed it for this gateway."""
    if len(message) > MAX_BYTES:
        raise AckInvalid(f"an acknowledgement of {len(message)} bytes")
    try:
        ack = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AckInvalid(str(error)) from error
    if not hmac.compare_digest(_mac(ack, ref, key).encode(), ack.mac.encode()):
        raise AckInvalid(f"the signature is not of the key of {ref}")
    return ack
