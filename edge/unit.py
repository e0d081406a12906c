"""A unit of a bus and what has been learned of it by polling: whether it speaks, and what it refuses.

Addresses that a unit refuses are read around; after an hour, or after a silence, they are tried again.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from device_profiles import Answer, Library, Profile, Request, Table, plan
from device_profiles.profile import Register
from edge.bus_config import BusConfig
from edge.config import DeviceConfig, profile_of
from edge.liveness import ALIVE, Liveness

FORGET_REFUSALS_S = 3600.0

ILLEGAL_FUNCTION = 1
BLAMES_AN_ADDRESS = (2, 3)
"""Exceptions "illegal address" and "illegal value": what devices say to a request that touches a register they lack."""

Address = tuple[Table, int]


class Unit(NamedTuple):
    """A device on the bus. ``interval_s`` overrides what the profile says of every point."""

    device: str
    profile: Profile
    unit_id: int
    interval_s: float | None = None
    bus_timeout_s: float = 1.0

    @property
    def timeout_s(self) -> float:
        modbus = self.profile.modbus
        return (modbus.timeout_s if modbus else None) or self.bus_timeout_s

    @property
    def intervals(self) -> dict[str, float]:
        """Seconds by point, of the points that make readings; what they need besides is read with them."""
        points = [point for point in self.profile.points.values() if point.metric is not None and point.is_polled]
        return {point.name: self.interval_s or point.interval_s for point in points}


def units_on(bus: BusConfig, devices: Iterable[DeviceConfig], library: Library) -> list[Unit]:
    """The units of a bus, of devices whose configuration was checked."""
    return [
        Unit(device.id, profile_of(device, library), device.address.unit_id or 0, device.interval_s, bus.timeout_s)
        for device in devices
        if device.address.bus == bus.id
    ]


class Refused(NamedTuple):
    """``addresses`` must not be touched; ``points`` have no other place: their exception codes."""

    addresses: frozenset[Address] = frozenset()
    points: tuple[tuple[str, int], ...] = ()


NOTHING_REFUSED = Refused()


class Known:
    """What has been learned of a unit."""

    def __init__(self, unit: Unit, refused: Refused = NOTHING_REFUSED, now: float = 0.0) -> None:
        self.unit = unit
        self.liveness: Liveness = ALIVE
        self.refused = refused
        self._forget_at = now + FORGET_REFUSALS_S if refused != NOTHING_REFUSED else math.inf
        self._plans: dict[tuple[str, ...], tuple[Request, ...]] = {}

    def requests(self, due: tuple[str, ...]) -> tuple[Request, ...]:
        known = self._plans.get(due)
        if known is None:
            refused = dict(self.refused.points)
            wanted = [point for point in due if point not in refused]
            known = self._plans[due] = plan(self.unit.profile, wanted, self.refused.addresses) if wanted else ()
        return known

    def refusals(self, due: Iterable[str]) -> list[Answer]:
        """An answer for each point due, or needed by one, that is not asked for because the unit refused it before."""
        codes = dict(self.refused.points)
        if not codes:
            return []
        return [refusal(self.unit.profile, point, codes[point]) for point in with_needs(self.unit.profile, due) if point in codes]

    def blames(self, request: Request, code: int) -> bool:
        """Whether it is worth finding out which addresses are refused; a whole table when its points stand elsewhere too."""
        places = (place for point in request.points for place in self.unit.profile.points[point].places)
        return code in BLAMES_AN_ADDRESS or (
            code == ILLEGAL_FUNCTION
            and any(place.table is not request.table and self.refused.addresses.isdisjoint(_span(place)) for place in places)
        )

    def elsewhere(self, points: Iterable[str]) -> tuple[Request, ...]:
        """The requests that read these points at a place that is not refused, of those that have one."""
        profile, refused = self.unit.profile, self.refused.addresses
        left = [point for point in points if _has_place(profile, point, refused)]
        return plan(profile, left, refused) if left else ()

    def learn(self, request: Request, codes: dict[str, int], there: Iterable[Request], now: float) -> None:
        """``request`` was refused; asked apart, ``there`` were answered and the points of ``codes`` refused again."""
        read = frozenset[Address]().union(*map(addresses, there))
        refused = self.refused.addresses | (addresses(request) - read)
        lost = {point: code for point, code in codes.items() if not _has_place(self.unit.profile, point, refused)}
        self.refused = Refused(refused, tuple(sorted((dict(self.refused.points) | lost).items())))
        self._forget_at = now + FORGET_REFUSALS_S
        self._plans.clear()

    def forget(self, now: float = math.inf) -> None:
        """Starts learning anew, if it is time."""
        if now >= self._forget_at:
            self.refused, self._forget_at = NOTHING_REFUSED, math.inf
            self._plans.clear()


def with_needs(profile: Profile, points: Iterable[str]) -> tuple[str, ...]:
    """These points and all that must be read with them, also for those in turn."""
    found = dict.fromkeys(points)
    for _ in range(2):  # a formula may need a point that needs helpers; no chain is longer
        found |= dict.fromkeys(other for name in found for other in sorted(profile.points[name].needs))
    return tuple(found)


def refusal(profile: Profile, point: str, code: int) -> Answer:
    """The answer of a unit that refuses this point."""
    place = profile.points[point].places[0]
    return Answer(Request(place.table, place.address, place.count, (point,)), None, f"exception {code}")


def apart(profile: Profile, request: Request, refused: Collection[Address] = ()) -> tuple[Request, ...]:
    """The requests that read the points of ``request`` one by one, each with the helpers it needs."""
    return tuple(dict.fromkeys(part for point in request.points for part in plan(profile, (point,), refused)))


def postponed(profile: Profile, due: Sequence[str], unread: Iterable[Request]) -> frozenset[str]:
    """The points due that lie in requests not read, or need one that does."""
    missing = frozenset(point for request in unread for point in request.points)
    needing = frozenset(point for point in profile.points if not missing.isdisjoint(profile.points[point].needs))
    return frozenset(point for point in due if point in missing or point in needing)


def addresses(request: Request) -> frozenset[Address]:
    return frozenset((request.table, request.address + offset) for offset in range(request.count))


def _span(place: Register) -> frozenset[Address]:
    return frozenset((place.table, place.address + offset) for offset in range(place.count))


def _has_place(profile: Profile, point: str, refused: frozenset[Address]) -> bool:
    return any(refused.isdisjoint(_span(place)) for place in profile.points[point].places)
