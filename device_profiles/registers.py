"""Registers to raw values and back: one codec for each type and byte order, made once for each point.

A raw value is what stands in the device before any scale: an integer, a float, a bit or a text.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from device_profiles.format import Binding, Order, RawType, Table

Raw = bool | int | float | str
WordsOnWire = tuple[int, ...]

BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})
_INTEGERS = {
    RawType.INT16: (1, True),
    RawType.UINT16: (1, False),
    RawType.INT32: (2, True),
    RawType.UINT32: (2, False),
    RawType.INT64: (4, True),
    RawType.UINT64: (4, False),
}
_FLOATS = {RawType.FLOAT16: (1, ">e"), RawType.FLOAT32: (2, ">f"), RawType.FLOAT64: (4, ">d")}
_LEAST_NORMAL = {1: 0.0, 2: 2.0**-126, 4: 2.0**-1022}
"""By registers: what is smaller and not 0 is an integer or a float of swapped words. One of 16 bits may be a measurement."""


class Unfit(ValueError):
    """A value that means no measurement; the message is the reason a person reads."""


class Codec(NamedTuple):
    """``read`` raises ``Unfit`` where the words mean nothing; ``write`` raises ``ValueError`` where the value does not fit."""

    registers: int
    read: Callable[[Sequence[int]], Raw]
    write: Callable[[Raw], WordsOnWire]


def codec(binding: Binding) -> Codec:
    """The codec of a checked binding; bits cut out of a register included."""
    if binding.table in BIT_TABLES:
        return Codec(1, _read_bit, _write_bit)
    if binding.bit is not None or binding.bits is not None:
        return _part(_whole(binding), *(binding.bits or (binding.bit or 0, binding.bit or 0)), single=binding.bits is None)
    return _whole(binding)


def width(binding: Binding) -> int:
    """How many registers (or bits of a bit table) a binding takes."""
    if binding.table in BIT_TABLES or binding.type is RawType.BIT:
        return 1
    if binding.type in _INTEGERS:
        return _INTEGERS[binding.type][0]
    if binding.type in _FLOATS:
        return _FLOATS[binding.type][0]
    return binding.registers or 1


def wire_words(pattern: int, registers: int, order: Order) -> WordsOnWire:
    """An unsigned (or two's complement) bit pattern as the words that arrive."""
    content = (pattern % (1 << 16 * registers)).to_bytes(2 * registers, "big")
    return _words(content, registers, order)


def _whole(binding: Binding) -> Codec:
    registers, order = width(binding), binding.order
    if binding.type in _FLOATS:
        return _float(registers, _FLOATS[binding.type][1], order)
    if binding.type is RawType.BCD:
        return _bcd(registers, order)
    if binding.type is RawType.ASCII:
        return _ascii(registers, order)
    signed = binding.type in _INTEGERS and _INTEGERS[binding.type][1]
    return _integer(registers, signed, order)


def _reverses_words(order: Order) -> bool:
    return order in (Order.CDAB, Order.DCBA)


def _swaps_bytes(order: Order) -> bool:
    return order in (Order.BADC, Order.DCBA)


def _content(registers: int, order: Order) -> Callable[[Sequence[int]], bytes]:
    """Words as they arrive to bytes, most significant first."""
    pack = struct.Struct(f"{'<' if _swaps_bytes(order) else '>'}{registers}H").pack
    if _reverses_words(order):
        return lambda words: pack(*words[::-1])
    return lambda words: pack(*words)


def _words(content: bytes, registers: int, order: Order) -> WordsOnWire:
    words = struct.unpack(f"{'<' if _swaps_bytes(order) else '>'}{registers}H", content)
    return words[::-1] if _reverses_words(order) else words


def _integer(registers: int, signed: bool, order: Order) -> Codec:
    bits = 16 * registers
    content = _content(registers, order)

    def write(raw: Raw) -> WordsOnWire:
        number = _nearest(raw)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= number <= high:
            raise ValueError(f"{number} does not fit {'int' if signed else 'uint'}{bits}")
        return wire_words(number, registers, order)

    if registers == 1 and not signed and not _swaps_bytes(order):
        return Codec(1, _read_word, write)
    return Codec(registers, lambda words: int.from_bytes(content(words), "big", signed=signed), write)


def _float(registers: int, form: str, order: Order) -> Codec:
    content, layout = _content(registers, order), struct.Struct(form)
    shorten = _shortener(layout) if registers <= 2 else None
    least = _LEAST_NORMAL[registers]

    def read(words: Sequence[int]) -> Raw:
        pattern = content(words)
        number: float = layout.unpack(pattern)[0]
        if number - number != 0.0:
            raise Unfit("not a number" if number != number else "infinite")
        if number == 0.0:
            return 0.0  # without its sign
        if -least < number < least:
            raise Unfit(f"{number:.3g} is too small to be measured; its words in another order?")
        return shorten(number, pattern) if shorten else number

    def write(raw: Raw) -> WordsOnWire:
        try:
            return _words(layout.pack(float(raw)), registers, order)
        except OverflowError as error:
            raise ValueError(f"{raw} does not fit {layout.size * 8} bits") from error

    return Codec(registers, read, write)


def _shortener(layout: struct.Struct) -> Callable[[float, bytes], float]:
    """The shortest decimal that means the same narrow float: 0.98, not 0.9800000190734863."""

    def shorten(number: float, pattern: bytes) -> float:
        for form in ("%.7g", "%.8g", "%.9g"):
            short = float(form % number)
            try:
                if layout.pack(short) == pattern:
                    return short
            except OverflowError:  # the largest float of all, rounded up
                continue
        return number

    return shorten


def _bcd(registers: int, order: Order) -> Codec:
    content = _content(registers, order)

    def read(words: Sequence[int]) -> Raw:
        digits = content(words).hex()
        if not digits.isdigit():
            raise Unfit(f"0x{digits} is not BCD")
        return int(digits)

    def write(raw: Raw) -> WordsOnWire:
        digits = str(_nearest(raw)).zfill(4 * registers)
        if len(digits) > 4 * registers or not digits.isdigit():
            raise ValueError(f"{raw} does not fit {4 * registers} digits")
        return _words(bytes.fromhex(digits), registers, order)

    return Codec(registers, read, write)


def _ascii(registers: int, order: Order) -> Codec:
    content = _content(registers, order)

    def read(words: Sequence[int]) -> Raw:
        text = content(words).partition(b"\0")[0]
        if not text.isascii() or not (shown := text.decode("ascii").strip()).isprintable():
            raise Unfit(f"0x{text.hex()} is not text")
        return shown

    def write(raw: Raw) -> WordsOnWire:
        text = str(raw).encode("ascii")
        if len(text) > 2 * registers:
            raise ValueError(f"{raw!r} is longer than {2 * registers} characters")
        return _words(text.ljust(2 * registers, b"\0"), registers, order)

    return Codec(registers, read, write)


def _part(whole: Codec, low: int, high: int, *, single: bool) -> Codec:
    mask = (1 << high - low + 1) - 1

    def read(words: Sequence[int]) -> Raw:
        part = (int(whole.read(words)) >> low) & mask
        return bool(part) if single else part

    def write(raw: Raw) -> WordsOnWire:
        part = _nearest(raw)
        if not 0 <= part <= mask:
            raise ValueError(f"{raw} does not fit bits {low} to {high}")
        return whole.write(part << low)

    return Codec(whole.registers, read, write)


def _nearest(raw: Raw) -> int:
    return int(raw) if isinstance(raw, str) else round(raw)


def _read_word(words: Sequence[int]) -> Raw:
    return words[0]


def _read_bit(words: Sequence[int]) -> Raw:
    return bool(words[0])


def _write_bit(raw: Raw) -> WordsOnWire:
    return (int(bool(raw)),)
