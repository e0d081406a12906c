"""The word that goes to a gateway: the lower of the watermarks, signed, bounded, and said again until it was heard."""

import asyncio

import pytest

from ingest.acknowledger import MARKS, QUIET_US, REJECTED, Acknowledger
from telemetry import ack
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.reading import Micros

T0 = Micros(1_700_000_000_000_000)
REF = GatewayRef("411202002001", "gw-test")
OTHER = REF._replace(gateway="gw-other")
KEY = b"1" * 32
EPOCH = "0123456789abcdef"
BULK = Stream(*REF, EPOCH, Lane.BULK)


def acknowledger(*durables: dict[Stream, int], key: bytes | None = KEY) -> Acknowledger:
    return Acknowledger(durables, lambda ref: key, lambda: T0, lambda: 20.0)


def said(made: Acknowledger, ref: GatewayRef = REF) -> ack.Ack:
    message = made.message(ref)
    assert message is not None
    return ack.decode(message, ref, KEY)


def test_it_says_the_lower_of_the_watermarks_and_nothing_where_one_has_none() -> None:
    urgent = BULK._replace(lane=Lane.URGENT)
    made = acknowledger({BULK: 7, urgent: 3}, {BULK: 5})
    assert set(said(made).marks) == {ack.Mark(EPOCH, Lane.BULK, 5), ack.Mark(EPOCH, Lane.URGENT, 0)}


def test_watermarks_are_seen_live() -> None:
    durable = {BULK: 1}
    made = acknowledger(durable)
    durable[BULK] = 9
    assert said(made).marks == [ack.Mark(EPOCH, Lane.BULK, 9)]


def test_a_gateway_hears_of_its_own_streams_alone() -> None:
    made = acknowledger({BULK: 7, Stream(*OTHER, EPOCH, Lane.BULK): 3})
    assert [mark.seq for mark in said(made, OTHER).marks] == [3]


def test_without_a_key_nothing_is_said() -> None:
    assert acknowledger({BULK: 7}, key=None).message(REF) is None


def test_of_many_streams_those_last_touched_are_told() -> None:
    streams = [Stream(*REF, f"{n:016x}", Lane.BULK) for n in range(MARKS + 10)]
    made = acknowledger(dict.fromkeys(streams, 1))
    made.touch(streams[0])
    assert [mark.epoch for mark in said(made).marks] == [stream.epoch for stream in (*streams[-MARKS + 1 :], streams[0])]


def test_rejected_batches_are_named_and_bounded() -> None:
    made = acknowledger({})
    for seq in range(1, REJECTED + 3):
        made.reject(BULK, seq, "x" * 1_000)
    rejected = said(made).rejected
    assert [one.first for one in rejected] == list(range(3, REJECTED + 3))
    assert {len(one.reason) for one in rejected} == {256}


async def told(made: Acknowledger) -> int:
    """How many messages go out when everything due has been said."""
    heard: list[GatewayRef] = []

    async def publish(ref: GatewayRef, message: bytes) -> None:
        heard.append(ref)

    running = asyncio.create_task(made.run(publish))
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    return len(heard)


async def test_what_one_store_alone_has_is_no_news() -> None:
    alerts, points = {BULK: 1}, {BULK: 1}
    made = acknowledger(alerts, points)
    made.greet()
    assert await told(made) == 1
    alerts[BULK] = 2
    made.confirmed([BULK])
    assert await told(made) == 0
    points[BULK] = 2
    made.confirmed([BULK])
    assert await told(made) == 1


async def test_who_sends_again_is_told_again() -> None:
    made = acknowledger({BULK: 1})
    made.greet()
    assert await told(made) == 1
    made.heard(BULK)
    assert await told(made) == 0
    made.touch(BULK)
    assert await told(made) == 1


async def test_while_a_store_is_down_a_gateway_still_hears_that_the_centre_is_there() -> None:
    now = [T0]
    made = Acknowledger([{BULK: 1}], lambda ref: KEY, lambda: now[0], lambda: 20.0)
    made.heard(BULK)
    assert await told(made) == 1
    now[0] = Micros(T0 + QUIET_US)
    made.heard(BULK)
    assert await told(made) == 0
    now[0] = Micros(T0 + QUIET_US + 1)
    made.heard(BULK)
    assert await told(made) == 1


async def test_what_is_due_is_said_once_and_again_when_it_could_not_be_said() -> None:
    made = acknowledger({BULK: 7})
    heard: list[GatewayRef] = []
    broken = asyncio.Event()

    async def publish(ref: GatewayRef, message: bytes) -> None:
        if not broken.is_set():
            broken.set()
            raise ConnectionError("the broker is gone")
        heard.append(ref)

    made.touch(BULK)
    made.confirmed([BULK])
    with pytest.raises(ConnectionError):
        await made.run(publish)
    made.greet()
    again = asyncio.create_task(made.run(publish))
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0)
    again.cancel()
    assert heard == [REF]


def test_it_says_since_when_the_centre_listens() -> None:
    now = [T0]
    made = Acknowledger([{BULK: 7}], lambda ref: KEY, lambda: now[0], lambda: 20.0)
    now[0] = Micros(T0 + 5)
    assert said(made).since == T0
    made.greet()
    assert said(made).since == T0 + 5
