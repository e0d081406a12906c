"""How what is known of a gateway's devices is written down: their names once, in the order in which they were first heard, and
their instants as one row of numbers."""

import struct

import msgspec

from ingest.alerts.seat import Presence, Seat
from telemetry.identity import GatewayRef


class _Times(msgspec.Struct, frozen=True, array_like=True):
    """``newest_of``: of each seat, in their order, 8 bytes; ``heard`` where that is another instant."""

    newest: int
    epoch: str
    epoch_at: int
    newest_of: bytes
    heard: dict[int, int]
    failing: dict[int, int]


_times = msgspec.msgpack.Decoder(_Times)
_names = msgspec.msgpack.Decoder(list[str])
_encode = msgspec.msgpack.Encoder().encode


def names_of(presence: Presence) -> bytes:
    return _encode(list(presence.seats))


def times_of(presence: Presence) -> bytes:
    """Asked for whenever the gateway is heard: of nearly all its devices the newest word was good, and none is failing."""
    seats = presence.seats.values()
    newest_of, heard_of = [seat.newest for seat in seats], [seat.heard for seat in seats]
    failing_of = [seat.failing for seat in seats]
    pairs = () if heard_of == newest_of else enumerate(zip(heard_of, newest_of, strict=True))
    heard = {place: at for place, (at, newest) in pairs if at != newest}
    failing = {place: at for place, at in enumerate(failing_of) if at} if any(failing_of) else {}
    instants = struct.pack(f"<{len(newest_of)}q", *newest_of)
    return _encode(_Times(presence.newest, presence.epoch, presence.epoch_at, instants, heard, failing))


def presence_of(ref: GatewayRef, names: bytes, times: bytes) -> Presence:
    """Raises ``msgspec.DecodeError`` for what was not written by these."""
    said, presence = _times.decode(times), Presence(ref)
    presence.newest, presence.epoch, presence.epoch_at = said.newest, said.epoch, said.epoch_at
    for place, (name, (newest,)) in enumerate(zip(_names.decode(names), struct.iter_unpack("<q", said.newest_of), strict=True)):
        seat = presence.seats[name] = Seat(name)
        seat.newest, seat.heard, seat.failing = newest, said.heard.get(place, newest), said.failing.get(place, 0)
    presence.named = len(presence.seats)
    return presence
