"""Topics between gateway and centre are built and parsed here and nowhere else.

``{root}/{slot}/{community}/{gateway}/{leaf}``; the root is configurable and may have several levels.
"""

from enum import StrEnum
from typing import NamedTuple

from telemetry.errors import IdentityInvalid, TopicInvalid
from telemetry.identity import GatewayRef, gateway_ref, slot

DEFAULT_ROOT = "linli/v1"


class Leaf(StrEnum):
    """What a topic carries. Gateway to centre: up, state, inventory, reply. Centre to gateway: ack, config, cmd."""

    UP = "up"
    ACK = "ack"
    STATE = "state"
    INVENTORY = "inventory"
    CONFIG = "config"
    CMD = "cmd"
    REPLY = "reply"


class Topic(NamedTuple):
    ref: GatewayRef
    leaf: Leaf


def is_root(root: str) -> bool:
    """Whether ``root`` may stand before our topics: no wildcards, no empty or ``$`` levels."""
    levels = root.split("/")
    return bool(root) and len(root) <= 128 and all(level and not set(level) & set("+#\0") for level in levels) and root[0] != "$"


def build(root: str, ref: GatewayRef, leaf: Leaf) -> str:
    return f"{root}/{slot(ref.community)}/{ref.community}/{ref.gateway}/{leaf}"


def parse(root: str, topic: str) -> Topic:
    """The inverse of ``build``. Raises ``TopicInvalid``, also when the slot is not the community's."""
    if not topic.startswith(f"{root}/"):
        raise TopicInvalid(f"{topic!r} is not under {root!r}")
    levels = topic[len(root) + 1 :].split("/")
    if len(levels) != 4:
        raise TopicInvalid(f"{topic!r} has {len(levels)} levels under its root, not 4")
    number, community, gateway, word = levels
    try:
        ref = gateway_ref(community, gateway)
        leaf = Leaf(word)
    except (IdentityInvalid, ValueError) as error:
        raise TopicInvalid(f"{topic!r}: {error}") from error
    if number != str(slot(community)):
        raise TopicInvalid(f"{topic!r}: slot {number!r} is not that of {community}")
    return Topic(ref, leaf)


def everyone(root: str, leaf: Leaf) -> str:
    """The filter that matches this leaf of every gateway."""
    return f"{root}/+/+/+/{leaf}"
