"""One request to a server is bounded in lines and in bytes."""

from collections.abc import Iterator

from ingest.store.influx import MAX_LINES, _block
from ingest.store.line_writer import Line, Origin, size_of
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

STREAM = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")
READING = Reading(device="b3-meter", kind=Kind.ENERGY, at=1_790_000_000_000_000, values={})
MAX_BYTES = 1_000_000


def lines(count: int, length: int, letter: str = "x") -> Iterator[Line]:
    return (Line(letter * length, Origin(STREAM, 1, READING)) for _ in range(count))


def test_a_block_has_at_most_so_many_lines_and_the_next_goes_on() -> None:
    rest = lines(MAX_LINES + 3, 1)
    assert [len(_block(rest, MAX_BYTES)) for _ in range(3)] == [MAX_LINES, 3, 0]


def test_a_block_of_long_lines_ends_at_its_bound_or_one_line_after() -> None:
    rest = lines(30, MAX_BYTES // 10)
    assert [len(_block(rest, MAX_BYTES)) for _ in range(4)] == [10, 10, 10, 0]


def test_chinese_text_counts_as_what_it_weighs() -> None:
    assert len(_block(lines(30, MAX_BYTES // 30, "门"), MAX_BYTES)) == 10
    assert size_of(list(lines(2, 1, "门"))) == 8
