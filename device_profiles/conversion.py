"""A raw value to what a reading says, and back: sentinels, map, exact scale, unit, range and type.

Scales are rational numbers, so that 305 at a scale of 0.1 is 30.5 and not 30.500000000000004.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from device_profiles.registers import Raw, Unfit
from telemetry.metric import MAX_TEXT, Value, ValueType
from telemetry.unit import conversion as unit_conversion

ONE, ZERO = Fraction(1), Fraction(0)


def exact(number: float) -> Fraction:
    """The fraction a person meant: 0.1 is one tenth, 0.5555555555555556 five ninths."""
    near = Fraction(number).limit_denominator(1_000_000)
    return near if float(near) == number else Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def unit_line(source: str, target: str) -> tuple[Fraction, Fraction]:
    """``target = source * factor + offset``, exactly. Raises ``ValueError`` across dimensions."""
    factor, offset = unit_conversion(source, target)
    return exact(factor), exact(offset)


def key_of(value: object) -> str:
    """A scalar as the key of a map or a condition: ``true`` for true, ``7`` for 7 and for ``"7"``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """``value = raw * factor + offset`` for numbers, ``mapping`` by key for codes. ``type`` ``None`` keeps the raw (a helper).

    ``range`` is in the unit of the value, ends included.
    """

    type: ValueType | None
    factor: Fraction = ONE
    offset: Fraction = ZERO
    mapping: Mapping[str, Value] | None = None
    absent: frozenset[str] = frozenset()
    invert: bool = False
    range: tuple[float, float] | None = None

    def value(self, raw: object) -> Value:
        """Raises ``Unfit`` with the reason where ``raw`` means no measurement or not what it should."""
        if self.absent and key_of(raw) in self.absent:
            raise Unfit(f"{_shown(raw)} means no value")
        if self.mapping is not None:
            raw = _meaning(self.mapping, raw)
        match self.type:
            case ValueType.FLOAT | ValueType.INT:
                return self._number(raw)
            case ValueType.BOOL:
                if not isinstance(raw, bool):
                    raise Unfit(f"{_shown(raw)} is not a bool")
                return raw is not self.invert
            case ValueType.TEXT:
                return _text(raw)
        if isinstance(raw, str | bool):
            return raw
        if isinstance(raw, int | float):
            return self._number(raw) if self.factor != 1 or self.offset != 0 else raw
        raise Unfit(f"{_shown(raw)} is not a value")

    def raw(self, value: Value) -> Raw:
        """The inverse of ``value``. Raises ``ValueError`` where no raw value means this."""
        if self.mapping is not None:
            for key, meaning in self.mapping.items():
                if meaning == value:
                    return _from_key(key)
            raise ValueError(f"no raw value means {value!r}")
        if self.type is ValueType.BOOL:
            return bool(value) is not self.invert
        if self.type not in (ValueType.BOOL, ValueType.TEXT) and not isinstance(value, str):
            if self.factor == 1 and self.offset == 0:
                return value
            raw = (Fraction(value) - self.offset) / self.factor
            return raw.numerator if raw.denominator == 1 else float(raw)
        return value

    def scaled(self, factor: Fraction, offset: Fraction = ZERO) -> "Conversion":
        """This conversion followed by ``* factor + offset``."""
        return Conversion(
            self.type, self.factor * factor, self.offset * factor + offset, self.mapping, self.absent, self.invert, self.range
        )

    def _number(self, raw: object) -> Value:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise Unfit(f"{_shown(raw)} is not a number")
        try:
            number = self._whole(raw) if self.type is ValueType.INT else self._scale(raw)
        except OverflowError:
            raise Unfit("too large") from None
        if number - number != 0:
            raise Unfit("not a number")
        if self.range is not None and not self.range[0] <= number <= self.range[1]:
            raise Unfit(f"{number:g} is out of range {self.range[0]:g} to {self.range[1]:g}")
        return number

    def _scale(self, raw: int | float) -> float:
        factor, offset = self.factor, self.offset
        if isinstance(raw, int) and offset == 0:
            return raw * factor.numerator / factor.denominator
        if isinstance(raw, int):
            return float(raw * factor + offset)
        if factor == 1 and offset == 0:
            return raw
        return raw * factor.numerator / factor.denominator + offset.numerator / offset.denominator

    def _whole(self, raw: int | float) -> int:
        if isinstance(raw, float):
            if not raw.is_integer():
                raise Unfit(f"{_shown(raw)} is not a whole number")
            raw = int(raw)
        if abs(raw) >= 1 << 63:
            raise OverflowError
        return int(raw * self.factor + self.offset)


def _meaning(mapping: Mapping[str, Value], raw: object) -> Value:
    try:
        return mapping[key_of(raw)]
    except (KeyError, ValueError):  # a number too long to write out is not in the map either
        raise Unfit(f"{_shown(raw)} has no meaning here") from None


def _text(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise Unfit(f"{_shown(raw)} is not text")
    text = "".join(letter for letter in str(raw) if letter.isprintable()).strip()
    if len(text) > MAX_TEXT:
        raise Unfit(f"text of {len(text)} characters; {MAX_TEXT} are taken")
    return text


def _from_key(key: str) -> Raw:
    if key in ("true", "false"):
        return key == "true"
    return int(key) if key.lstrip("-").isdigit() else key


def _shown(raw: object) -> str:
    """What kind of thing came, never its text: it may be a plate or a name."""
    if isinstance(raw, bool) or raw is None:
        return key_of(raw)
    if isinstance(raw, int | float):
        return f"{raw:g}" if abs(raw) < 1e300 else "a huge number"
    return "text" if isinstance(raw, str) else "a list" if isinstance(raw, list) else "an object"
