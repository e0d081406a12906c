"""What rules name that is nowhere: devices, zones, profiles and communities that no inventory tells of. Pure.

Rules are right without it, and silent: only what is there can say that a name is a slip.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ingest.alerts.rule import AppliesTo, Override
from ingest.alerts.vocabulary import Fault
from telemetry.document import nearest


class Place(NamedTuple):
    """A device of an inventory, or a gateway, which is one of kind ``gateway`` without zone and profile."""

    community: str
    device: str
    kind: str
    profile: str = ""
    zone: str = ""


class Site:
    """All that is there. ``zones`` and ``profiles`` are words that are known without a device."""

    def __init__(self, places: Iterable[Place], zones: Iterable[str] = (), profiles: Iterable[str] = ()) -> None:
        self._kinds: defaultdict[str, set[str]] = defaultdict(set)
        self._communities: set[str] = set()
        self._zones, self._profiles = set(zones), set(profiles)
        for place in places:
            self._kinds[place.device].add(place.kind)
            self._communities.add(place.community)
            self._zones.add(place.zone)
            self._profiles.add(place.profile)

    def rule_faults(self, to: AppliesTo) -> Iterator[Fault]:
        """Of what a rule applies to."""
        yield from self._strangers("applies_to.", to.communities, to.zones, to.devices)
        yield from _strange("applies_to.profiles", to.profiles, self._profiles, "no device has the profile {!r}")
        for number, device in enumerate(to.devices):
            kinds = self._kinds.get(device)
            if kinds and to.kinds and kinds.isdisjoint(to.kinds):
                other = ", ".join(sorted(kinds))
                cure = f"name a device of {', '.join(to.kinds)}, or add {other} to kinds"
                yield f"applies_to.devices[{number}]", f"{device} is of the kind {other}: it can never fire", cure

    def override_faults(self, override: Override) -> Iterator[Fault]:
        """Of where an override counts."""
        yield from self._strangers("", override.communities, override.zones, override.devices)

    def _strangers(
        self, path: str, communities: Collection[str], zones: Collection[str], devices: Collection[str]
    ) -> Iterator[Fault]:
        for number, prefix in enumerate(communities):
            if not any(community.startswith(prefix) for community in self._communities):
                yield f"{path}communities[{number}]", f"no community begins with {prefix!r}", nearest(prefix, self._communities)
        yield from _strange(f"{path}zones", zones, self._zones, "no device stands in the zone {!r}")
        yield from _strange(f"{path}devices", devices, self._kinds, "there is no device {!r}")


def _strange(path: str, names: Collection[str], known: Collection[str], reason: str) -> Iterator[Fault]:
    for number, name in enumerate(names):
        if name not in known:
            yield f"{path}[{number}]", reason.format(name), nearest(name, sorted(known))
