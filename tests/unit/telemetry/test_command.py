"""Commands: only the gateway's own key can make a gateway send its history again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.command import Command, Reply, Verb, decode, decode_reply, encode, encode_reply
from telemetry.errors import CommandInvalid
from telemetry.identity import GatewayRef
from telemetry.reading import EARLIEST, LATEST

REF = GatewayRef("411202002001", "gw-test")
KEY = bytes(range(32))
NOW = 1_700_000_000_000_000
COMMAND = Command(id="0" * 16, verb=Verb.REPLAY, at=NOW, expires_at=NOW + 1, start=NOW - 10, end=NOW)


@given(st.integers(EARLIEST, LATEST), st.integers(EARLIEST, LATEST))
def test_decode_is_the_inverse_of_encode(start: int, end: int) -> None:
    command = msgspec.structs.replace(COMMAND, start=start, end=end)
    assert msgspec.structs.replace(decode(encode(command, REF, KEY), REF, KEY), mac="") == command


@given(st.integers(0), st.integers(0, 2**63 - 1), st.booleans(), st.text(max_size=64))
def test_a_reply_comes_back_as_it_was(batches: int, readings: int, done: bool, problem: str) -> None:
    reply = Reply(id="f" * 16, at=NOW, done=done, batches=batches % 2**63, readings=readings, problem=problem)
    assert decode_reply(encode_reply(reply)) == reply


def test_another_key_and_another_gateway_are_refused() -> None:
    message = encode(COMMAND, REF, KEY)
    for ref, key in (
        (REF, bytes(32)),
        (GatewayRef(REF.community, "gw-other"), KEY),
        (GatewayRef("411202002002", "gw-test"), KEY),
    ):
        with pytest.raises(CommandInvalid, match="signature"):
            decode(message, ref, key)


def test_one_changed_instant_is_refused() -> None:
    message = encode(COMMAND, REF, KEY).replace(b'"start":1699999999999990', b'"start":1699999999999991')
    assert b"999991" in message
    with pytest.raises(CommandInvalid):
        decode(message, REF, KEY)


@pytest.mark.parametrize("message", [b"", b"{}", b"[]", b"\xff", b'{"v":1,"id":"x"}', b"{" * 100_000])
def test_nonsense_is_refused(message: bytes) -> None:
    with pytest.raises(CommandInvalid):
        decode(message, REF, KEY)
    with pytest.raises(CommandInvalid):
        decode_reply(message)
