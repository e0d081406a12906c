"""Batches become blocks of lines that fit into a request, with their bodies; what is unsound becomes a refusal."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from ingest.arrival import Arrival
from ingest.store.line_blocks import MAX_LINES, Block, body_of_lines, encoded
from ingest.store.line_protocol import line
from ingest.store.line_server import deflated
from ingest.store.line_writer import MAX_BYTES, Origin
from ingest.store.protocol import Refusal
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind, Value
from telemetry.reading import Micros, Reading

REF = GatewayRef("411202002001", "gw-jianye-1")
STREAM = Stream(*REF, "0" * 16, "bulk")
START = 1_790_000_000_000_000


def arrival(seq: int, *readings: Reading, checked: bool = True) -> Arrival:
    return Arrival(STREAM, seq, readings, Micros(START), checked=checked)


def reading(n: int, **values: Value) -> Reading:
    return Reading(device="yard", kind=Kind.ENVIRONMENT, at=START + n, values=values or {"temperature": 21.5})


def made(arrivals: list[Arrival], max_bytes: int = MAX_BYTES) -> tuple[list[Block], list[Refusal]]:
    found = encoded(arrivals, False, max_bytes, deflated)
    return list(found.blocks), list(found.refusals)


def test_a_block_has_at_most_so_many_lines_and_the_next_goes_on() -> None:
    readings = [reading(n) for n in range(MAX_LINES + 3)]
    found, _ = made([arrival(1, *readings[:7]), arrival(2, *readings[7:])])
    assert [len(block) for block in found] == [MAX_LINES, 3]
    assert [one.text for block in found for one in block] == [line(REF, one) for one in readings]
    assert [one.origin for block in found for one in block] == [
        Origin(STREAM, 1 + (n >= 7), one) for n, one in enumerate(readings)
    ]


def test_a_block_of_long_lines_is_cut_until_it_fits_and_a_line_that_never_does_goes_alone() -> None:
    long = reading(0, event="x" * 200)
    found, _ = made([arrival(1, *[long] * 10)], max_bytes=2 * len(line(REF, long)) + 1)
    assert [len(block) for block in found] == [2, 1, 2] * 2
    assert [len(gzip.decompress(block.body).splitlines()) for block in found] == [2, 1, 2] * 2
    assert [len(block) for block in made([arrival(1, *[long] * 3)], max_bytes=10)[0]] == [1, 1, 1]


def test_a_block_is_measured_in_bytes_not_letters() -> None:
    wide = reading(0, event="\u95e8" * 80)
    text = line(REF, wide)
    assert len(text) < len(text.encode())
    assert [len(block) for block in made([arrival(1, wide, wide)], max_bytes=2 * len(text) + 1)[0]] == [1, 1]


def test_the_body_of_a_block_is_its_lines() -> None:
    (block,), _ = made([arrival(1, reading(0), reading(1, level=2.5))])
    assert block.body == body_of_lines(block, deflated)
    assert gzip.decompress(block.body).decode().split("\n") == [line(REF, reading(0)), line(REF, reading(1, level=2.5))]


def test_what_is_unsound_is_refused_and_the_rest_is_in_a_block() -> None:
    bad = reading(1, temperature="warm")
    (block,), refusals = made([arrival(4, reading(0), bad, reading(2), checked=False)])
    assert [one.text for one in block] == [line(REF, reading(0)), line(REF, reading(2))]
    assert [(refusal.stream, refusal.seq) for refusal in refusals] == [(STREAM, 4)] and b"warm" in refusals[0].body


def test_nothing_but_refusals_makes_no_block() -> None:
    assert made([arrival(1, reading(0, temperature="warm"), checked=False)])[0] == []


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53), min_size=1, max_size=5))
def test_numbers_encoded_at_once_are_those_of_one_by_one(numbers: list[float]) -> None:
    readings = [reading(place, temperature=number, rain=0.5) for place, number in enumerate(numbers)]
    (block,), _ = made([arrival(1, *readings)])
    for found, said in zip(block, readings, strict=True):
        alone = line(REF, said)
        head, _, fields = found.text.partition("temperature=")
        number, _, rest = fields.partition(",")
        assert head == alone.partition("temperature=")[0]
        assert float(number) == said.values["temperature"]
        assert rest == alone.partition("temperature=")[2].partition(",")[2]
