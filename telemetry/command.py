"""What the centre asks of a gateway, signed and with an expiry, and what the gateway answers.

The one verb so far is ``replay``: send again what was acknowledged and is still kept, for a store that lost it. A command is
signed with the gateway's own key, because a forged one could fill the link; a reply is a word about a command, not an order.
"""

import hashlib
import hmac
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from telemetry.batch import Instant
from telemetry.errors import CommandInvalid
from telemetry.identity import GatewayRef

MAX_BYTES = 4 * 1024
ID_PATTERN = "^[0-9a-f]{16}$"

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Verb(StrEnum):
    REPLAY = "replay"


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Replay: the batches that were sealed from ``start`` on and before ``end``. Instants are UTC microseconds.

    The batches sent on it bear ``id`` as their ``replay``. After ``expires_at`` it is not begun.
    """

    v: Literal[1] = 1
    id: Id
    verb: Verb
    at: Instant
    expires_at: Instant
    start: Instant
    end: Instant
    mac: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a command is: ``problem`` says why it was not, or not wholly, followed; nothing more comes once ``done``."""

    v: Literal[1] = 1
    id: Id
    at: Instant
    done: bool = False
    batches: Count = 0
    readings: Count = 0
    problem: Annotated[str, msgspec.Meta(max_length=256)] = ""


_encoder = msgspec.json.Encoder()
_command = msgspec.json.Decoder(Command)
_reply = msgspec.json.Decoder(Reply)


def _mac(command: Command, ref: GatewayRef, key: bytes) -> str:
    unsigned = _encoder.encode([ref.community, ref.gateway, msgspec.structs.replace(command, mac="")])
    return hmac.new(key, b"linli command 1\n" + unsigned, hashlib.sha256).hexdigest()


def encode(command: Command, ref: GatewayRef, key: bytes) -> bytes:
    """The signed message; ``decode`` with the same reference and key is its inverse."""
    return _encoder.encode(msgspec.structs.replace(command, mac=_mac(command, ref, key)))


def decode(message: bytes, ref: GatewayRef, key: bytes) -> Command:
    """The command in ``message``. Raises ``CommandInvalid`` unless this gateway's key signed it for this gateway."""
    if len(message) > MAX_BYTES:
        raise CommandInvalid(f"a command of {len(message)} bytes")
    try:
        command = _command.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandInvalid(str(error)) from error
    if not hmac.compare_digest(_mac(command, ref, key).encode(), command.mac.encode()):
        raise CommandInvalid(f"the signature is not of the key of {ref}")
    return command


def encode_reply(reply: Reply) -> bytes:
    return _encoder.encode(reply)


def decode_reply(message: bytes) -> Reply:
    """Raises ``CommandInvalid``."""
    if len(message) > MAX_BYTES:
        raise CommandInvalid(f"a reply of {len(message)} bytes")
    try:
        return _reply.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandInvalid(str(error)) from error
