"""The readings of one commit as the outbox keeps them: JSON, deflated, with a checksum. Pure."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from telemetry.batch import encode_readings
from telemetry.reading import Reading

_decoder = msgspec.json.Decoder(list[Reading])


class Chunk(NamedTuple):
    """``body`` is what is kept, ``size`` the bytes of its JSON; ``first_at`` is the earliest instant, UTC microseconds."""

    readings: int
    first_at: int
    size: int
    crc: int
    body: bytes


def chunk_of(readings: Sequence[Reading]) -> Chunk:
    """At least one reading; ``readings_of`` is its inverse."""
    text = encode_readings(readings)
    body = zlib.compress(text, 6)
    return Chunk(len(readings), min(reading.at for reading in readings), len(text), zlib.crc32(body), body)


def text_of(chunk: Chunk) -> bytes | None:
    """The readings as JSON without brackets, as ``telemetry.batch.join`` takes them; ``None`` when they are damaged."""
    if zlib.crc32(chunk.body) != chunk.crc:
        return None
    try:
        return zlib.decompress(chunk.body)
    except zlib.error:
        return None


def readings_of(chunk: Chunk) -> list[Reading] | None:
    """``None`` when they are damaged, or of a kind that this version does not know."""
    text = text_of(chunk)
    return parsed(text) if text is not None else None


def parsed(text: bytes) -> list[Reading] | None:
    """Readings from their JSON without brackets; ``None`` when this version does not know them."""
    try:
        return _decoder.decode(b"[" + text + b"]")
    except msgspec.DecodeError:
        return None
