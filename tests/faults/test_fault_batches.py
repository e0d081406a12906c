"""Rows 21 to 24: what a broker, a stranger or a mistake may put on the wire."""

import random
import time
from pathlib import Path

import pytest

from telemetry import ack, batch, topic
from telemetry.batch import Lane
from telemetry.identity import GatewayRef
from tests.faults.devices import RARE
from tests.faults.rig import KEY, REF, Rig
from tests.faults.tap import Tap
from tests.servers import Server, mosquitto

pytestmark = pytest.mark.slow

UP = topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.UP)
ACK = topic.build(topic.DEFAULT_ROOT, REF, topic.Leaf.ACK)


def test_row_21_batches_and_acknowledgements_that_come_again_change_nothing(tmp_path: Path, chance: random.Random) -> None:
    with Rig(tmp_path) as rig, Tap(rig.broker.port) as batches, Tap(rig.broker.port, topic.Leaf.ACK) as words:
        say_all_again(rig, batches, words, chance)
        rig.until(lambda: rig.metric("duplicates") > 10, 10, "duplicates that are seen")
        rig.settle()
        assert rig.verdict(clocks=False) == []
        assert "acknowledgements are refused" not in rig.edge.words(100_000)


def say_all_again(rig: Rig, batches: Tap, words: Tap, chance: random.Random) -> None:
    """Every batch that came, twice, and every acknowledgement, in any order."""
    rig.start()
    rig.until_accepted(300)
    rig.until(lambda: len(words.messages) > 5 and len(batches.messages) > 5, 15, "something to repeat")
    again = [(UP, payload) for _, _, payload in batches.messages] * 2 + [(ACK, payload) for _, _, payload in words.messages]
    chance.shuffle(again)
    for name, payload in again[:200]:
        batches.publish(name, payload)


def test_row_21_an_acknowledgement_that_comes_again_moves_no_clock(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig, Tap(rig.broker.port, topic.Leaf.ACK) as words:
        rig.start()
        rig.until(lambda: words.messages, 15, "a word to repeat")
        old = [payload for _, _, payload in words.messages]
        time.sleep(5)
        for payload in old:
            words.publish(ACK, payload)
            rig.until_accepted(20)
        rig.settle(in_order=False)
        assert rig.verdict(alerts=False) == []


def test_row_22_a_forged_acknowledgement_deletes_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig, Tap(rig.broker.port) as tap:
        rig.start()
        rig.until(lambda: tap.batches, 10, "a batch")
        rig.centre.kill()
        rig.until_accepted(200)
        other = GatewayRef(REF.community, "gw-other")
        streams = {(epoch, lane) for epoch, lane, _ in tap.batches}
        marks = [ack.Mark(epoch, Lane(lane), 10_000) for epoch, lane in sorted(streams)]
        now = time.time_ns() // 1000
        forged = ack.Ack(at=now, marks=marks)
        for message in (
            ack.encode(forged, REF, bytes(32)),  # of another's key
            ack.encode(forged, other, bytes.fromhex(KEY)),  # for another gateway
            ack.encode(forged, REF, bytes.fromhex(KEY))[:-70],
            b"",
            b"\xff" * 100,
            b'{"v":1,"at":-1,"marks":[]}',
            ack.encode(forged, REF, bytes.fromhex(KEY)),  # rightly signed, beyond what was ever sealed
        ):
            tap.publish(ACK, message)
        rig.until(lambda: "acknowledgements are refused" in rig.edge.words(), 5, "a word about the forgery")
        rig.settle()
        assert rig.verdict() == []


def short_queue(folder: Path) -> Server:
    return mosquitto(folder, settings="allow_anonymous true\nmax_queued_messages 20\n")


def test_row_23_a_broker_whose_queue_overflows_costs_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path, broker=short_queue, wave=RARE) as rig:
        rig.start()
        rig.until_accepted(100)
        rig.centre.pause()
        rig.until_accepted(600)
        rig.centre.resume()
        rig.until_accepted(50)
        assert "Outgoing messages are being dropped" in rig.broker.log.read_text(errors="replace")
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []


def test_row_24_poison_is_counted_set_aside_and_holds_up_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path, wave=RARE) as rig, Tap(rig.broker.port) as tap:
        rig.start()
        rig.until(lambda: tap.messages, 10, "a batch")
        _, _, real = tap.messages[0]
        text = batch.unpack(real)
        poison = [
            b"",
            b"{",
            b"\x78\x9cjunk",
            b'{"v":1,"gateway":"gw-fault","epoch":"' + b"[" * 50_000,
            text.replace(b"gw-fault", b"gw-other"),
            text.replace(b"{", b'{"v":99,', 1),
            text[:-1],
            b"\xff\xfe" + text,
        ]
        for payload in poison:
            tap.publish(UP, payload)
        rig.until(lambda: rig.metric("dead_letters") == len(poison), 5, "poison counted")
        assert rig.http.get("/healthz").json() == {"status": "ok"}
        rig.until_accepted(100)
        rig.settle(in_order=False)
        assert rig.verdict(late=True) == []
