"""Who may use which topic, in the words of mosquitto's ``acl_file``: a gateway its own topics and nothing else."""

from collections.abc import Iterable, Iterator

from telemetry import topic
from telemetry.identity import GatewayRef
from telemetry.topic import Leaf

CENTRE = "centre"
_UPWARDS = (Leaf.UP, Leaf.STATE, Leaf.INVENTORY, Leaf.REPLY)
_DOWNWARDS = (Leaf.ACK, Leaf.CONFIG, Leaf.CMD)


def user(ref: GatewayRef) -> str:
    """The name under which a gateway's password stands."""
    return f"{ref.community}/{ref.gateway}"


def acl(gateways: Iterable[GatewayRef], root: str) -> str:
    """One block for the centre and one for each gateway."""
    centre = [*_may("read", (topic.everyone(root, leaf) for leaf in _UPWARDS))]
    centre += _may("write", (topic.everyone(root, leaf) for leaf in _DOWNWARDS))
    blocks = [(CENTRE, centre)]
    for ref in gateways:
        its = [*_may("write", (topic.build(root, ref, leaf) for leaf in _UPWARDS))]
        its += _may("read", (topic.build(root, ref, leaf) for leaf in _DOWNWARDS))
        blocks.append((user(ref), its))
    return "\n".join("\n".join([f"user {name}", *lines, ""]) for name, lines in blocks)


def _may(verb: str, topics: Iterable[str]) -> Iterator[str]:
    return (f"topic {verb} {name}" for name in topics)
