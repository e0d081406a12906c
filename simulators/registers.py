"""The register image of one simulated Modbus unit, made from its points by the profile's own encoding.

1. What a master reads is what the truth says: the image and ``held`` change together, in ``refresh``.
2. A read that touches an address without a point is refused with exception 2, as devices with holes do; only between
   two points that the profile lets a request join do unused registers read 0.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from device_profiles import Answer, Profile, Request, Table, decode, encode, plan
from simulators import scenario, signals
from simulators.scenario import Fault, Scenario
from simulators.signals import Signal
from simulators.slave import ILLEGAL_ADDRESS, Refused, Silent
from telemetry.metric import Value


class Change(NamedTuple):
    """From now on a master that reads the unit gets ``value`` for ``metric``, in the metric's canonical unit."""

    metric: str
    value: Value


class RegisterUnit:
    """Implements ``simulators.slave.Unit``. ``signals`` are in the profile's terms, one for each of its points."""

    def __init__(self, device: str, profile: Profile, points: Mapping[str, Signal], story: Scenario, seed: int) -> None:
        self.device = device
        self.fault: Fault | None = None
        self._profile = profile
        self._points = points
        self._story = story
        self._seed = f"{seed}/{device}"
        self._requests = plan(profile, points)
        self._unused = frozenset(_unused(profile))
        self._image: dict[tuple[Table, int], int] = {}
        self._held: dict[str, Value] = {}

    def refresh(self, at: float) -> list[Change]:
        """Puts the values of the virtual second ``at`` into the registers; what changed for a master."""
        values = {name: self._value(name, at) for name in self._points}
        self._image = dict.fromkeys(self._unused, 0)
        for name, value in values.items():
            register = self._profile.points[name].register
            assert register is not None  # a world gives signals to points with registers alone
            for place, word in enumerate(encode(self._profile, name, value, values), register.address):
                self._image[register.table, place] = self._image.get((register.table, place), 0) | word
        held = self._decoded()
        changes = [Change(metric, value) for metric, value in held.items() if self._held.get(metric) != value]
        self._held = held
        return changes

    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        if self.fault is not None:
            raise Silent if self.fault.code is None else Refused(self.fault.code)
        try:
            return tuple(self._image[table, address + place] for place in range(count))
        except KeyError:
            raise Refused(ILLEGAL_ADDRESS) from None

    def _value(self, name: str, at: float) -> Value:
        value = signals.value(self._points, name, self._seed, at)
        if isinstance(value, bool):
            return scenario.switched(self._story, self.device, name, value, at)
        if isinstance(value, str):
            return value
        return scenario.bent(self._story, self.device, name, value, at)

    def _decoded(self) -> dict[str, Value]:
        answers = [Answer(request, self._answer(request)) for request in self._requests]
        return {each.metric: each.value for each in decode(self._profile, answers) if each.metric and each.value is not None}

    def _answer(self, request: Request) -> tuple[int, ...] | None:
        places = range(request.address, request.address + request.count)
        return tuple(self._image.get((request.table, place), 0) for place in places)


def _unused(profile: Profile) -> Iterator[tuple[Table, int]]:
    """Addresses without a point that a request of this profile may still read across."""
    spans = sorted(
        {
            (point.register.table, point.register.address, point.register.count)
            for point in profile.points.values()
            if point.register
        }
    )
    holes = profile.modbus.holes if profile.modbus else ()
    gap = profile.modbus.max_gap if profile.modbus else 0
    for (table, address, count), (next_table, next_address, _) in pairwise(spans):
        end = address + count
        if table == next_table and next_address - end <= gap:
            for place in range(end, next_address):
                if not any(hole.table == table and hole.first <= place <= hole.last for hole in holes):
                    yield table, place
