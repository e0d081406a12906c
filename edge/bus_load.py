"""How much of its time a bus needs for the polls it is asked for, and what becomes of them when it is more than there is.

What is known: the requests of each poll, the bytes of their frames, the line's rate, the silences, the device's own gap.
What is assumed: how long a device thinks before it answers. Slow points that share a slot with the unit's fastest ones are
counted as what they add to that poll. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from device_profiles import Request, plan
from edge.bus_config import BusConfig, SerialLine, type_of
from edge.drivers.frames import Question
from edge.drivers.line import ANSWER_BYTES, REQUEST_BYTES
from edge.schedule import Timetable, by_interval
from edge.unit import Unit

DELAY_ON_LINE_S = 0.02
DELAY_ON_NETWORK_S = 0.01
TCP_REQUEST_BYTES = 12
TCP_ANSWER_BYTES = 9
TURNS_TRIED = 4000
NOTABLY = 1.02


class PollLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll adds: ``seconds`` of the bus each ``interval_s``; ``becomes_s``: the interval it can keep."""

    interval_s: float
    requests: int
    bytes_sent: int
    bytes_received: int
    seconds: float
    share: float
    becomes_s: float


class UnitLoad(msgspec.Struct, frozen=True, kw_only=True):
    device: str
    unit_id: int
    profile: str
    polls: tuple[PollLoad, ...]


class BusLoad(msgspec.Struct, frozen=True, kw_only=True):
    """``share`` of the bus's time that the schedule asks for; more than 1 cannot be kept."""

    bus: str
    type: str
    end: str
    assumed_delay_s: float
    share: float
    units: tuple[UnitLoad, ...]

    @property
    def fits(self) -> bool:
        return self.share <= 1.0


def bus_load(bus: BusConfig, units: Sequence[Unit], delay_s: float | None = None) -> BusLoad:
    """``delay_s``: a device's time before it answers; 20 ms on a line and 10 ms on a network when ``None``."""
    if delay_s is None:
        delay_s = DELAY_ON_LINE_S if isinstance(bus, SerialLine) else DELAY_ON_NETWORK_S
    loads = {unit.device: _polls(bus, unit, delay_s) for unit in units}
    share = sum(poll.share for polls in loads.values() for poll in polls)
    if share > 1.0:
        kept = _intervals_kept(bus, units, delay_s)
        loads = {
            device: tuple(_stretched(poll, kept[device, poll.interval_s]) for poll in polls) for device, polls in loads.items()
        }
    return BusLoad(
        bus=bus.id,
        type=type_of(bus),
        end=bus.end,
        assumed_delay_s=delay_s,
        share=share,
        units=tuple(
            UnitLoad(device=unit.device, unit_id=unit.unit_id, profile=unit.profile.id, polls=loads[unit.device])
            for unit in units
        ),
    )


def frame_bytes(bus: BusConfig, request: Request) -> tuple[int, int]:
    """Bytes of a request and of its answer; without the headers of the network."""
    values = Question(0, request.table, request.count).answer_bytes
    if isinstance(bus, SerialLine):
        return REQUEST_BYTES, ANSWER_BYTES + values
    return TCP_REQUEST_BYTES, TCP_ANSWER_BYTES + values


def request_s(bus: BusConfig, unit: Unit, request: Request, delay_s: float) -> float:
    """How long a request keeps the bus: both frames, the silence before each, the device's thinking and its own gap."""
    gap_s = unit.profile.modbus.gap_ms / 1000 if unit.profile.modbus else 0.0
    if not isinstance(bus, SerialLine):
        return delay_s + gap_s
    return sum(frame_bytes(bus, request)) * bus.character_s + bus.silence_s * 2 + delay_s + gap_s


class _Cost(NamedTuple):
    requests: int
    sent: int
    received: int
    seconds: float

    def more_than(self, other: "_Cost") -> "_Cost":
        requests, sent, received = self.requests - other.requests, self.sent - other.sent, self.received - other.received
        return _Cost(requests, sent, received, self.seconds - other.seconds)


def _cost(bus: BusConfig, unit: Unit, points: Iterable[str], delay_s: float) -> _Cost:
    """What one poll of these points costs."""
    requests = plan(unit.profile, points)
    frames = [frame_bytes(bus, request) for request in requests]
    seconds = sum(request_s(bus, unit, request, delay_s) for request in requests)
    return _Cost(len(requests), sum(sent for sent, _ in frames), sum(received for _, received in frames), seconds)


def _polls(bus: BusConfig, unit: Unit, delay_s: float) -> tuple[PollLoad, ...]:
    groups = by_interval(unit.intervals)
    fastest_s = min(groups, default=0.0)
    loads = []
    for interval_s, points in groups.items():
        added = _cost(bus, unit, points, delay_s)
        if interval_s > fastest_s and _is_multiple(interval_s, fastest_s):
            alone, both = (_cost(bus, unit, some, delay_s) for some in (groups[fastest_s], (*groups[fastest_s], *points)))
            added = both.more_than(alone)
        loads.append(_load(added, interval_s))
    return tuple(loads)


def _load(added: _Cost, interval_s: float) -> PollLoad:
    return PollLoad(
        interval_s=interval_s,
        requests=added.requests,
        bytes_sent=added.sent,
        bytes_received=added.received,
        seconds=added.seconds,
        share=added.seconds / interval_s,
        becomes_s=interval_s,
    )


def _is_multiple(interval_s: float, fastest_s: float) -> bool:
    times = interval_s / fastest_s
    return abs(times - round(times)) < 1e-9


def _intervals_kept(bus: BusConfig, units: Sequence[Unit], delay_s: float) -> dict[tuple[str, float], float]:
    """The mean interval of each group of points when the bus is polled as fast as it goes, by the schedule that does it."""
    timetable, taken, now = Timetable(), Counter[tuple[str, float]](), 0.0
    by_device = {unit.device: unit for unit in units}
    first = {(unit.device, points[0]): s for unit in units for s, points in by_interval(unit.intervals).items()}

    @cache
    def seconds(device: str, points: tuple[str, ...]) -> float:
        return _cost(bus, by_device[device], points, delay_s).seconds

    for unit in units:
        timetable.add(unit.device, unit.intervals, now)
    for _ in range(TURNS_TRIED):
        turn = timetable.take(now)
        if turn is None:
            now = timetable.next_at() or now
            continue
        now += seconds(turn.device, turn.points)
        taken.update((turn.device, first[turn.device, point]) for point in turn.points if (turn.device, point) in first)
    groups = [(device, interval_s) for (device, _), interval_s in first.items()]
    return {group: now / taken[group] if taken[group] > 1 else 0.0 for group in groups}


def _stretched(poll: PollLoad, kept_s: float) -> PollLoad:
    return msgspec.structs.replace(poll, becomes_s=kept_s) if kept_s > poll.interval_s * NOTABLY else poll
