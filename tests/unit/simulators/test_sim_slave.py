"""The answering side of Modbus, against the numbers of the manuals."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles import Table
from simulators.slave import Refused, RtuLine, Silent, TcpConnection, answer, crc


class Map:
    """A unit with the given words; ``fault`` makes it silent or refusing."""

    def __init__(self, words: dict[tuple[Table, int], int], fault: Exception | None = None) -> None:
        self._words = words
        self._fault = fault

    def words(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        if self._fault is not None:
            raise self._fault
        try:
            return tuple(self._words[table, address + place] for place in range(count))
        except KeyError:
            raise Refused(2) from None


RENKE = Map({(Table.HOLDING, 0): 0x0292, (Table.HOLDING, 1): 0xFF9B})
XY = Map({(Table.INPUT, 1): 0x0131, (Table.INPUT, 2): 0x0222})
LINE = {1: RENKE, 3: XY}


def wire(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_frame_of_the_renke_manual_is_answered_as_printed() -> None:
    assert list(RtuLine(LINE).receive(wire("01 03 00 00 00 02 C4 0B"))) == [wire("01 03 04 02 92 FF 9B 5A 3D")]


def test_the_frame_of_the_xy_md02_is_answered_as_computed() -> None:
    assert list(RtuLine({1: XY}).receive(wire("01 04 00 01 00 02 20 0B"))) == [wire("01 04 04 01 31 02 22 2A CE")]


@given(st.lists(st.integers(1, 7), max_size=7))
def test_a_frame_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    frame, line = wire("01 03 00 00 00 02 C4 0B"), RtuLine(LINE)
    edges = sorted({0, 8, *cuts})
    replies = [reply for start, end in pairwise(edges) for reply in line.receive(frame[start:end])]
    assert replies == [wire("01 03 04 02 92 FF 9B 5A 3D")]


@given(st.binary(max_size=40))
def test_noise_before_a_frame_does_not_hide_it(noise: bytes) -> None:
    replies = list(RtuLine(LINE).receive(noise + wire("01 03 00 00 00 02 C4 0B")))
    assert replies[-1:] == [wire("01 03 04 02 92 FF 9B 5A 3D")]


def test_a_pause_forgets_half_a_frame() -> None:
    line = RtuLine(LINE)
    assert list(line.receive(wire("01 03 00 00"))) == []
    line.pause()
    assert list(line.receive(wire("00 02 C4 0B"))) == []


@pytest.mark.parametrize(
    "frame",
    ["01 03 00 00 00 02 C4 0C", "00 03 00 00 00 02 C5 DA", "02 03 00 00 00 02 C4 38"],
    ids=["wrong checksum", "to everybody", "no such unit"],
)
def test_some_frames_get_no_answer(frame: str) -> None:
    assert list(RtuLine(LINE).receive(wire(frame))) == []


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("03 0000 0003", "83 02"),
        ("03 0005 0001", "83 02"),
        ("03 0000 007E", "83 03"),
        ("03 0000 0000", "83 03"),
        ("03 0000", "83 03"),
        ("06 0000 0001", "86 01"),
        ("10 0000 0001 02 0001", "90 01"),
    ],
    ids=["past the end", "hole", "too many", "none", "cut short", "write one", "write many"],
)
def test_what_cannot_be_answered_is_refused(request_: str, reply: str) -> None:
    assert answer(RENKE, wire(request_)) == wire(reply)


def test_bits_are_packed_lowest_first() -> None:
    bits = Map({(Table.DISCRETE, place): int(place in (0, 2, 8)) for place in range(10)})
    assert answer(bits, wire("02 0000 000A")) == wire("02 02 05 01")


def test_a_silent_unit_is_silent_to_writes_too() -> None:
    silent = Map({}, Silent())
    assert answer(silent, wire("03 0000 0001")) is None
    assert answer(silent, wire("06 0000 0001")) is None


def test_a_tcp_answer_bears_the_transaction_and_unit_of_its_request() -> None:
    connection = TcpConnection(LINE)
    request = wire("1234 0000 0006 01 03 0000 0001  1235 0000 0006 09 03 0000 0001  1236 0000 0006 03 04 0001 0001")
    assert list(connection.receive(request)) == [wire("1234 0000 0005 01 03 02 0292"), wire("1236 0000 0005 03 04 02 0131")]


@pytest.mark.parametrize("nonsense", ["1234 0001 0006 01 03 0000 0001", "1234 0000 0001 01 03 0000", "1234 0000 FFFF 01 03 0000"])
def test_a_peer_that_speaks_nonsense_is_hung_up_on(nonsense: str) -> None:
    connection = TcpConnection(LINE)
    assert list(connection.receive(wire(nonsense))) == []
    assert connection.closed


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_arbitrary_bytes_never_break_an_end(chunks: list[bytes]) -> None:
    line, connection = RtuLine(LINE), TcpConnection(LINE)
    for chunk in chunks:
        for reply in line.receive(chunk):
            assert crc(reply[:-2]) == reply[-2:]
        list(connection.receive(chunk))
