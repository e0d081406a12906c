"""Arithmetic over points, as a profile writes it: ``(pressure - air) / 9806.65``, ``current_l1 > 5``.

1. Nothing but numbers: no attribute, no call but the five functions, no name that was not given a value.
2. Bounded: a text of at most 200 characters, nested at most 16 deep; evaluation visits each part once.
3. Total: a value, or ``Unfit`` with the reason.

Numbers, names, ``+ - * / ( )``, one comparison (``< <= > >= == !=``), and ``min max abs round``. Bools count as 0 and 1.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from device_profiles.registers import Unfit

MAX_LENGTH = 200
MAX_DEPTH = 16

Number = bool | int | float
_Part = Callable[[Mapping[str, Number]], Number]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?)|(?P<name>[a-z][a-z0-9_]*)|(?P<sign><=|>=|==|!=|[-+*/(),<>]))"
)
_COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_SUMS = {"+": operator.add, "-": operator.sub}
_PRODUCTS = {"*": operator.mul, "/": operator.truediv}


class _Function(NamedTuple):
    least: int
    most: int
    apply: Callable[..., Number]


FUNCTIONS = {
    "min": _Function(1, 8, min),
    "max": _Function(1, 8, max),
    "abs": _Function(1, 1, abs),
    "round": _Function(1, 2, lambda number, digits=0: round(number, int(digits)) if digits else round(number)),
}


class Formula(NamedTuple):
    """``names`` are the values it needs."""

    text: str
    names: frozenset[str]
    part: _Part

    def value(self, known: Mapping[str, object]) -> Number:
        """Raises ``Unfit`` where a name is unknown or no number, and where the result is none."""
        given = {name: _number(name, known) for name in self.names}
        try:
            found = self.part(given)
        except ZeroDivisionError:
            raise Unfit(f"{self.text} divides by zero") from None
        except (OverflowError, ValueError):
            raise Unfit(f"{self.text} is too large") from None
        if not isinstance(found, bool) and not math.isfinite(found):
            raise Unfit(f"{self.text} is not a number")
        return found


def _number(name: str, known: Mapping[str, object]) -> Number:
    value = known.get(name)
    if not isinstance(value, bool | int | float):
        raise Unfit(f"{name} is not {'a number' if name in known else 'known'}")
    return value


def formula(text: str) -> Formula:
    """Raises ``ValueError`` that says what is wrong and where."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a formula of {len(text)} characters; {MAX_LENGTH} are taken")
    reader = _Reader(tuple(_tokens(text)))
    part = reader.comparison(0)
    if reader.kind != "end":
        raise ValueError(f"{reader.word!r} at {reader.place} is one too many")
    return Formula(text, frozenset(reader.names), part)


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise ValueError(f"{text[place:].strip()[0]!r} at {place + 1} cannot stand in a formula")
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1)
        place = found.end()
    yield _Token("end", "the end", len(text) + 1)


class _Reader:
    """Recursive descent: comparison, sum, product, sign, atom."""

    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        self._tokens = tokens
        self._next = 0
        self.names: set[str] = set()

    @property
    def kind(self) -> str:
        return self._tokens[self._next].kind

    @property
    def word(self) -> str:
        return self._tokens[self._next].text

    @property
    def place(self) -> int:
        return self._tokens[self._next].place

    def comparison(self, depth: int) -> _Part:
        left = self._sum(depth)
        if self.word in _COMPARISONS:
            return _both(_COMPARISONS[self._take()], left, self._sum(depth))
        return left

    def _sum(self, depth: int) -> _Part:
        left = self._product(depth)
        while self.word in _SUMS:
            left = _both(_SUMS[self._take()], left, self._product(depth))
        return left

    def _product(self, depth: int) -> _Part:
        left = self._signed(depth)
        while self.word in _PRODUCTS:
            left = _both(_PRODUCTS[self._take()], left, self._signed(depth))
        return left

    def _signed(self, depth: int) -> _Part:
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        if self.word == "-":
            self._take()
            inner = self._signed(depth + 1)
            return lambda known: -inner(known)
        return self._atom(depth)

    def _atom(self, depth: int) -> _Part:
        kind, place = self.kind, self.place
        text = self._take()
        if kind == "number":
            constant = float(text) if set(text) & set(".eE") else int(text)
            return lambda known: constant
        if kind == "name":
            return self._call(text, depth) if self.word == "(" else self._named(text)
        if text == "(":
            inner = self.comparison(depth + 1)
            self._expect(")")
            return inner
        raise ValueError(f"{text!r} at {place}: a number, a name or ( is missing")

    def _named(self, name: str) -> _Part:
        self.names.add(name)
        return lambda known: known[name]

    def _call(self, name: str, depth: int) -> _Part:
        function = FUNCTIONS.get(name)
        if function is None:
            raise ValueError(f"no function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
        self._expect("(")
        parts = [self.comparison(depth + 1)]
        while self.word == ",":
            self._take()
            parts.append(self.comparison(depth + 1))
        self._expect(")")
        if not function.least <= len(parts) <= function.most:
            raise ValueError(f"{name} of {len(parts)} values; {function.least} to {function.most} are taken")
        return lambda known: function.apply(*[part(known) for part in parts])

    def _expect(self, sign: str) -> None:
        if self.word != sign:
            raise ValueError(f"{self.word!r} at {self.place}: {sign} is missing")
        self._take()

    def _take(self) -> str:
        text = self.word
        if self.kind != "end":
            self._next += 1
        return text


def _both(apply: Callable[[Number, Number], Number], left: _Part, right: _Part) -> _Part:
    return lambda known: apply(left(known), right(known))
