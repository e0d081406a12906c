"""The embedded store's own affairs: numbers of series, a file that is none, a failed transaction."""

from pathlib import Path

import duckdb
import pytest

from ingest.arrival import Arrival
from ingest.store import EmbeddedStore, Level, Query, embedded_file
from ingest.store.columns import Catalogue, Points, Series
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.quality import Quality
from telemetry.reading import Reading

REF = GatewayRef("411202002001", "gw-jianye-1")
STREAM = Stream(*REF, "0" * 16, "bulk")
OTHER = STREAM._replace(lane="urgent")
START = 1_790_000_000_000_000


def reading(n: int, **values: object) -> Reading:
    return Reading(device="b3-meter", kind=Kind.ENERGY, at=START + n, values=values or {"frequency": 50.0})


def test_a_series_is_numbered_once_and_new_ones_follow_those_of_the_file() -> None:
    catalogue = Catalogue([Series(7, *REF, "b3-meter", "energy", "frequency")])
    assert catalogue.device(REF, "b3-meter", Kind.ENERGY).numbers == {"frequency": 7}
    assert catalogue.add(REF, "b3-meter", Kind.ENERGY, "voltage") == 8
    assert catalogue.take_added() == [Series(8, *REF, "b3-meter", "energy", "voltage")]
    assert catalogue.take_added() == []
    assert catalogue.device(REF, "b3-meter", Kind.ENERGY).numbers == {"frequency": 7, "voltage": 8}


def test_points_are_columns_with_each_value_in_the_one_of_its_type() -> None:
    points = Points(Catalogue())
    points.add(REF, 3, 9, [reading(0, frequency=50, fault_code=4, closed=True, event="trip")])
    silent = Reading(device="b3-meter", kind=Kind.ENERGY, at=START + 1, values={}, faults={"*": "bad: silent"})
    points.add(REF, 3, 10, [silent])
    columns = {name: column.tolist() for name, column in points.columns().items()}
    assert columns == {
        "series": [1, 2, 3, 4, 5],
        "instant": [START] * 4 + [START + 1],
        "number": [50.0, None, None, None, None],
        "whole": [None, 4, 1, None, None],
        "text": [None, None, None, "trip", None],
        "quality": [0, 0, 0, 0, list(Quality).index(Quality.BAD)],
        "reason": [None, None, None, None, "silent"],
        "stream": [3] * 5,
        "seq": [9] * 4 + [10],
    }


def test_readings_of_numbers_alone_are_the_same_columns_whether_their_series_are_new_or_known() -> None:
    points = Points(Catalogue())
    for seq in (1, 2):
        points.add(REF, 3, seq, [reading(seq, frequency=50, voltage=230.5)])
    columns = {name: column.tolist() for name, column in points.columns().items()}
    assert columns == {
        "series": [1, 2, 1, 2],
        "instant": [START + 1] * 2 + [START + 2] * 2,
        "number": [50.0, 230.5] * 2,
        "quality": [0] * 4,
        "stream": [3] * 4,
        "seq": [1, 1, 2, 2],
    }


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "telemetry.duckdb"
    file.write_bytes(b"not a database at all " * 1_000)
    store = EmbeddedStore(file)
    with pytest.raises(StoreUnavailable, match=r"telemetry\.duckdb cannot be opened"):
        await store.open()
    await store.close()


async def test_after_a_failed_transaction_the_same_write_succeeds_and_is_there_once(tmp_path: Path) -> None:
    file = tmp_path / "telemetry.duckdb"
    store = EmbeddedStore(file)
    await store.open()
    await store.write([Arrival(STREAM, 1, [reading(0)], START)])
    await store.close()
    with duckdb.connect(str(file)) as connection:
        connection.execute("ALTER TABLE point DROP COLUMN seq")  # so that the last step of a write fails

    store = EmbeddedStore(file)
    arrivals = [Arrival(STREAM, 2, [reading(1), reading(2, voltage=230.0)], START), Arrival(OTHER, 1, [], START)]
    with pytest.raises(StoreUnavailable):
        await store.write(arrivals)
    assert await store.watermarks() == {STREAM: 1}
    with duckdb.connect(str(file)) as connection:
        assert connection.execute("SELECT seq FROM stream").fetchall() == [(1,)]
        connection.execute("ALTER TABLE point ADD COLUMN seq BIGINT")
    await store.write(arrivals)
    assert await store.watermarks() == {STREAM: 2, OTHER: 1}
    rows = await store.read(Query(("41",), newest_first=False))
    assert [(row.at, row.metric, row.value) for row in rows] == [
        (START, "frequency", 50.0),
        (START + 1, "frequency", 50.0),
        (START + 2, "voltage", 230.0),
    ]
    await store.close()


async def test_people_can_read_a_copy_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "telemetry.duckdb"
    store = EmbeddedStore(file)
    await store.open()
    await store.write([Arrival(STREAM, 1, [reading(0, frequency=50.5, closed=True, event="trip")], START)])
    await store.close()
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT device, metric, value, quality FROM reading ORDER BY metric").fetchall()
    assert found == [
        ("b3-meter", "closed", "1", "good"),
        ("b3-meter", "event", "trip", "good"),
        ("b3-meter", "frequency", "50.5", "good"),
    ]


def many(seq: int) -> Arrival:
    return Arrival(STREAM, seq, [reading(seq * 10_000 + n, frequency=n / 7, voltage=n / 3) for n in range(10_000)], START)


async def test_what_was_written_does_not_stay_in_memory_and_a_question_has_more_of_it(tmp_path: Path) -> None:
    file = embedded_file.EmbeddedFile(tmp_path / "telemetry.duckdb", lambda connection: None)

    def limit(connection: duckdb.DuckDBPyConnection) -> str:
        ((found,),) = connection.execute("SELECT value FROM duckdb_settings() WHERE name = 'memory_limit'").fetchall()
        return str(found)

    def at_rest() -> str:
        with file.transaction() as connection:
            return limit(connection)

    assert await file.append(at_rest) == "61.0 MiB"
    assert await file.write(at_rest) == "122.0 MiB"
    assert await file.ask(file.queries, limit) == "122.0 MiB"
    assert await file.ask(file.thinning, limit) == "61.0 MiB"
    assert await file.append(at_rest) == "61.0 MiB"
    await file.close()


async def test_a_group_that_finds_too_little_memory_is_stored_when_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_file, "AT_REST", "1MB")
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    with pytest.raises(StoreUnavailable, match="Out of Memory"):
        await store.write([many(seq) for seq in range(1, 4)])
    assert await store.write([many(seq) for seq in range(1, 4)]) == []
    assert await store.watermarks() == {STREAM: 3}
    await store.close()


async def test_a_window_that_finds_too_little_memory_is_summarised_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.write([many(seq) for seq in range(1, 4)])
    await store.close()
    monkeypatch.setattr(embedded_file, "AT_REST", "1MB")
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    window = Level.FIVE_MINUTES.start(START)
    with pytest.raises(StoreUnavailable, match="Out of Memory"):
        await store.roll_up(Level.FIVE_MINUTES, window, [REF])
    await store.roll_up(Level.FIVE_MINUTES, window, [REF])
    found = await store.summaries(Level.FIVE_MINUTES, Query(("41",)))
    assert {(summary.metric, summary.samples) for summary in found} == {("frequency", 30_000), ("voltage", 30_000)}
    await store.close()
