"""Who and where: communities, gateways, devices, streams and scopes.

A *community* is a 12-digit division code as text (2 province, 2 city, 2 county, 3 street, 3 community),
15 digits with a grid. A *device* id names a place and stays for years; serial numbers and addresses are kept apart from it.
"""

import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from telemetry.errors import IdentityInvalid

SLOTS = 256
PREFIX_LENGTHS = (2, 4, 6, 9, 12, 15)
NAME_PATTERN = "^[a-z0-9-]{3,64}\\Z"
COMMUNITY_PATTERN = "^[0-9]{12}([0-9]{3})?\\Z"
EPOCH_PATTERN = "^[0-9a-f]{16}\\Z"

_NAME = re.compile(NAME_PATTERN)
_COMMUNITY = re.compile(COMMUNITY_PATTERN)


class GatewayRef(NamedTuple):
    """A gateway id is unique in its community, so both name it."""

    community: str
    gateway: str

    def __str__(self) -> str:
        return f"{self.community}/{self.gateway}"


class Stream(NamedTuple):
    """One sequence of batches without holes: the unit of ordering, acknowledgement and deduplication."""

    community: str
    gateway: str
    epoch: str
    lane: str

    @property
    def ref(self) -> GatewayRef:
        return tuple.__new__(GatewayRef, self[:2])  # asked for several times a batch, at half of the price


def is_name(text: str) -> bool:
    """Whether ``text`` may be the id of a gateway or a device. ``$`` would accept a final newline, so match whole."""
    return _NAME.fullmatch(text) is not None


def is_community(text: str) -> bool:
    return _COMMUNITY.fullmatch(text) is not None


def gateway_ref(community: str, gateway: str) -> GatewayRef:
    """A checked reference. Raises ``IdentityInvalid``."""
    if not is_community(community):
        raise IdentityInvalid(f"community {community!r} is not a division code of 12 or 15 digits")
    if not is_name(gateway):
        raise IdentityInvalid(f"gateway id {gateway!r} does not match [a-z0-9-]{{3,64}}")
    return GatewayRef(community, gateway)


def slot(community: str) -> int:
    """The partition of a community, 0..255: one community is always evaluated by one worker."""
    return zlib.crc32(community.encode()) % SLOTS


class Scope:
    """What a token may see: a set of division-code prefixes, each of 2, 4, 6, 9, 12 or 15 digits."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self.prefixes = tuple(sorted(set(prefixes)))
        for prefix in self.prefixes:
            if not (prefix.isascii() and prefix.isdigit() and len(prefix) in PREFIX_LENGTHS):
                raise IdentityInvalid(f"scope prefix {prefix!r} is not 2, 4, 6, 9, 12 or 15 digits")

    def covers(self, community: str) -> bool:
        return community.startswith(self.prefixes)

    def __repr__(self) -> str:
        return f"Scope({list(self.prefixes)})"
