"""Registers: every type and byte order reads what it wrote; what means nothing is unfit; nothing is guessed."""

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.format import Binding, Order, RawType, Table
from device_profiles.registers import Unfit, codec, width, wire_words

ORDERS = st.sampled_from(Order)
INTEGERS = {
    RawType.INT16: (16, True),
    RawType.UINT16: (16, False),
    RawType.INT32: (32, True),
    RawType.UINT32: (32, False),
    RawType.INT64: (64, True),
    RawType.UINT64: (64, False),
}
FLOATS = {RawType.FLOAT16: 16, RawType.FLOAT32: 32, RawType.FLOAT64: 64}
MEASURABLE = {
    width: st.floats(width=width, allow_nan=False, allow_infinity=False, allow_subnormal=False).map(lambda number: number + 0.0)
    for width in (16, 32, 64)
}
"""By bits: floats as they may be measured, and no -0.0."""


def holding(type_: RawType, order: Order = Order.ABCD, **more: object) -> Binding:
    return Binding(Table.HOLDING, 0, type_, order, **more)  # type: ignore[arg-type]  # short for the tests


@given(st.sampled_from(list(INTEGERS)), ORDERS, st.data())
def test_integers_read_what_they_wrote(type_: RawType, order: Order, data: st.DataObject) -> None:
    bits, signed = INTEGERS[type_]
    low = -(1 << bits - 1) if signed else 0
    number = data.draw(st.integers(low, low + (1 << bits) - 1))
    made = codec(holding(type_, order))
    words = made.write(number)
    assert len(words) == made.registers == bits // 16
    assert made.read(words) == number


@given(st.sampled_from(list(FLOATS)), ORDERS, st.data())
def test_floats_read_what_they_wrote(type_: RawType, order: Order, data: st.DataObject) -> None:
    number = data.draw(MEASURABLE[FLOATS[type_]])
    made = codec(holding(type_, order))
    words = made.write(number)
    assert made.write(made.read(words)) == words


@given(MEASURABLE[32])
def test_a_narrow_float_is_told_as_the_shortest_decimal_that_means_it(number: float) -> None:
    made = codec(holding(RawType.FLOAT32))
    told = made.read(made.write(number))
    assert isinstance(told, float)
    assert struct.pack(">f", told) == struct.pack(">f", number)
    assert digits(told) <= digits(number)


def digits(number: float) -> int:
    """How many it takes to say the number, zeros before and after left out."""
    return len(Decimal(repr(number)).normalize().as_tuple().digits)


@given(ORDERS, st.integers(1, 4), st.data())
def test_bcd_reads_what_it_wrote(order: Order, registers: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10 ** (4 * registers) - 1))
    made = codec(holding(RawType.BCD, order, registers=registers))
    assert made.read(made.write(number)) == number


@given(ORDERS, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8))
def test_text_reads_what_it_wrote(order: Order, text: str) -> None:
    made = codec(holding(RawType.ASCII, order, registers=4))
    assert made.read(made.write(text)) == text


@given(st.integers(0, 31), st.integers(0, 31), ORDERS, st.data())
def test_bits_read_what_they_wrote(a: int, b: int, order: Order, data: st.DataObject) -> None:
    low, high = sorted((a, b))
    part = data.draw(st.integers(0, (1 << high - low + 1) - 1))
    made = codec(holding(RawType.UINT32, order, bits=(low, high)))
    assert made.read(made.write(part)) == part


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order.ABCD, (0x4366, 0x8000)),
        (Order.CDAB, (0x8000, 0x4366)),
        (Order.BADC, (0x6643, 0x0080)),
        (Order.DCBA, (0x0080, 0x6643)),
    ],
)
def test_one_float_in_every_order(order: Order, words: tuple[int, ...]) -> None:
    assert codec(holding(RawType.FLOAT32, order)).read(words) == 230.5
    assert codec(holding(RawType.FLOAT32, order)).write(230.5) == words


@pytest.mark.parametrize(
    ("type_", "words", "value"),
    [
        (RawType.INT16, (0xFF9B,), -101),
        (RawType.UINT16, (0xFF9B,), 65435),
        (RawType.INT32, (0xFFFF, 0xFFFF), -1),
        (RawType.UINT64, (0, 0, 1, 0), 65536),
        (RawType.FLOAT16, (0x3C00,), 1.0),
        (RawType.FLOAT64, (0x3FF8, 0, 0, 0), 1.5),
        (RawType.FLOAT32, (0x3F7A, 0xE148), 0.98),
    ],
)
def test_known_words(type_: RawType, words: tuple[int, ...], value: float) -> None:
    assert codec(holding(type_)).read(words) == value


def test_text_ends_at_the_first_nul() -> None:
    assert codec(holding(RawType.ASCII, registers=3)).read((0x4142, 0x4300, 0x5858)) == "ABC"


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (holding(RawType.FLOAT32), (0x7FC0, 0)),
        (holding(RawType.FLOAT32), (0xFF80, 0)),
        (holding(RawType.FLOAT16), (0x7C01,)),
        (holding(RawType.BCD, registers=1), (0x12A4,)),
        (holding(RawType.ASCII, registers=1), (0xFF41,)),
        (holding(RawType.ASCII, registers=1), (0x4107,)),
    ],
)
def test_words_that_mean_nothing_are_unfit(binding: Binding, words: tuple[int, ...]) -> None:
    with pytest.raises(Unfit):
        codec(binding).read(words)


@pytest.mark.parametrize(
    ("binding", "raw"),
    [
        (holding(RawType.UINT16), 65536),
        (holding(RawType.UINT16), -1),
        (holding(RawType.INT16), 32768),
        (holding(RawType.FLOAT32), 1e39),
        (holding(RawType.BCD, registers=1), 10_000),
        (holding(RawType.BCD, registers=1), -1),
        (holding(RawType.ASCII, registers=1), "abc"),
        (holding(RawType.UINT16, bits=(0, 2)), 8),
        (holding(RawType.UINT16), math.inf),
    ],
)
def test_a_value_that_does_not_fit_is_refused(binding: Binding, raw: float | str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        codec(binding).write(raw)


def test_a_single_bit_is_true_or_false() -> None:
    door = codec(holding(RawType.BIT, bit=9))
    assert door.read((0x0200,)) is True and door.read((0xFDFF,)) is False
    coil = codec(Binding(Table.COIL, 0, RawType.BIT))
    assert coil.read((1,)) is True and coil.write(False) == (0,)


def test_a_sentinel_is_written_as_it_arrives() -> None:
    assert wire_words(0x7FFFFFFE, 2, Order.CDAB) == (0xFFFE, 0x7FFF)
    assert wire_words(-1, 1, Order.ABCD) == (0xFFFF,)


def test_every_type_knows_its_width() -> None:
    assert [width(holding(type_, registers=3)) for type_ in (RawType.BIT, RawType.INT32, RawType.FLOAT64, RawType.ASCII)] == [
        1,
        2,
        4,
        3,
    ]
    assert width(Binding(Table.COIL, 0, RawType.UINT16)) == 1
