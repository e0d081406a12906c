"""The uplink without a broker: what it makes of the centre's word, and what it tells of itself."""

from pathlib import Path

import pytest

from device_profiles import load_library
from edge import config as configuration
from edge.broker import client
from edge.outbox import Outbox
from edge.uplink import Uplink, greeting
from edge.window import OUTAGE_S
from telemetry import ack, presence
from telemetry.batch import Lane
from telemetry.broker import Broker
from telemetry.errors import ConfigInvalid
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.presence import MAX_SPANS, Span, State
from telemetry.reading import Micros, Reading

T0 = Micros(1_700_000_000_000_000)
REF = GatewayRef("411202002001", "gw-test")
KEY = bytes.fromhex("11" * 32)
GATEWAY = """
gateway: {id: gw-test, community: "411202002001"}
centre: {broker: {url: "mqtt://127.0.0.1:1"}, key_file: gateway.key}
privacy: {key_file: gateway.key}
"""


class Time:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    made = Outbox.open(tmp_path / "outbox.db", gateway=REF.gateway, now=T0)
    made.append([Reading(device="b3-door", kind=Kind.ACCESS, at=T0, values={"door_open": True})], Lane.URGENT, T0)
    return made


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def uplink(tmp_path: Path, outbox: Outbox, time: Time) -> Uplink:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "gateway.key").write_text(KEY.hex())
    (tmp_path / "gateway.key").chmod(0o600)
    config = configuration.load(tmp_path / "gateway.yaml", load_library())
    return Uplink(config, outbox, list, clock=lambda: T0, monotonic=time)


def word(*marks: ack.Mark, key: bytes = KEY, ref: GatewayRef = REF, at: int = T0) -> bytes:
    return ack.encode(ack.Ack(at=Micros(at), marks=list(marks)), ref, key)


async def test_the_centres_signed_word_lets_a_batch_go(uplink: Uplink, outbox: Outbox) -> None:
    await uplink.hear(word(ack.Mark(outbox.epoch, Lane.URGENT, 1)), retained=False)
    assert outbox.pending().batches == 0


@pytest.mark.parametrize(("key", "ref"), [(b"2" * 32, REF), (KEY, REF._replace(gateway="gw-other"))])
async def test_a_word_of_another_key_or_for_another_gateway_deletes_nothing_and_is_counted(
    uplink: Uplink, outbox: Outbox, key: bytes, ref: GatewayRef
) -> None:
    await uplink.hear(word(ack.Mark(outbox.epoch, Lane.URGENT, 1), key=key, ref=ref), retained=False)
    assert outbox.pending().batches == 1
    assert uplink.refused_acks == 1


async def test_marks_of_epochs_that_are_not_ours_are_passed_over(uplink: Uplink, outbox: Outbox) -> None:
    await uplink.hear(word(ack.Mark("0" * 16, Lane.URGENT, 7), ack.Mark(outbox.epoch, Lane.URGENT, 1)), retained=False)
    assert outbox.pending().batches == 0


async def test_a_live_word_after_an_outage_opens_a_new_epoch_and_a_retained_one_does_not(
    uplink: Uplink, outbox: Outbox, time: Time
) -> None:
    epoch = outbox.epoch
    time.now += OUTAGE_S + 1
    await uplink.hear(word(), retained=True)
    assert outbox.epoch == epoch
    await uplink.hear(word(), retained=False)
    assert outbox.epoch != epoch
    renewed = outbox.epoch
    await uplink.hear(word(), retained=False)
    assert outbox.epoch == renewed


async def test_the_offset_is_the_centres_clock_minus_ours(uplink: Uplink) -> None:
    await uplink.hear(word(at=T0 + 2_500_000), retained=True)
    assert uplink.clock_offset_s is None
    await uplink.hear(word(at=T0 + 2_500_000), retained=False)
    assert uplink.clock_offset_s == 2.5


def test_a_hello_of_a_gateway_that_restarted_often_can_still_be_read() -> None:
    spans = [Span(f"{n:016x}", lane, 1, 1) for n in range(MAX_SPANS) for lane in (Lane.URGENT, Lane.BULK)]
    said = greeting(spans)
    state = State(online=True, at=T0, hello=said)
    assert presence.decode_state(presence.encode(state)) == state
    assert (said[0], said[-2:]) == (spans[0], spans[-2:])
    assert greeting(spans[:MAX_SPANS]) == spans[:MAX_SPANS]


async def test_a_password_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o644)
    broker = Broker("mqtts://broker.example", user="gw", password_file="password")
    with pytest.raises(ConfigInvalid, match=r"chmod 600"):
        client(broker, tmp_path.joinpath, "linli-test")
