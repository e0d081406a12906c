"""Acknowledgements: only the gateway's own key can make a gateway forget."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.ack import Ack, Mark, Rejected, decode, encode
from telemetry.batch import Lane
from telemetry.errors import AckInvalid
from telemetry.identity import GatewayRef

REF = GatewayRef("411202002001", "gw-test")
KEY = bytes(range(32))
ACK = Ack(
    at=1_700_000_000_000_000, marks=[Mark("0" * 16, Lane.BULK, 41)], rejected=[Rejected("0" * 16, Lane.BULK, 3, 4, "poison")]
)


@given(st.integers(0, 2**63 - 1), st.sampled_from(Lane), st.floats(0, 10_000))
def test_decode_is_the_inverse_of_encode(seq: int, lane: Lane, credit: float) -> None:
    ack = Ack(at=ACK.at, marks=[Mark("f" * 16, lane, seq)], credit=credit)
    decoded = decode(encode(ack, REF, KEY), REF, KEY)
    assert msgspec.structs.replace(decoded, mac="") == ack


def test_another_key_another_gateway_and_another_community_are_refused() -> None:
    message = encode(ACK, REF, KEY)
    for ref, key in (
        (REF, bytes(32)),
        (GatewayRef(REF.community, "gw-other"), KEY),
        (GatewayRef("411202002002", "gw-test"), KEY),
    ):
        with pytest.raises(AckInvalid, match="signature"):
            decode(message, ref, key)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"seq":41', b'"seq":42'), (b'"lane":"bulk"', b'"lane":"urgent"'), (b'"first":3', b'"first":1'), (b'"mac":"', b'"mac":"0')],
)
def test_one_changed_character_is_refused(old: bytes, new: bytes) -> None:
    message = encode(ACK, REF, KEY)
    assert old in message
    with pytest.raises(AckInvalid):
        decode(message.replace(old, new, 1), REF, KEY)


@pytest.mark.parametrize("message", [b"", b"{}", b"[]", b"\xff", b'{"v":1,"at":1,"marks":[]}', b"{" * 100_000])
def test_nonsense_is_refused(message: bytes) -> None:
    with pytest.raises(AckInvalid):
        decode(message, REF, KEY)
