"""Whatever a server answers: what is bad for good is found, nothing else is given up, and nobody is hammered."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store.answer import MAX_WAIT_S, Meaning, Named, Verdict
from ingest.store.line_writer import (
    ABREAST,
    DENIED_REST_S,
    FAULTS_BEFORE_DOUBT,
    LEAST_BYTES,
    MAX_BYTES,
    Line,
    LineWriter,
    Origin,
    size_of,
)
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

STREAM = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")
READING = Reading(device="b3-meter", kind=Kind.ENERGY, at=1_790_000_000_000_000, values={})
STORED = Verdict(Meaning.STORED)


def lines(count: int, length: int = 20) -> list[Line]:
    return [Line(f"energy,device=d{n:05} v={'1' * length} {n}", Origin(STREAM, n, READING)) for n in range(count)]


def seq_of(line: Line) -> int:
    assert line.origin is not None
    return line.origin.seq


class Model:
    """A server in a few lines: what it keeps, what it was asked; ``answer`` is its mind."""

    def __init__(self, answer: Callable[[Sequence[Line]], Verdict]) -> None:
        self.kept: set[int] = set()
        self.asked: list[Sequence[Line]] = []
        self.answer = answer
        self.now = 0.0
        self.writer = LineWriter("model", self.send, lambda: self.now)

    async def send(self, body: Sequence[Line]) -> Verdict:
        self.asked.append(body)
        found = self.answer(body)
        if found.meaning is Meaning.STORED:
            self.kept |= {seq_of(line) for line in body}
        return found

    async def written(self, body: Sequence[Line]) -> list[int]:
        return [seq_of(refused.line) for refused in await self.writer.write(body)]


def refusing(bad: set[int], *, counts: bool = False) -> Callable[[Sequence[Line]], Verdict]:
    """All or nothing, as 2.x: 400 as long as a bad line is among them."""

    def answer(body: Sequence[Line]) -> Verdict:
        found = [line for line in body if seq_of(line) in bad]
        return Verdict(Meaning.BAD, "unable to parse", dropped=len(found) if counts else 0) if found else STORED

    return answer


@given(bad=st.sets(st.integers(0, 39)), counts=st.booleans())
async def test_all_bad_lines_are_refused_and_all_others_kept(bad: set[int], counts: bool) -> None:
    model = Model(refusing(bad, counts=counts))
    assert sorted(await model.written(lines(40))) == sorted(bad)
    assert model.kept == set(range(40)) - bad


async def test_one_bad_line_in_5000_costs_few_requests() -> None:
    model = Model(refusing({3_210}))
    assert await model.written(lines(5_000)) == [3_210]
    assert len(model.asked) <= 27


async def test_a_server_that_says_it_dropped_all_is_asked_once() -> None:
    model = Model(refusing(set(range(5_000)), counts=True))
    assert len(await model.written(lines(5_000))) == 5_000
    assert len(model.asked) == 1


def naming(bad: set[int], at_most: int) -> Callable[[Sequence[Line]], Verdict]:
    """As 3.x: names the bad lines by number, but only so many; takes the others."""

    def answer(body: Sequence[Line]) -> Verdict:
        found = [Named(n, line.text.replace('"', ""), "why") for n, line in enumerate(body, 1) if seq_of(line) in bad]
        return Verdict(Meaning.BAD, "partial write", tuple(found[:at_most])) if found else STORED

    return answer


@given(bad=st.sets(st.integers(0, 39)), at_most=st.integers(1, 50))
async def test_lines_that_the_server_names_are_refused_and_the_rest_sent_again(bad: set[int], at_most: int) -> None:
    model = Model(naming(bad, at_most))
    assert sorted(await model.written(lines(40))) == sorted(bad)
    assert model.kept == set(range(40)) - bad
    assert len(model.asked) <= 1 + -(-len(bad) // at_most)


async def test_a_list_that_names_other_lines_than_it_quotes_is_not_believed() -> None:
    def answer(body: Sequence[Line]) -> Verdict:
        if all(seq_of(line) != 7 for line in body):
            return STORED
        return Verdict(Meaning.BAD, "partial write", (Named(1, "energy,device=d00007 v=1 7", "why"),) if len(body) > 1 else ())

    model = Model(answer)
    assert await model.written(lines(16)) == [7]


@pytest.mark.parametrize("number", [0, 17, -3])
async def test_a_number_that_is_no_line_is_not_believed(number: int) -> None:
    def answer(body: Sequence[Line]) -> Verdict:
        bad = any(seq_of(line) == 2 for line in body)
        return Verdict(Meaning.BAD, "why", (Named(number, "", "why"),) if len(body) > 1 else ()) if bad else STORED

    assert await Model(answer).written(lines(16)) == [2]


@pytest.mark.parametrize("meaning", [Meaning.LATER, Meaning.ABSENT, Meaning.DENIED, Meaning.FAULT, Meaning.CUT])
async def test_what_may_pass_gives_nothing_up(meaning: Meaning) -> None:
    model = Model(lambda body: Verdict(meaning, "because"))
    with pytest.raises(StoreUnavailable, match="because"):
        await model.written(lines(100))
    assert len(model.asked) == 1


async def test_whoever_refuses_our_credentials_is_asked_seldom() -> None:
    model = Model(lambda body: Verdict(Meaning.DENIED, "refuses our credentials"))
    for _ in range(10):
        with pytest.raises(StoreUnavailable, match="refuses our credentials"):
            await model.written(lines(1))
    assert len(model.asked) == 1
    model.now, model.answer = DENIED_REST_S, refusing(set())
    assert await model.written(lines(1)) == []


async def test_whoever_asks_for_rest_gets_it_and_no_more() -> None:
    model = Model(lambda body: Verdict(Meaning.LATER, "status 503", wait_s=MAX_WAIT_S))
    with pytest.raises(StoreUnavailable):
        await model.written(lines(1))
    model.answer, model.now = refusing(set()), MAX_WAIT_S - 1
    with pytest.raises(StoreUnavailable, match="asked again in 1 s"):
        await model.written(lines(1))
    model.now = MAX_WAIT_S
    assert await model.written(lines(1)) == []


def taking_at_most(size: int, otherwise: Meaning) -> Callable[[Sequence[Line]], Verdict]:
    return lambda body: STORED if size_of(body) <= size else Verdict(otherwise, "too large")


@pytest.mark.parametrize("otherwise", [Meaning.LARGE, Meaning.CUT])
async def test_a_body_that_is_too_large_is_sent_in_smaller_ones_and_that_is_remembered(otherwise: Meaning) -> None:
    model = Model(taking_at_most(150_000, otherwise))
    body = lines(1_000, 970)
    assert await model.written(body) == []
    assert model.kept == set(range(1_000))
    assert LEAST_BYTES < model.writer.max_bytes <= 150_000 < MAX_BYTES


async def test_a_limit_that_is_too_low_for_any_reading_is_the_servers_fault() -> None:
    model = Model(taking_at_most(10, Meaning.LARGE))
    with pytest.raises(StoreUnavailable, match="too large"):
        await model.written(lines(1_000, 970))


async def test_a_line_that_is_too_large_for_any_reading_is_refused() -> None:
    model = Model(taking_at_most(LEAST_BYTES, Meaning.LARGE))
    huge = Line("x" * (LEAST_BYTES + 1), Origin(STREAM, 5, READING))
    assert await model.written([*lines(3), huge]) == [5]
    assert model.kept == {0, 1, 2}


def failing_at(bad: set[int]) -> Callable[[Sequence[Line]], Verdict]:
    return lambda body: Verdict(Meaning.FAULT, "status 500: panic") if {seq_of(line) for line in body} & bad else STORED


@given(bad=st.sets(st.integers(0, 99), min_size=1, max_size=3))
async def test_a_fault_that_never_passes_is_searched_for_its_line(bad: set[int]) -> None:
    model = Model(failing_at(bad))
    for _ in range(FAULTS_BEFORE_DOUBT - 1):
        with pytest.raises(StoreUnavailable):
            await model.written(lines(100))
    assert sorted(await model.written(lines(100))) == sorted(bad)
    assert model.kept == set(range(100)) - bad


async def test_a_server_that_fails_at_everything_is_not_believed_to_mean_a_line() -> None:
    model = Model(failing_at(set(range(5_000))))
    for _ in range(3 * FAULTS_BEFORE_DOUBT):
        with pytest.raises(StoreUnavailable, match="panic"):
            await model.written(lines(5_000))
    assert len(model.asked) < 3 * (FAULTS_BEFORE_DOUBT + 30)


async def test_a_fault_that_passes_during_the_search_refuses_nothing() -> None:
    model = Model(failing_at({42}))
    for _ in range(FAULTS_BEFORE_DOUBT - 1):
        with pytest.raises(StoreUnavailable):
            await model.written(lines(100))

    def until_it_was_found(body: Sequence[Line]) -> Verdict:
        found = any([seq_of(line) for line in asked] == [42] for asked in model.asked[:-1])
        return STORED if found else failing_at({42})(body)

    model.answer = until_it_was_found
    assert await model.written(lines(100)) == []
    assert model.kept == set(range(100))


async def test_a_server_that_begins_to_fail_during_the_search_refuses_nothing() -> None:
    model = Model(failing_at({99}))
    for _ in range(FAULTS_BEFORE_DOUBT - 1):
        with pytest.raises(StoreUnavailable):
            await model.written(lines(100))
    model.answer = lambda body: failing_at({99} if len(model.asked) < 10 else set(range(100)))(body)
    with pytest.raises(StoreUnavailable, match="panic"):
        await model.written(lines(100))


async def test_faults_at_different_lines_are_not_one_fault() -> None:
    model = Model(failing_at(set(range(5_000))))
    for start in range(FAULTS_BEFORE_DOUBT * 2):
        with pytest.raises(StoreUnavailable):
            await model.written(lines(100)[start:])
    assert len(model.asked) == FAULTS_BEFORE_DOUBT * 2


async def test_blocks_go_side_by_side_and_after_one_that_was_not_taken_one_by_one() -> None:
    most = on_their_way = 0
    answers = [STORED, STORED, STORED, Verdict(Meaning.LATER, "busy"), STORED]

    async def send(body: Sequence[Line]) -> Verdict:
        nonlocal most, on_their_way
        on_their_way += 1
        most = max(most, on_their_way)
        await asyncio.sleep(0)
        on_their_way -= 1
        return answers.pop(0) if answers else STORED

    writer = LineWriter("model", send, lambda: 0.0)
    blocks = [lines(2), lines(3), lines(4)]

    async def side_by_side() -> int:
        nonlocal most
        most = 0
        await writer.write_all(blocks)
        return most

    assert await side_by_side() == ABREAST
    with pytest.raises(StoreUnavailable, match="busy"):
        await side_by_side()
    assert on_their_way == 0
    assert [await side_by_side(), await side_by_side()] == [1, ABREAST]


async def test_a_fault_that_never_passes_is_found_among_many_blocks() -> None:
    model = Model(failing_at({9}))
    blocks = [lines(20)[:5], lines(20)[5:12], lines(20)[12:]]
    for _ in range(FAULTS_BEFORE_DOUBT + 1):
        try:
            refused = await model.writer.write_all(blocks)
            break
        except StoreUnavailable:
            model.now += MAX_WAIT_S
    assert [seq_of(one.line) for one in refused] == [9]
    assert model.kept == set(range(20)) - {9}
