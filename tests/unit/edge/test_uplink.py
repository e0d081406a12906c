"""The uplink without a broker: what it makes of the centre's word, and what it tells of itself."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device_profiles import load_library
from edge import config as configuration
from edge.broker import client
from edge.clock import Clock
from edge.outbox import Outbox
from edge.uplink import Uplink, greeting, is_taken_over
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


def made(tmp_path: Path, outbox: Outbox, time: Time, **parts: Any) -> Uplink:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "gateway.key").write_text(KEY.hex())
    (tmp_path / "gateway.key").chmod(0o600)
    config = configuration.load(tmp_path / "gateway.yaml", load_library())
    return Uplink(config, outbox, list, **{"clock": lambda: T0, "monotonic": time, **parts})


@pytest.fixture
def uplink(tmp_path: Path, outbox: Outbox, time: Time) -> Uplink:
    return made(tmp_path, outbox, time)


def word(*marks: ack.Mark, key: bytes = KEY, ref: GatewayRef = REF, at: int = T0, since: int = 0) -> bytes:
    return ack.encode(ack.Ack(at=Micros(at), marks=list(marks), since=Micros(since)), ref, key)


class Wire:
    """What ``aiomqtt.Client`` is to one who publishes."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def publish(self, name: str, payload: bytes, qos: int) -> None:
        self.sent.append(payload)


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


async def test_a_mark_beyond_what_was_sealed_is_ignored_counted_and_the_others_hold(uplink: Uplink, outbox: Outbox) -> None:
    beyond = ack.Mark(outbox.epoch, Lane.BULK, 7)
    await uplink.hear(word(beyond, ack.Mark(outbox.epoch, Lane.URGENT, 1)), retained=False)
    assert uplink.refused_acks == 1
    assert outbox.pending().batches == 0
    await uplink.hear(word(ack.Mark(outbox.epoch, Lane.URGENT, 1 << 62)), retained=True)
    assert uplink.refused_acks == 2


@pytest.mark.parametrize(
    "junk",
    [b"", b"text", b"\xff\xfe", b"[]", b"{}", b'{"v":1,"at":-5,"marks":[]}', b"x" * 100_000, b"[" * 50_000],
    ids=["empty", "text", "not utf-8", "list", "no fields", "negative instant", "long", "deep"],
)
async def test_what_is_no_acknowledgement_deletes_nothing_and_is_counted(uplink: Uplink, outbox: Outbox, junk: bytes) -> None:
    await uplink.hear(junk, retained=False)
    assert outbox.pending().batches == 1
    assert uplink.refused_acks == 1


@pytest.mark.parametrize("seq", [-1, 1 << 63, "1", 1.5, None])
async def test_a_signed_mark_that_is_no_number_of_a_batch_is_refused(uplink: Uplink, outbox: Outbox, seq: object) -> None:
    message = json.loads(word(ack.Mark(outbox.epoch, Lane.URGENT, 1)))
    message["marks"][0]["seq"] = seq
    await uplink.hear(json.dumps(message).encode(), retained=False)
    assert outbox.pending().batches == 1
    assert uplink.refused_acks == 1


async def test_batches_set_aside_at_the_centre_are_counted_once_and_kept_for_the_replay_window(
    uplink: Uplink, outbox: Outbox
) -> None:
    mark, rejected = ack.Mark(outbox.epoch, Lane.URGENT, 1), ack.Rejected(outbox.epoch, Lane.URGENT, 1, 1, "no such metric")
    stranger = ack.Rejected("0" * 16, Lane.URGENT, 1, 9, "of an epoch long gone")
    for _ in range(2):
        said = ack.encode(ack.Ack(at=T0, marks=[mark], rejected=[rejected, stranger]), REF, KEY)
        await uplink.hear(said, retained=True)
    assert uplink.rejected == 1
    assert [sealed.seq for sealed in outbox.batches(outbox.epoch, Lane.URGENT, 0, 10)] == [1]


def test_a_lost_connection_is_told_from_one_that_another_took() -> None:
    def wrapped(code: int) -> aiomqtt.MqttError:
        error = aiomqtt.MqttError("Disconnected during message iteration")
        error.__cause__ = aiomqtt.MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=code))
        return error

    assert is_taken_over(wrapped(142))
    assert not is_taken_over(wrapped(139))
    assert not is_taken_over(aiomqtt.MqttError("timed out"))


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


async def test_a_centre_that_starts_again_while_a_batch_is_fetched_is_sent_everything_again_at_once(
    uplink: Uplink, outbox: Outbox, time: Time
) -> None:
    window, wire, fetching = uplink._window, Wire(), threading.Event()
    link: Any = wire

    async def send() -> None:
        window.refresh(outbox.spans(), outbox.epoch, time.now)
        upcoming = window.choose(time.now)
        assert upcoming is not None
        assert await uplink._publish(link, upcoming)

    await uplink.hear(word(since=T0), retained=False)
    await send()
    outbox.append([Reading(device="b3-door", kind=Kind.ACCESS, at=T0 + 1, values={"door_open": False})], Lane.URGENT, T0)
    blocked = outbox._thread.submit(fetching.wait)
    sending = asyncio.create_task(send())
    await asyncio.sleep(0)
    await uplink.hear(word(since=T0 + 1), retained=False)
    fetching.set()
    blocked.result(30)
    await sending
    window.refresh(outbox.spans(), outbox.epoch, time.now)
    upcoming = window.choose(time.now)
    assert upcoming is not None
    assert (upcoming.after, upcoming.limit) == (0, 2)


async def test_a_first_word_that_a_slow_line_held_back_puts_no_clock_back(tmp_path: Path, outbox: Outbox, time: Time) -> None:
    """The uplink tells the clock for how long the word can have been on its way: since the connection was made."""

    def board() -> int:
        return round(time.now * 1e6)

    clock = Clock(boot="b", wall=lambda: T0 + board(), monotonic=board, synchronised=lambda: False)
    uplink = made(tmp_path, outbox, time, clock=clock.utc, told=clock.hear)
    uplink._connected_at, said = time.now, clock.utc()
    time.now += 5
    await uplink.hear(word(at=said), retained=False)
    assert clock.known
    assert clock.utc() == said + 5_000_000
