"""What a simulated quantity does over time: pure functions of (seed, point, virtual second).

Chance is a hash, not a generator with a state: any second can be asked in any order and after any restart,
and says the same. ``value`` is piecewise constant when it is asked on a grid.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec

from telemetry.metric import Value

Period = Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
Spread = Annotated[float, msgspec.Meta(ge=0)]


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape"):
    pass


class Wave(_Shape, frozen=True, tag="wave"):
    """A sine around ``mean``, ``swing`` to either side, highest at ``peak_s``; ``noise`` is the widest deviation on top."""

    mean: float
    swing: Spread = 0.0
    period_s: Period = 86_400.0
    peak_s: float = 0.0
    noise: Spread = 0.0


class Walk(_Shape, frozen=True, tag="walk"):
    """Wanders between ``low`` and ``high``, with turns about every ``period_s`` and finer ones in between."""

    low: float
    high: float
    period_s: Period = 600.0


class Table(_Shape, frozen=True, tag="table"):
    """Values in turn, each held for ``step_s``, from the start again after the last."""

    values: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]
    step_s: Period


class Sum(_Shape, frozen=True, tag="sum"):
    """The sum of other points of the device."""

    of: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Ratio(_Shape, frozen=True, tag="ratio"):
    """``factor * of / by``, two other points of the device: a current from a power and a voltage."""

    of: str
    by: str
    factor: float = 1.0


class Counter(_Shape, frozen=True, tag="counter"):
    """``start`` kWh plus the energy of another point, a power in W that is a wave, a number or a sum of these."""

    start: float
    of: str


Signal = bool | int | float | str | Wave | Walk | Table | Sum | Ratio | Counter


def chance(seed: str, step: int) -> float:
    """A number in [-1, 1], the same for ever for this seed and step; most often near 0."""
    digest = hashlib.blake2b(f"{seed}:{step}".encode(), digest_size=8).digest()
    left, right = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return (left - right) / 0xFFFF_FFFF


def value(points: Mapping[str, Signal], name: str, seed: str, at: float) -> Value:
    """What the point says at the virtual second ``at``. ``seed`` is the device's; ``faults`` must have found nothing."""
    signal = points[name]
    match signal:
        case Wave():
            turn = math.cos((at - signal.peak_s) / signal.period_s * math.tau)
            return signal.mean + signal.swing * turn + signal.noise * chance(f"{seed}/{name}", math.floor(at))
        case Walk():
            return signal.low + (signal.high - signal.low) * (1 + _wander(f"{seed}/{name}", at / signal.period_s)) / 2
        case Table():
            return signal.values[int(at // signal.step_s) % len(signal.values)]
        case Sum():
            return math.fsum(float(value(points, part, seed, at)) for part in signal.of)
        case Ratio():
            by = float(value(points, signal.by, seed, at))
            return signal.factor * float(value(points, signal.of, seed, at)) / by if by else 0.0
        case Counter():
            return signal.start + (_integral(points, signal.of, at) - _integral(points, signal.of, 0.0)) / 3.6e6
    return signal


def faults(points: Mapping[str, Signal]) -> Iterator[tuple[str, str, str]]:
    """``(point, reason, cure)`` of everything that ``value`` could not work out."""
    for name, signal in points.items():
        for part in _parts(signal):
            if part not in points:
                yield name, f"no point {part!r} in this device", f"known: {', '.join(sorted(points))}"
        if isinstance(signal, Counter) and signal.of in points and not _summable(points, signal.of):
            yield name, f"{signal.of!r} has no energy", "a counter counts a wave, a number or a sum of these"
        if _leads_back(points, name):
            yield name, "is made of itself", "take it out of its own parts"


def _parts(signal: Signal) -> tuple[str, ...]:
    match signal:
        case Sum():
            return signal.of
        case Ratio():
            return signal.of, signal.by
        case Counter():
            return (signal.of,)
    return ()


def _leads_back(points: Mapping[str, Signal], name: str) -> bool:
    seen: set[str] = set()
    reached = list(_parts(points[name]))
    while reached:
        part = reached.pop()
        if part == name:
            return True
        if part in points and part not in seen:
            seen.add(part)
            reached += _parts(points[part])
    return False


def _summable(points: Mapping[str, Signal], name: str) -> bool:
    signal = points.get(name)
    if isinstance(signal, Sum):
        return not _leads_back(points, name) and all(_summable(points, part) for part in signal.of)
    return isinstance(signal, Wave | float | int) and not isinstance(signal, bool)


def _integral(points: Mapping[str, Signal], name: str, at: float) -> float:
    """Of the point over virtual seconds up to ``at``; noise averages out and is left out."""
    signal = points[name]
    match signal:
        case Wave():
            pace = math.tau / signal.period_s
            return signal.mean * at + signal.swing / pace * math.sin((at - signal.peak_s) * pace)
        case Sum():
            return math.fsum(_integral(points, part, at) for part in signal.of)
    assert isinstance(signal, float | int)  # faults() refuses every other
    return signal * at


def _wander(seed: str, turns: float) -> float:
    """Three octaves of smoothed chance, in [-1, 1]."""
    return sum(weight * _smooth(f"{seed}/{octave}", turns * 2**octave) for octave, weight in enumerate((4 / 7, 2 / 7, 1 / 7)))


def _smooth(seed: str, turns: float) -> float:
    step = math.floor(turns)
    blend = (1 - math.cos((turns - step) * math.pi)) / 2
    return chance(seed, step) * (1 - blend) + chance(seed, step + 1) * blend
