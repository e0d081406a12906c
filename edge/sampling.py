"""What is worth keeping of what a device says: changes, and a heartbeat while nothing changes.

1. A number passes when it has moved by its deadband since it last passed; anything else when it differs at all.
2. A change of quality always passes, and so does every metric after a silence.
3. An event always passes, whole.
4. What has not passed for a heartbeat passes, changed or not. Heartbeats fall on polls: half an interval early will do.

Pure: the caller says what time it is, in seconds of a monotonic clock.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from device_profiles import Decoded, Observation, Sampling
from telemetry.metric import Value
from telemetry.quality import Quality, worst

EVERYTHING = "*"
SILENCE_HEARTBEAT_S = 60.0
ROUNDING = 1e-9
_NO_DIGITS = str.maketrans("", "", "0123456789.+-")
_EVERY_CHANGE = Sampling(deadband=0.0, heartbeat_s=300.0, urgent=False, interval_s=0.0)


class Passed(NamedTuple):
    """What goes into a reading: metric to value, metric to fault, and the quality of the whole."""

    values: dict[str, Value]
    quality: Quality
    faults: dict[str, str] | None
    urgent: bool


class _Said(NamedTuple):
    """A metric as it last passed; ``value`` is ``None`` when ``fault`` says why."""

    value: Value | None
    quality: Quality
    fault: str
    at: float


class Sampler:
    """The memory of one device. ``rules``: by metric, from its profile."""

    def __init__(self, rules: Mapping[str, Sampling]) -> None:
        self._rules = rules
        self._said: dict[str, _Said] = {}
        self._silence: tuple[str, float] | None = None
        self._silence_heartbeat_s = min((rule.heartbeat_s for rule in rules.values()), default=SILENCE_HEARTBEAT_S)

    def poll(self, decoded: Iterable[Decoded], now: float) -> Passed | None:
        """What passes of one poll; ``None`` when nothing does."""
        self._silence = None
        values: dict[str, Value] = {}
        faults: dict[str, str] = {}
        quality = Quality.GOOD
        urgent = False
        for point in decoded:
            if point.metric is None:
                continue
            rule = self._rules.get(point.metric, _EVERY_CHANGE)
            fault = "" if point.value is not None else f"{point.quality}: {point.reason}"
            if not self._passes(point.metric, _Said(point.value, point.quality, fault, now), rule):
                continue
            urgent = urgent or rule.urgent
            if point.value is None:
                faults[point.metric] = fault
            else:
                values[point.metric] = point.value
                quality = worst(quality, point.quality)
        if not values and not faults:
            return None
        return Passed(values, quality if values else Quality.BAD, faults or None, urgent)

    def observe(self, observation: Observation, now: float) -> Passed | None:
        """What passes of one message: an event whole, of a state what changed."""
        self._silence = None
        quality, faults = observation.quality, observation.faults
        rules = {metric: self._rules.get(metric, _EVERY_CHANGE) for metric in observation.values}
        passing = {
            metric: value
            for metric, value in observation.values.items()
            if self._passes(metric, _Said(value, quality, "", now), rules[metric])
        }
        if is_event(observation):
            return Passed(observation.values, quality, faults, True)
        failing = {
            metric: fault
            for metric, fault in (faults or {}).items()
            if self._passes(metric, _Said(None, Quality.BAD, fault, now), self._rules.get(metric, _EVERY_CHANGE))
        }
        if not passing and not failing:
            return None
        urgent = observation.urgent or any(rules[metric].urgent for metric in passing)
        return Passed(passing, quality, failing or None, urgent)

    def silence(self, reason: str, now: float) -> Passed | None:
        """A device that said nothing, or could not be asked: passes at first, when the reason changes, and on heartbeats."""
        if self._silence is not None:
            known, since = self._silence
            if known == reason and now - since < self._silence_heartbeat_s:
                return None
        self._silence = (reason, now)
        self._said.clear()
        return Passed({}, Quality.BAD, {EVERYTHING: reason}, False)

    def _passes(self, metric: str, said: _Said, rule: Sampling) -> bool:
        last = self._said.get(metric)
        if (
            last is not None
            and said.at - last.at < rule.heartbeat_s - rule.interval_s / 2
            and not _differs(last, said, rule.deadband)
        ):
            return False
        self._said[metric] = said
        return True


def is_event(observation: Observation) -> bool:
    return observation.event_id is not None or "event" in observation.values


def _kind_of(fault: str) -> str:
    """A fault without its figures: "301 is out of range" and "302 is out of range" are the same news."""
    return fault.translate(_NO_DIGITS) if fault else ""


def _differs(last: _Said, said: _Said, deadband: float) -> bool:
    if last.quality is not said.quality or (last.fault != said.fault and _kind_of(last.fault) != _kind_of(said.fault)):
        return True
    old, new = last.value, said.value
    if isinstance(old, bool | str) or isinstance(new, bool | str) or old is None or new is None:
        return old != new
    moved = abs(new - old)
    return moved > 0 and moved >= deadband * (1 - ROUNDING)
