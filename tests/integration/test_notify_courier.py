"""A target's queue at work against a real receiver, the clock in the test's hand: order, tries, outages, limits, restarts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.address import OnSite, parse
from ingest.alerts import Changed, Colour
from ingest.database import Database
from ingest.notify import State
from ingest.notify.allowance import Allowance
from ingest.notify.bots import BotSender, DingTalkDialect
from ingest.notify.courier import LOOK_US, Courier
from ingest.notify.outbox import Notice, Outbox, enqueue, table
from ingest.notify.patience import MINUTE_US, RED_PROBE_US, SECOND_US, TRIPS_AT
from ingest.notify.post import Poster
from ingest.notify.standing import Standing
from ingest.notify.verdict import SENT, Sender, Verdict
from ingest.notify.webhook import WebhookSender
from tests.notices import AT, changed, numbered
from tests.receivers import Receiver, answer, receiver


@dataclass
class Queue:
    """One target's, its rounds made one by one."""

    other: Receiver
    database: Database
    poster: Poster
    now: int = AT
    robot: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def clock(self) -> int:
        return self.now

    def restart(self) -> None:
        """As after a kill: nothing is left but the database."""
        self.standing = Standing(self.database)
        self.outbox = Outbox(self.database, "platform")
        limits = DingTalkDialect.limits if self.robot else ()
        self.courier = Courier("platform", self.outbox, self._sender(), Allowance(limits), self.standing, self.clock, lambda: 0.0)

    def _sender(self) -> Sender:
        url = parse(f"http://platform.test:{self.other.port}/x")
        if self.robot:
            return BotSender(self.poster, DingTalkDialect(""), url, self.clock)
        return WebhookSender(self.poster, url, lambda: [b"s" * 32], "/linli", self.clock, full=False)

    async def put(self, *several: Changed) -> None:
        def change(connection: sa.Connection) -> None:
            for one in several:
                enqueue(connection, one, ["platform"])

        await self.database.write(change)

    async def until_idle(self, most: int = 200) -> int:
        """Rounds until there is nothing to do now; what the last one says."""
        for _ in range(most):
            if pause := await self.courier.round():
                return pause
        raise AssertionError("it never rests")

    def seqs(self) -> list[int]:
        return [asked.said["data"]["seq"] for asked in self.other.asked]

    def texts(self) -> list[str]:
        return [asked.said["text"]["content"] for asked in self.other.asked]

    async def states(self) -> list[State]:
        states = sa.select(table.c.state).order_by(table.c.id)
        return [State(one) for one in await self.database.read(lambda connection: list(connection.scalars(states)))]


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiver() as other:
        poster = Poster([OnSite("127.0.0.1/32", (other.port,))], here)
        database = Database(tmp_path / "centre.db")
        yield Queue(other, database, poster)
        await poster.close()
        database.close()


@pytest.fixture
def robot(queue: Queue) -> Queue:
    queue.robot = True
    queue.restart()
    queue.other.say = lambda asked: answer(200, {"errcode": 0})
    return queue


async def test_everything_is_sent_once_red_first(queue: Queue) -> None:
    await queue.put(numbered(1, Colour.BLUE), numbered(2), numbered(3, Colour.RED))
    assert await queue.until_idle() == LOOK_US
    queue.restart()
    await queue.until_idle()
    assert queue.seqs() == [3, 2, 1]
    assert await queue.states() == [State.SENT] * 3


async def test_a_red_one_is_tried_at_its_instants_under_one_name(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(500)
    await queue.put(changed())
    instants = []
    while queue.now < AT + 3 * MINUTE_US:
        before = len(queue.other.asked)
        await queue.until_idle()
        if len(queue.other.asked) > before:
            instants.append((queue.now - AT) // SECOND_US)
        queue.now += SECOND_US
    assert instants == [0, 2, 7, 22, 52, 112]
    assert len({asked.headers["webhook-id"] for asked in queue.other.asked}) == 1
    assert len({asked.headers["webhook-timestamp"] for asked in queue.other.asked}) == 6


async def test_after_the_last_try_it_is_given_up_with_its_reason(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(500)
    await queue.put(numbered(1))
    for _ in range(20):
        await queue.until_idle()
        queue.now += 24 * 60 * MINUTE_US
    assert await queue.states() == [State.GIVEN_UP]
    assert len(queue.other.asked) == 10


async def test_what_was_sent_but_not_written_down_is_sent_again_under_the_same_name(queue: Queue) -> None:
    await queue.put(numbered(1))
    (notice,) = await queue.outbox.due(AT, 1)
    await queue.courier._sender.send([notice])  # and here the power goes
    queue.restart()
    await queue.until_idle()
    assert [asked.headers["webhook-id"] for asked in queue.other.asked] == [notice.message] * 2


async def test_a_dead_target_is_asked_ever_rarer_and_the_others_lose_no_try(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(500)
    await queue.put(*(numbered(seq) for seq in range(1, 101)))
    for _ in range(600):
        await queue.until_idle()
        queue.now += SECOND_US
    assert TRIPS_AT <= len(queue.other.asked) <= TRIPS_AT + 6
    queue.other.say = lambda asked: answer(200)
    queue.now += 5 * MINUTE_US
    await queue.until_idle()
    queue.now += 60 * MINUTE_US
    await queue.until_idle()
    assert await queue.states() == [State.SENT] * 100


async def test_a_red_alert_is_not_held_up_by_a_dead_target_for_longer_than_its_probes(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(500)
    await queue.put(*(numbered(seq) for seq in range(1, 20)))
    for _ in range(300):
        await queue.until_idle()
        queue.now += SECOND_US
    queue.other.say = lambda asked: answer(200)
    await queue.put(numbered(99, Colour.RED, queue.now))
    queue.now += RED_PROBE_US
    await queue.until_idle()
    assert await queue.states() == [State.SENT] * 20


async def test_410_switches_a_target_off_for_good_until_somebody_switches_it_on(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(410)
    await queue.put(numbered(1), numbered(2))
    await queue.until_idle()
    queue.restart()
    await queue.put(numbered(3))
    await queue.until_idle()
    assert len(queue.other.asked) == 1
    assert await queue.states() == [State.GIVEN_UP] * 3
    await queue.standing.switch_on("platform")
    queue.other.say = lambda asked: answer(200)
    await queue.put(numbered(4))
    await queue.until_idle()
    assert (await queue.states())[-1] is State.SENT


async def test_a_receiver_that_asks_for_a_rest_gets_it_also_from_red(queue: Queue) -> None:
    queue.other.say = lambda asked: answer(429, Retry_After="60")
    await queue.put(numbered(1), numbered(2, Colour.RED))
    await queue.until_idle()
    queue.now += 59 * SECOND_US
    await queue.until_idle()
    assert len(queue.other.asked) == 1
    queue.other.say = lambda asked: answer(200)
    queue.now += SECOND_US
    await queue.until_idle()
    assert await queue.states() == [State.SENT] * 2


async def test_a_storm_becomes_one_message_and_red_still_gets_through(robot: Queue) -> None:
    await robot.put(*(numbered(seq) for seq in range(1, 61)))
    await robot.until_idle()
    assert len(robot.other.asked) == 1
    assert robot.texts()[0].startswith("60 条告警 / 60 alerts")
    for seq in range(100, 130):
        await robot.put(numbered(seq))
        await robot.until_idle()
    assert len(robot.other.asked) == 15
    for seq in range(200, 205):
        await robot.put(numbered(seq, Colour.RED))
        await robot.until_idle()
    assert len(robot.other.asked) == 20
    await robot.put(numbered(300, Colour.RED))
    await robot.until_idle()
    assert len(robot.other.asked) == 20
    robot.now += MINUTE_US
    await robot.until_idle()
    assert await robot.states() == [State.SENT] * 96
    assert len(robot.other.asked) <= 23


async def test_a_red_one_has_a_message_of_its_own_in_a_storm_of_others(robot: Queue) -> None:
    await robot.put(*(numbered(seq) for seq in range(1, 61)), numbered(61, Colour.RED))
    await robot.until_idle()
    assert [text.splitlines()[0][:5] for text in robot.texts()] == ["【红色告警", "60 条告"]


async def test_a_robot_that_says_too_fast_is_left_alone_for_ten_minutes(robot: Queue) -> None:
    robot.other.say = lambda asked: answer(200, {"errcode": 130101, "errmsg": "send too fast"})
    await robot.put(numbered(1, Colour.RED))
    await robot.until_idle()
    robot.other.say = lambda asked: answer(200, {"errcode": 0})
    robot.now += 10 * MINUTE_US - 1
    await robot.until_idle()
    assert len(robot.other.asked) == 1
    robot.now += 1
    await robot.until_idle()
    assert await robot.states() == [State.SENT]


async def test_a_rejection_with_http_200_is_tried_again(robot: Queue) -> None:
    robot.other.say = lambda asked: answer(200, {"errcode": 310000, "errmsg": "sign not match"})
    await robot.put(numbered(1))
    await robot.until_idle()
    assert await robot.states() == [State.WAITING]
    assert robot.standing.tries["platform"].reason == "HTTP 200, code 310000: sign not match"


class Deaf:
    """A sender whose library loses a cancellation that comes in the moment of its answer, as ``wait_for`` did."""

    most = 1

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        self.began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return SENT


async def test_a_cancellation_that_a_sender_loses_ends_the_queue_all_the_same_and_what_was_sent_is_noted(queue: Queue) -> None:
    deaf = Deaf()
    courier = Courier("platform", queue.outbox, deaf, Allowance(()), queue.standing, queue.clock, lambda: 0.0)
    await queue.put(numbered(1), numbered(2))
    running = asyncio.create_task(courier.run())
    await deaf.began.wait()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done
    assert await queue.states() == [State.SENT, State.WAITING]
