"""When an epoch is over, and what was put aside of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.database import Database
from ingest.finished import FINISHED_US, Finished, Finishing
from ingest.tally import KEEP_US
from telemetry.batch import Lane
from telemetry.identity import GatewayRef, Stream
from telemetry.presence import MAX_SPANS, Span, State
from telemetry.reading import Micros

REF = GatewayRef("411202002001", "gw-test")
OLD, NEW = "0" * 16, "f" * 16
BULK, URGENT = Stream(*REF, OLD, Lane.BULK), Stream(*REF, OLD, Lane.URGENT)
LIVE = Stream(*REF, NEW, Lane.BULK)
MARKS = {BULK: 7, URGENT: 2, LIVE: 3}
T0 = Micros(1_700_000_000_000_000)
LATER = Micros(T0 + FINISHED_US)


def state(*epochs: str, online: bool = True) -> State:
    return State(online=online, at=T0, hello=[Span(epoch, Lane.BULK, 4, 3) for epoch in epochs])


def finishing(said: State | None) -> Finishing:
    return Finishing(lambda ref: said)


def test_an_epoch_that_its_gateway_has_not_named_for_longer_than_a_replay_window_is_over_in_both_lanes() -> None:
    looking = finishing(state(NEW))
    assert looking.look(MARKS, T0) == []
    assert looking.look(MARKS, Micros(LATER - 1)) == []
    assert looking.look(MARKS, LATER) == [BULK, URGENT]


@pytest.mark.parametrize(
    "said",
    [None, state(NEW, online=False), state(), state(NEW, OLD), state(*[NEW] * MAX_SPANS)],
    ids=["nothing heard", "away", "names nothing", "named in one lane", "too much to name all"],
)
def test_while_a_gateway_does_not_tell_that_it_holds_nothing_of_an_epoch_the_epoch_is_not_over(said: State | None) -> None:
    looking = finishing(said)
    looking.look(MARKS, T0)
    assert looking.look(MARKS, Micros(10 * LATER)) == []


def test_an_epoch_of_which_something_came_meanwhile_in_either_lane_begins_to_be_over_anew() -> None:
    looking = finishing(state(NEW))
    looking.look(MARKS, T0)
    more = MARKS | {URGENT: 3}
    assert looking.look(more, LATER) == []
    assert looking.look(more, Micros(LATER + FINISHED_US - 1)) == []
    assert looking.look(more, Micros(LATER + FINISHED_US)) == [BULK, URGENT]


def test_an_epoch_that_was_named_in_between_begins_to_be_over_anew() -> None:
    said = [state(NEW), state(NEW, OLD), state(NEW)]
    looking = Finishing(lambda ref: said[0])
    looking.look(MARKS, T0)
    said.pop(0)
    looking.look(MARKS, Micros(T0 + 1))
    said.pop(0)
    assert looking.look(MARKS, LATER) == []


@pytest.fixture
def finished(tmp_path: Path) -> Iterator[Finished]:
    database = Database(tmp_path / "centre.db")
    yield Finished(database)
    database.close()


async def test_what_was_put_aside_is_told_of_each_sink_alone(finished: Finished) -> None:
    await finished.put_aside({"alerts": {BULK: 9, URGENT: 2}, "points": {BULK: 7}}, T0)
    assert await finished.of("alerts", [BULK, URGENT, LIVE]) == {BULK: 9, URGENT: 2}
    assert await finished.of("points", [BULK, URGENT]) == {BULK: 7}


async def test_what_is_put_aside_again_is_what_it_is_now(finished: Finished) -> None:
    await finished.put_aside({"points": {BULK: 7}}, T0)
    await finished.put_aside({"points": {BULK: 12}}, LATER)
    assert await finished.of("points", [BULK]) == {BULK: 12}


async def test_many_streams_are_asked_for_in_portions(finished: Finished) -> None:
    many = {BULK._replace(epoch=f"{number:016x}"): number for number in range(1, 1_001)}
    await finished.put_aside({"points": many}, T0)
    assert await finished.of("points", [*many, LIVE]) == many


async def test_what_was_put_aside_long_ago_is_dropped(finished: Finished) -> None:
    await finished.put_aside({"points": {BULK: 7}}, T0)
    await finished.put_aside({"points": {URGENT: 1}}, Micros(T0 + KEEP_US))
    assert await finished.of("points", [BULK]) == {BULK: 7}
    await finished.put_aside({"points": {URGENT: 1}}, Micros(T0 + KEEP_US + 1))
    assert await finished.of("points", [BULK, URGENT]) == {URGENT: 1}
