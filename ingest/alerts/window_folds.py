"""How the window of each sense takes a reading in place (``ingest.alerts.fold``): of a ``Hold`` that stays in its phase."""

import math
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ingest.alerts.anomaly import MIN_SIBLINGS, NORMAL, SIBLING_US, Peers, centre_and_spread, strays
from ingest.alerts.change import MAX_SPANS, Change, joined
from ingest.alerts.flatline import Flatline
from ingest.alerts.forecast import MAX_POINTS, TheilSen
from ingest.alerts.hold import is_raised
from ingest.alerts.level import Level, Met
from ingest.alerts.machine import Sample
from ingest.alerts.mean import Mean
from ingest.alerts.memory import Averaged, Fitted, Held, Point, Siblings, Span, Stillness, Stretch, Trace, Verdict
from telemetry.metric import Value

Values = Mapping[str, Value]

Room = tuple[float, float]

SURE = 0.999
"""Of a bound that was worked out: what rounding may take from it is less."""


class HoldFold:
    """A phase without an end. A sense's fold says what fits, takes it, and gives its memory."""

    __slots__ = ("_after", "_phase", "_seen", "_since", "_turned", "metrics")

    def __init__(self, metrics: frozenset[str], state: Held) -> None:
        self.metrics = metrics
        self._phase, self._since, self._seen, self._turned = state.phase, state.since, state.seen, state.turned
        self._after = max(state.since, state.seen, state.turned)

    def fits(self, at: int, device: str, values: Values) -> bool:
        raise NotImplementedError

    def take(self, at: int, device: str, values: Values) -> None:
        raise NotImplementedError

    def memory(self) -> Any:
        raise NotImplementedError

    def state(self) -> Held:
        return Held(self._phase, self._since, self._seen, self._turned, self.memory())


class PeersFold(HoldFold):
    """Siblings that all stay within the ``rooms`` in which nobody strays too far."""

    __slots__ = ("_metric", "_newest", "_rooms", "_until")

    def __init__(self, sense: Peers, state: Held, memory: Siblings, rooms: dict[str, Room]) -> None:
        super().__init__(sense.metrics, state)
        self._metric = sense.metric
        self._newest = dict(memory.newest)
        self._rooms = rooms
        self._until = min(point.at for point in memory.newest.values()) + SIBLING_US

    @classmethod
    def of(cls, sense: Peers, state: Held, memory: Siblings) -> "PeersFold | None":
        rooms = _rooms(sense, {name: point.value for name, point in memory.newest.items()})
        return cls(sense, state, memory, rooms) if rooms else None

    def fits(self, at: int, device: str, values: Values) -> bool:
        value, room = values[self._metric], self._rooms.get(device)
        if room is None or isinstance(value, str) or not self._after < at < self._until:
            return False
        return room[0] < value < room[1]

    def take(self, at: int, device: str, values: Values) -> None:
        self._newest[device] = Point(at, float(values[self._metric]))
        self._after = self._seen = at

    def memory(self) -> Siblings:
        newest = self._newest
        return Siblings({name: newest[name] for name in sorted(newest, key=lambda name: newest[name].at)})


def _rooms(sense: Peers, values: Mapping[str, float]) -> dict[str, Room]:
    """Where each value may be without anybody straying too far; none when somebody is near to it.

    All within a band that is not wider than what strays; or each within a distance of what it is: a median moves no farther than
    the values do, so nobody's distance from it grows by more than twice that, and the median distance shrinks by no more.
    """
    if len(values) <= MIN_SIBLINGS:
        return dict.fromkeys(values, (-math.inf, math.inf))
    middle, reach = (min(values.values()) + max(values.values())) / 2, SURE * sense.limit * sense.floor / 2
    if all(abs(value - middle) < reach for value in values.values()):
        return dict.fromkeys(values, (middle - reach, middle + reach))
    by = SURE * min(_distance(sense, name, values) for name in values)
    return {name: (value - by, value + by) for name, value in values.items()} if by > 0 else {}


def _distance(sense: Peers, name: str, values: Mapping[str, float]) -> float:
    """By how much all values may be others without this one straying too far."""
    middle, spread = centre_and_spread([value for other, value in values.items() if other != name])
    astray, limit = strays(values[name] - middle, sense.side), sense.limit
    return max((limit * sense.floor - astray) / 2, (limit * spread - astray) / (2 + 2 * limit / NORMAL))


class FlatlineFold(HoldFold):
    """Devices known to the window of which nobody is stuck, nor would be by what it says."""

    __slots__ = ("_devices", "_half", "_metric", "_within")

    def __init__(self, sense: Flatline, state: Held, memory: Stillness) -> None:
        super().__init__(sense.metrics, state)
        self._metric, self._half, self._within = sense.metric, sense.half, sense.within_us
        self._devices: dict[str, list[Any]] = {name: list(one) for name, one in memory.devices.items()}

    def fits(self, at: int, device: str, values: Values) -> bool:
        value, own = values[self._metric], self._devices.get(device)
        if own is None or isinstance(value, str) or at <= self._after:
            return False
        return bool(value != own[2] or at - own[0] < self._within)

    def take(self, at: int, device: str, values: Values) -> None:
        value, own = float(values[self._metric]), self._devices[device]
        half, last = at // self._half, own[2]
        if half != own[3]:
            own[6], own[7] = (own[4], own[5]) if half == own[3] + 1 else (last, last)
            own[3], own[4], own[5] = half, value, value
        elif value < own[4]:
            own[4] = value
        elif value > own[5]:
            own[5] = value
        if value != last:
            own[0] = at
        own[2] = value
        own[1] = self._after = self._seen = at

    def memory(self) -> Stillness:
        return Stillness({name: Stretch(*one) for name, one in self._devices.items()})


class MeanFold(HoldFold):
    """The step of a window that is under way, while all that counts is on the good side of the limit in force."""

    __slots__ = (
        "_above",
        "_bound",
        "_excused",
        "_high",
        "_low",
        "_memory",
        "_said",
        "_sense",
        "_total",
        "_until",
        "_value",
        "_weight",
    )

    def __init__(self, sense: Mean, state: Held, memory: Averaged, value: float) -> None:
        super().__init__(sense.metrics, state)
        self._sense, self._memory, self._until = sense, memory, sense.unchanged_until(memory)
        self._bound, self._above = sense.limit_at(memory.said).raise_at, sense.direction == "above"
        self._weight, self._total, self._low, self._high = memory.weight, memory.total, memory.low, memory.high
        self._said, self._value, self._excused = memory.said, value, memory.excused

    @classmethod
    def of(cls, sense: Mean, state: Held, memory: Averaged) -> "MeanFold | None":
        if memory.value is None or memory.told != memory.said or not sense.is_settled(memory, False):
            return None
        return cls(sense, state, memory, memory.value)

    def fits(self, at: int, device: str, values: Values) -> bool:
        value = values.get(self._sense.metric)
        if value is None or isinstance(value, str) or not self._after < at < self._until:
            return False
        return value < self._bound if self._above else value > self._bound

    def take(self, at: int, device: str, values: Values) -> None:
        sense, value = self._sense, float(values[self._sense.metric])
        if not self._excused:
            for_us = min(at - self._said, sense.gap_us)
            self._weight += for_us
            self._total += sense.amount(self._value) * for_us
        if sense.unless.where:
            excused = sense.unless.holds(values)
            self._excused = self._excused if excused is None else excused
        if value < self._low:
            self._low = value
        elif value > self._high:
            self._high = value
        self._value = value
        self._said = self._after = self._seen = at

    def memory(self) -> Averaged:
        return replace(
            self._memory,
            weight=self._weight,
            total=self._total,
            told=self._said,
            low=self._low,
            high=self._high,
            said=self._said,
            value=self._value,
            excused=self._excused,
        )


class LineFold(HoldFold):
    """A forecast that is not asked for: values that are not past the gate."""

    __slots__ = ("_outlook", "_points", "_slot", "_spans")

    def __init__(self, sense: TheilSen, state: Held, memory: Fitted) -> None:
        super().__init__(sense.metrics, state)
        self._outlook, self._slot = sense.outlook, sense.slot_us
        self._points = list(memory.points)
        self._spans = memory.sooner_s, memory.later_s

    def fits(self, at: int, device: str, values: Values) -> bool:
        value = values[self._outlook.metric]
        return at > self._after and not isinstance(value, str) and not self._outlook.gated(value)

    def take(self, at: int, device: str, values: Values) -> None:
        points, slot = self._points, self._slot
        gone = 0
        while gone < len(points) and points[gone].at <= at - self._outlook.window_us:
            gone += 1
        del points[:gone]
        if points and points[-1].at // slot == at // slot:
            points.pop()
        del points[: -(MAX_POINTS - 1)]
        points.append(Point(at, float(values[self._outlook.metric])))
        self._spans = None, None
        self._after = self._seen = at

    def memory(self) -> Fitted:
        return Fitted(tuple(self._points), *self._spans)


class ChangeFold(HoldFold):
    """A rise or a fall that is not one: too little even against the lowest and highest since the fold was made."""

    __slots__ = ("_high", "_low", "_newest", "_sense", "_spans", "_value")

    def __init__(self, sense: Change, state: Held, memory: Trace) -> None:
        super().__init__(sense.metrics, state)
        self._sense, self._newest, self._value = sense, memory.newest, memory.value
        self._spans = list(memory.spans)
        self._low = min(span.low for span in memory.spans)
        self._high = max(span.high for span in memory.spans)

    def fits(self, at: int, device: str, values: Values) -> bool:
        sense = self._sense
        value = values[sense.metric]
        if isinstance(value, str) or at <= self._after or at - self._newest > sense.gap_us:
            return False
        changed = value - min(self._low, value) if sense.course == "rise" else max(self._high, value) - value
        return changed < sense.raise_at

    def take(self, at: int, device: str, values: Values) -> None:
        sense, spans = self._sense, self._spans
        value = float(values[sense.metric])
        if spans[-1].low != value or spans[-1].high != value:
            spans.append(Span(at, value, value))
            if len(spans) > MAX_SPANS:
                spans[:] = joined(tuple(spans))
        gone, since = 0, at - sense.within_us
        while gone + 1 < len(spans) and spans[gone + 1].at <= since:
            gone += 1
        del spans[:gone]
        self._low, self._high = min(self._low, value), max(self._high, value)
        self._value = value
        self._newest = self._after = self._seen = at

    def memory(self) -> Trace:
        return Trace(tuple(self._spans), self._newest, self._value)


class LevelFold(HoldFold):
    """A number on the good side of every limit that is, was or will be in force."""

    __slots__ = ("_above", "_bound", "_metric", "_verdict")

    def __init__(self, sense: Level, state: Held, verdict: Verdict | None) -> None:
        super().__init__(sense.metrics, state)
        self._metric, self._above, self._verdict = sense.metric, sense.direction == "above", verdict
        bounds = [limit.raise_at for limit in sense.limits]
        self._bound = min(bounds) if self._above else max(bounds)

    def fits(self, at: int, device: str, values: Values) -> bool:
        value = values[self._metric]
        if isinstance(value, str) or at <= self._after:
            return False
        return value < self._bound if self._above else value > self._bound

    def take(self, at: int, device: str, values: Values) -> None:
        self._verdict = Verdict(False, values[self._metric], at)
        self._after = self._seen = at

    def memory(self) -> Verdict | None:
        return self._verdict


class MetFold(HoldFold):
    """A condition that goes on as it was: not met, or met and long known to be."""

    __slots__ = ("_sense", "_verdict", "_wanted")

    def __init__(self, sense: Met, state: Held, verdict: Verdict | None) -> None:
        super().__init__(sense.metrics, state)
        self._sense, self._verdict = sense, verdict
        self._wanted = is_raised(state)

    def fits(self, at: int, device: str, values: Values) -> bool:
        return at > self._after and self._sense.condition.holds(values) in (None, self._wanted)

    def take(self, at: int, device: str, values: Values) -> None:
        verdict = self._sense.hear(self._verdict or Verdict(), Sample(at, device, values), self._wanted)
        if verdict.at == at:
            self._verdict = verdict
            self._after = self._seen = at

    def memory(self) -> Verdict | None:
        return self._verdict
