"""One request to a server is bounded in lines and in size."""

from collections.abc import Iterator

from ingest.store.influx import MAX_CHARACTERS, MAX_LINES, Line, _block
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

STREAM = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")
READING = Reading(device="b3-meter", kind=Kind.ENERGY, at=1_790_000_000_000_000, values={})


def lines(count: int, length: int) -> Iterator[Line]:
    return (Line("x" * length, STREAM, 1, READING) for _ in range(count))


def test_a_block_has_at_most_so_many_lines_and_the_next_goes_on() -> None:
    rest = lines(MAX_LINES + 3, 1)
    assert [len(_block(rest)) for _ in range(3)] == [MAX_LINES, 3, 0]


def test_a_block_of_long_lines_ends_soon_after_its_bound() -> None:
    rest = lines(30, MAX_CHARACTERS // 10)
    assert [len(_block(rest)) for _ in range(4)] == [11, 11, 8, 0]
