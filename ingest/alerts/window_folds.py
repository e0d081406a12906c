"""How the window of each sense takes a reading in place (``ingest.alerts.fold``): of a ``Hold`` that stays in its phase."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import chain

from msgspec.structs import replace

from ingest.alerts.anomaly import MIN_SIBLINGS, NORMAL, SIBLING_US, Peers, centre_and_spread, strays
from ingest.alerts.change import MAX_SPANS, Change, joined
from ingest.alerts.flatline import Flatline
from ingest.alerts.forecast import MAX_POINTS, TheilSen
from ingest.alerts.hold import is_raised
from ingest.alerts.in_place import HoldFold, Values
from ingest.alerts.level import Level, Met
from ingest.alerts.machine import Sample
from ingest.alerts.mean import Mean
from ingest.alerts.memory import Averaged, Fitted, Held, Point, Siblings, Slot, Span, Stillness, Stretch, Trace, Verdict

Room = tuple[float, float]

SURE = 0.999
"""Of a bound that was worked out: what rounding may take from it is less."""


class _Sibling:
    """The newest word of one device, and between what its next may be."""

    __slots__ = ("above", "at", "below", "value")

    def __init__(self, at: int, value: float, room: Room) -> None:
        self.at = at
        self.value = value
        self.above, self.below = room


class PeersFold(HoldFold):
    """Siblings that all stay within the rooms in which nobody strays too far."""

    __slots__ = ("_found", "_metric", "_siblings", "_until")

    def __init__(self, sense: Peers, state: Held, memory: Siblings, rooms: Mapping[str, Room]) -> None:
        super().__init__(sense.metrics, state)
        self._metric = sense.metric
        self._siblings = {name: _Sibling(point.at, point.value, rooms[name]) for name, point in memory.newest.items()}
        self._until = min(point.at for point in memory.newest.values()) + SIBLING_US
        self._found: _Sibling | None = None

    @classmethod
    def of(cls, sense: Peers, state: Held, memory: Siblings) -> "PeersFold | None":
        rooms = _rooms(sense, {name: point.value for name, point in memory.newest.items()})
        return cls(sense, state, memory, rooms) if rooms else None

    def fits(self, at: int, device: str, values: Values) -> bool:
        value = values[self._metric]
        own = self._found = self._siblings.get(device)
        if own is None or isinstance(value, str) or not self._after < at < self._until:
            return False
        return own.above < value < own.below

    def take(self, at: int, device: str, values: Values) -> None:
        own = self._found
        assert own is not None
        own.at, own.value = at, float(values[self._metric])
        self._after = self._seen = at

    def memory(self) -> Siblings:
        ordered = sorted(self._siblings.items(), key=lambda sibling: sibling[1].at)
        return Siblings({name: Point(own.at, own.value) for name, own in ordered})


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


class _Still:
    """A ``Stretch`` that is changed in place."""

    __slots__ = ("at", "half", "high", "high_before", "low", "low_before", "since", "value")

    def __init__(self, one: Stretch) -> None:
        self.since, self.at, self.value, self.half = one.since, one.at, one.value, one.half
        self.low, self.high, self.low_before, self.high_before = one.low, one.high, one.low_before, one.high_before

    def stretch(self) -> Stretch:
        return Stretch(self.since, self.at, self.value, self.half, self.low, self.high, self.low_before, self.high_before)

    def say(self, at: int, value: float, half: int) -> None:
        """``half`` is the half of the window in which it is said."""
        last = self.value
        if half != self.half:
            is_next = half == self.half + 1
            self.low_before, self.high_before = (self.low, self.high) if is_next else (last, last)
            self.half, self.low, self.high = half, value, value
        elif value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        if value != last:
            self.since = at
        self.value, self.at = value, at


class FlatlineFold(HoldFold):
    """Devices known to the window of which nobody is stuck, nor would be by what it says."""

    __slots__ = ("_devices", "_found", "_half", "_metric", "_within")

    def __init__(self, sense: Flatline, state: Held, memory: Stillness) -> None:
        super().__init__(sense.metrics, state)
        self._metric, self._half, self._within = sense.metric, sense.half, sense.within_us
        self._devices = {name: _Still(one) for name, one in memory.devices.items()}
        self._found: _Still | None = None

    def fits(self, at: int, device: str, values: Values) -> bool:
        value = values[self._metric]
        own = self._found = self._devices.get(device)
        if own is None or isinstance(value, str) or at <= self._after:
            return False
        return value != own.value or at - own.since < self._within

    def take(self, at: int, device: str, values: Values) -> None:
        own = self._found
        assert own is not None
        own.say(at, float(values[self._metric]), at // self._half)
        self._after = self._seen = at

    def memory(self) -> Stillness:
        return Stillness({name: one.stretch() for name, one in self._devices.items()})


class MeanFold(HoldFold):
    """The step of a window that is under way, while all that counts is on the good side of the limit in force.

    The steps that are over are kept as numbers in a row: as tuples those of a day's mean took five times as much.
    """

    __slots__ = (
        "_above",
        "_bound",
        "_excused",
        "_high",
        "_low",
        "_memory",
        "_said",
        "_sense",
        "_slots",
        "_total",
        "_until",
        "_value",
        "_weight",
    )

    def __init__(self, sense: Mean, state: Held, memory: Averaged, value: float) -> None:
        super().__init__(sense.metrics, state)
        self._sense, self._memory, self._until = sense, replace(memory, slots=()), sense.unchanged_until(memory)
        self._slots = array("d", chain.from_iterable(memory.slots))
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
        slots = zip(*[iter(self._slots)] * 3, strict=True)
        return replace(
            self._memory,
            slots=tuple(Slot(int(number), int(weight), total) for number, weight, total in slots),
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
    """A rise or a fall that is not one: too little even against the lowest and highest since the fold was made.

    The spans are kept as columns: three numbers each, where a tuple of three objects took six times as much.
    """

    __slots__ = ("_high", "_highs", "_instants", "_low", "_lows", "_newest", "_sense", "_value")

    def __init__(self, sense: Change, state: Held, memory: Trace) -> None:
        super().__init__(sense.metrics, state)
        self._sense, self._newest, self._value = sense, memory.newest, memory.value
        self._keep(memory.spans)
        self._low, self._high = min(self._lows), max(self._highs)

    def fits(self, at: int, device: str, values: Values) -> bool:
        sense = self._sense
        value = values[sense.metric]
        if isinstance(value, str) or at <= self._after or at - self._newest > sense.gap_us:
            return False
        changed = value - min(self._low, value) if sense.course == "rise" else max(self._high, value) - value
        return changed < sense.raise_at

    def take(self, at: int, device: str, values: Values) -> None:
        value = float(values[self._sense.metric])
        if self._lows[-1] != value or self._highs[-1] != value:
            self._instants.append(at)
            self._lows.append(value)
            self._highs.append(value)
            if len(self._instants) > MAX_SPANS:
                self._keep(joined(self._spans()))
        gone = max(bisect_right(self._instants, at - self._sense.within_us) - 1, 0)
        if gone:
            del self._instants[:gone], self._lows[:gone], self._highs[:gone]
        self._low, self._high = min(self._low, value), max(self._high, value)
        self._value = value
        self._newest = self._after = self._seen = at

    def memory(self) -> Trace:
        return Trace(self._spans(), self._newest, self._value)

    def _keep(self, spans: Sequence[Span]) -> None:
        self._instants = array("q", [span.at for span in spans])
        self._lows, self._highs = array("d", [span.low for span in spans]), array("d", [span.high for span in spans])

    def _spans(self) -> tuple[Span, ...]:
        return tuple(map(Span, self._instants, self._lows, self._highs))


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
