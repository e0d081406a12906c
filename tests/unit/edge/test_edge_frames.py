"""Only the answer to the request before it becomes a value. Frames of the first tests are printed in Modbus guides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import ModbusPDU

from device_profiles import Table
from edge.drivers.frames import Question, RtuFrames, TcpFrames

ASKED = Question(0x11, Table.HOLDING, 3)
ANSWER = bytes.fromhex("110306AE415652434049AD")


def rtu(question: Question, data: bytes) -> tuple[int, ModbusPDU | None]:
    frames = RtuFrames()
    frames.question = question
    return frames.handleFrame(data, question.unit_id, 0)


def words(found: tuple[int, ModbusPDU | None]) -> tuple[int, ...] | None:
    return None if found[1] is None or found[1].isError() else tuple(found[1].registers)


def sealed(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def mbap(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit_id,)) + pdu


def tcp(question: Question, data: bytes, transaction: int = 7) -> tuple[int, ModbusPDU | None]:
    frames = TcpFrames()
    frames.question = question
    return frames.handleFrame(data, question.unit_id, transaction)


def test_registers_of_a_printed_rtu_frame() -> None:
    assert words(rtu(ASKED, ANSWER)) == (0xAE41, 0x5652, 0x4340)


def test_bits_of_a_printed_rtu_frame() -> None:
    answer = bytes.fromhex("110105CD6BB20E1B45E6")
    found = words(rtu(Question(0x11, Table.COIL, 37), answer))
    assert found is not None and len(found) == 37
    assert found[:8] == (1, 0, 1, 1, 0, 0, 1, 1), "0xCD, lowest bit first"


def test_a_printed_exception_frame_is_a_refusal() -> None:
    _, found = rtu(Question(0x0A, Table.COIL, 1), bytes.fromhex("0A8102B053"))
    assert found is not None and found.isError() and found.exception_code == 2


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_a_frame_that_is_not_whole_is_waited_for(cut: int) -> None:
    assert rtu(ASKED, ANSWER[:cut]) == (0, None)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(sealed(bytes.fromhex("120306AE4156524340")), id="of another unit"),
        pytest.param(sealed(bytes.fromhex("110406AE4156524340")), id="of another function"),
        pytest.param(sealed(bytes.fromhex("110304AE415652")), id="of another length"),
        pytest.param(ANSWER[:-1] + b"\0", id="with a wrong CRC"),
    ],
)
def test_what_was_not_asked_for_is_passed_over(other: bytes) -> None:
    assert words(rtu(ASKED, other)) is None
    assert words(rtu(ASKED, other + ANSWER)) == (0xAE41, 0x5652, 0x4340), "the answer behind it is still found"


@given(st.binary(max_size=40))
def test_noise_before_an_answer_does_not_hide_it(noise: bytes) -> None:
    assert words(rtu(ASKED, noise + ANSWER)) == (0xAE41, 0x5652, 0x4340)


def test_nothing_is_taken_while_nothing_is_asked() -> None:
    assert RtuFrames().handleFrame(ANSWER, 0x11, 0) == (len(ANSWER), None)
    assert TcpFrames().handleFrame(mbap(7, 0x11, ANSWER[1:-2]), 0x11, 7)[1] is None


def test_a_tcp_answer_is_told_by_its_transaction() -> None:
    late, own = mbap(6, 0x11, bytes.fromhex("0306000100020003")), mbap(7, 0x11, ANSWER[1:-2])
    assert words(tcp(ASKED, late)) is None
    assert words(tcp(ASKED, late + own)) == (0xAE41, 0x5652, 0x4340)


@pytest.mark.parametrize("transaction", [0, 6, 8])
def test_another_transaction_is_never_taken_not_even_zero(transaction: int) -> None:
    assert words(tcp(ASKED, mbap(transaction, 0x11, ANSWER[1:-2]))) is None


@pytest.mark.parametrize("pdu", ["0304AE415652", "0406AE4156524340", "0306AE41565243", "8302FF", "03", ""])
def test_a_tcp_answer_of_another_shape_is_passed_over(pdu: str) -> None:
    assert words(tcp(ASKED, mbap(7, 0x11, bytes.fromhex(pdu)))) is None


@given(st.binary(max_size=300))
def test_no_bytes_make_the_frames_raise(data: bytes) -> None:
    for used, found in (rtu(ASKED, data), tcp(ASKED, data)):
        assert 0 <= used <= len(data)
        assert found is None or found.isError() or len(found.registers) == 3


@given(st.integers(1, 125), st.data())
def test_every_register_answer_is_read_back(count: int, data: st.DataObject) -> None:
    registers = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=count))
    question = Question(9, Table.INPUT, count)
    pdu = bytes((4, 2 * count)) + b"".join(word.to_bytes(2, "big") for word in registers)
    assert words(tcp(question, mbap(7, 9, pdu))) == tuple(registers)
    assert words(rtu(question, sealed(b"\x09" + pdu))) == tuple(registers)
