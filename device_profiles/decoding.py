"""Answers of a Modbus device to values, and values to the words a simulated device answers with.

Total: whatever words arrive, a point gets a value or a reason, never an exception. What can be made once is made once:
each request's points are looked up on its first answer, each scale that hangs on helper registers on its first use.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from device_profiles.conversion import Conversion, exact, key_of
from device_profiles.format import ScaleFrom
from device_profiles.planner import Request
from device_profiles.profile import Dependence, Point, Profile, Register
from device_profiles.registers import Raw, Unfit, WordsOnWire
from telemetry.metric import Value
from telemetry.quality import Quality

_MAX_EXPONENT = 18


class Answer(NamedTuple):
    """What came back for a request: registers, or 0 and 1 for bits; ``None`` with the reason when nothing did."""

    request: Request
    words: tuple[int, ...] | None
    failure: str = ""


class Decoded(NamedTuple):
    """One point of an answer. ``value`` is in the metric's unit; ``None`` with quality bad and a reason when it has none."""

    point: str
    metric: str | None
    value: Value | None
    quality: Quality
    reason: str
    words: tuple[int, ...]


class _Part(NamedTuple):
    point: Point
    register: Register
    start: int
    stop: int


def decode(profile: Profile, answers: Iterable[Answer]) -> tuple[Decoded, ...]:
    """Every point of every answer, in their order; then the points that are worked out of them.

    A point that has several places and was asked for in two of them is told once: by the place that had a value.
    """
    answers = tuple(answers)
    given = _helpers(profile, answers)
    found = tuple(decoded for answer in answers for decoded in _decoded(profile, answer, given))
    if profile.doubled:
        found = tuple(_told_once(found))
    return found + tuple(_derived(profile.derived, found)) if profile.derived else found


def encode(profile: Profile, point: str, value: Value, given: Mapping[str, Value] | None = None) -> WordsOnWire:
    """The words that ``decode`` turns into ``value`` (in the metric's unit), rounded to what the registers can hold.

    ``given``: raw values of the helpers it depends on. A bit cut out of a register leaves the others 0: join them with ``|``.
    Raises ``ValueError`` for a value the registers cannot hold and ``KeyError`` for an unknown point or a missing helper.
    """
    found = profile.points[point]
    if found.register is None:
        raise KeyError(f"{point} has no registers")
    helpers = given or {}
    try:
        conversion = _conversion(found, tuple((name, helpers[name]) for name in _needs(found)))
    except Unfit as error:
        raise ValueError(str(error)) from error
    return found.register.codec.write(conversion.raw(value))


def words_of(answer: Answer) -> WordsOnWire | str:
    """The words of an answer, or why there are none to use."""
    if answer.words is None:
        return answer.failure or "no answer"
    if len(answer.words) != answer.request.count:
        return f"{len(answer.words)} words for {answer.request.count} asked"
    return answer.words


def _decoded(profile: Profile, answer: Answer, given: Mapping[str, Raw | Unfit]) -> Iterable[Decoded]:
    words = words_of(answer)
    for point, register, start, stop in _parts(profile, answer.request):
        if isinstance(words, str):
            yield Decoded(point.name, point.metric, None, Quality.BAD, words, ())
            continue
        own = words[start:stop]
        try:
            value = _value(point, register, own, given)
        except Unfit as error:
            yield Decoded(point.name, point.metric, None, Quality.BAD, str(error), own)
        else:
            yield Decoded(point.name, point.metric, value, Quality.GOOD, "", own)


def _told_once(found: Iterable[Decoded]) -> Iterable[Decoded]:
    best: dict[str, Decoded] = {}
    for each in found:
        if each.point not in best or best[each.point].value is None:
            best[each.point] = each
    return best.values()


def _derived(points: Iterable[Point], found: Iterable[Decoded]) -> Iterable[Decoded]:
    """The derived points all of whose inputs were asked for; bad where one of them is."""
    known = {each.point: each for each in found}
    for point in points:
        link = point.derivation
        if link is None or not link.points or not link.points <= known.keys():
            continue
        bad = next((known[name] for name in sorted(link.points) if known[name].value is None), None)
        if bad is not None:
            yield Decoded(point.name, point.metric, None, Quality.BAD, f"{bad.point} is not known: {bad.reason}", ())
            continue
        try:
            value = point.conversion.value(link.value({name: known[name].value for name in link.points}))
        except Unfit as error:
            yield Decoded(point.name, point.metric, None, Quality.BAD, str(error), ())
        else:
            yield Decoded(point.name, point.metric, value, Quality.GOOD, "", ())


@lru_cache(maxsize=1024)
def _parts(profile: Profile, request: Request) -> tuple[_Part, ...]:
    found = ((profile.points[name], _place(profile.points[name], request)) for name in request.points)
    return tuple(
        _Part(point, register, register.address - request.address, register.address - request.address + register.count)
        for point, register in found
        if register is not None
    )


def _place(point: Point, request: Request) -> Register | None:
    """Which of a point's places a request reads."""
    end = request.address + request.count
    for register in point.places:
        if register.table is request.table and request.address <= register.address and register.address + register.count <= end:
            return register
    return point.register


def _raw(register: Register, words: WordsOnWire) -> Raw:
    if words in register.sentinels:
        raise Unfit(f"no value: the device says 0x{''.join(f'{word:04X}' for word in words)}")
    try:
        return register.codec.read(words)
    except (struct.error, TypeError, IndexError, OverflowError):
        raise Unfit("not register words") from None


def _value(point: Point, register: Register, words: WordsOnWire, given: Mapping[str, Raw | Unfit]) -> Value:
    raw = _raw(register, words)
    if point.dependence is None:
        return point.conversion.value(raw)
    known: list[tuple[str, Raw]] = []
    for name in _needs(point):
        helper = given.get(name, Unfit("it was not read"))
        if isinstance(helper, Unfit):
            raise Unfit(f"{name} is not known: {helper}")
        known.append((name, helper))
    return _conversion(point, tuple(known)).value(raw)


def _helpers(profile: Profile, answers: tuple[Answer, ...]) -> dict[str, Raw | Unfit]:
    needed = helper_names(profile)
    if not needed:
        return {}
    known: dict[str, Raw | Unfit] = {}
    for answer in answers:
        words = words_of(answer)
        for point, register, start, stop in _parts(profile, answer.request):
            if point.name in needed and isinstance(known.get(point.name), Unfit | None):
                known[point.name] = _helper(register, words if isinstance(words, str) else words[start:stop])
    return known


def _helper(register: Register, words: WordsOnWire | str) -> Raw | Unfit:
    try:
        return Unfit(words) if isinstance(words, str) else _raw(register, words)
    except Unfit as error:
        return error


@lru_cache(maxsize=256)
def helper_names(profile: Profile) -> frozenset[str]:
    """Points that others depend on."""
    return frozenset(name for point in profile.points.values() if point.dependence for name in point.dependence.points)


@lru_cache(maxsize=1024)
def _needs(point: Point) -> tuple[str, ...]:
    return tuple(sorted(point.dependence.points)) if point.dependence else ()


@lru_cache(maxsize=1024)
def _conversion(point: Point, known: tuple[tuple[str, Raw], ...]) -> Conversion:
    """The conversion of a point while its helpers say ``known``. Raises ``Unfit``."""
    link, values = point.dependence, dict(known)
    if link is None:
        return point.conversion
    for name, allowed in link.valid_when.items():
        if key_of(values[name]) not in allowed:
            raise Unfit(f"not valid while {name} is {values[name]}")
    # The register's own factor comes first, then the line from the device's unit to the metric's.
    conversion = point.conversion
    if link.scale is not None:
        conversion = _rescaled(conversion, _factor(link.scale, values[link.scale.point]))
    if link.unit is not None:
        conversion = conversion.scaled(*_line(link, values[link.unit]))
    return conversion


def _rescaled(conversion: Conversion, factor: Fraction) -> Conversion:
    return replace(conversion, factor=conversion.factor * factor)


def _factor(scale: ScaleFrom, helper: Raw) -> Fraction:
    if isinstance(helper, bool | str) or helper != helper:
        raise Unfit(f"{scale.point} is not a number")
    if scale.means == "factor":
        return exact(helper)
    exponent = -int(helper) if scale.means == "negative_exponent" else int(helper)
    if abs(exponent) > _MAX_EXPONENT:
        raise Unfit(f"{scale.point} says 10 to the power of {exponent}")
    return Fraction(10) ** exponent


def _line(link: Dependence, code: Raw) -> tuple[Fraction, Fraction]:
    if isinstance(code, str) or int(code) not in link.units:
        raise Unfit(f"{link.unit} says {code}, which is no unit known here")
    return link.units[int(code)]
