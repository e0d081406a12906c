"""A unit of a bus and what has been learned of it by polling: whether it speaks, and what it refuses.

Addresses that a unit refuses are read around; after an hour, or after a silence, they are tried again.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from device_profiles import Answer, Library, Profile, Request, Table, plan
from edge.bus_config import BusConfig
from edge.config import DeviceConfig, profile_of
from edge.liveness import ALIVE, Liveness

FORGET_REFUSALS_S = 3600.0

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
        """An answer for each point due that is not asked for, because the unit refused it before."""
        codes = dict(self.refused.points)
        return [refusal(self.unit.profile, point, codes[point]) for point in due if point in codes] if codes else []

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


def _has_place(profile: Profile, point: str, refused: Collection[Address]) -> bool:
    return any(
        all((place.table, place.address + offset) not in refused for offset in range(place.count))
        for place in profile.points[point].places
    )
