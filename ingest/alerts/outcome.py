"""What judging comes to: alerts that moved, readings that came late; and whom it asks what exists."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ingest.alerts.entry import Origin
from ingest.alerts.episode import Key
from ingest.alerts.late import Late
from ingest.alerts.ledger import Moved
from ingest.alerts.machine import Transitions
from ingest.alerts.rules import Watcher
from telemetry.identity import GatewayRef
from telemetry.presence import Device


class Directory(Protocol):
    """What exists. ``zone_of`` is ``""`` when unknown; ``edition`` is another object when a gateway's devices are others."""

    def find(self, ref: GatewayRef, device: str) -> Device | None: ...

    def zone_of(self, ref: GatewayRef, device: str) -> str: ...

    def edition(self, ref: GatewayRef) -> object: ...


class Work(NamedTuple):
    """So far."""

    moves: list[Moved]
    lates: set[Late]


def moved(directory: Directory, watcher: Watcher, key: Key, origin: Origin, transitions: Transitions) -> Iterator[Moved]:
    """What transitions say of an alert, with the place of who caused them as it is now."""
    ref = GatewayRef(key.community, origin.gateway)
    for transition in transitions:
        name = transition.device or origin.device
        device, zone = directory.find(ref, name), directory.zone_of(ref, name)
        yield Moved(key, watcher, transition, origin.gateway, name, device.place if device else None, zone)
