"""A telemetry file of an older Linli becomes one of ours, whole; a newer one is not touched."""

from pathlib import Path

import duckdb
import pytest

from ingest.arrival import Arrival
from ingest.store import EmbeddedStore, Level, Query
from ingest.store.embedded_layout import LAYOUT
from telemetry.errors import ConfigInvalid, StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading

STREAM = Stream("411202002001", "gw-jianye-1", "0" * 16, "bulk")
START = Level.HOUR.start(1_790_000_000_000_000)
ALL = Query(("41",), newest_first=False, limit=50_000)
ROWS = 10_000

LAYOUT_1 = """
CREATE TABLE layout (version INTEGER);
CREATE TABLE stream (id INTEGER, community VARCHAR, gateway VARCHAR, epoch VARCHAR, lane VARCHAR, seq BIGINT);
CREATE TABLE series (id INTEGER, community VARCHAR, gateway VARCHAR, device VARCHAR, kind VARCHAR, metric VARCHAR);
CREATE TABLE point (
    series INTEGER, instant BIGINT, number DOUBLE, whole BIGINT, text VARCHAR,
    quality UTINYINT, reason VARCHAR, event_id VARCHAR, stream INTEGER, seq BIGINT
);
CREATE VIEW reading AS
    SELECT community, gateway, device, kind, metric, make_timestamp(instant) AS instant_utc,
           coalesce(text, number::VARCHAR, whole::VARCHAR) AS value,
           ['good', 'uncertain', 'stale', 'bad'][quality + 1] AS quality, reason, event_id
    FROM point JOIN series ON series.id = point.series;
INSERT INTO layout VALUES (1);
"""


def old_file(folder: Path) -> Path:
    """A file as layout 1 left it, with a reading a second of one meter."""
    file = folder / "telemetry.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(LAYOUT_1)
        connection.execute("INSERT INTO stream VALUES (1, ?, ?, ?, ?, 20)", [*STREAM])
        connection.execute("INSERT INTO series VALUES (1, ?, ?, 'b3-meter', 'energy', 'frequency')", [*STREAM[:2]])
        connection.execute(
            "INSERT INTO point SELECT 1, ? + range * 1000000, range, NULL, NULL, 0, NULL, NULL, 1, range // 500 FROM range(?)",
            [START, ROWS],
        )
    return file


def shape(file: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute("SELECT table_name, column_name, data_type FROM duckdb_columns() ORDER BY ALL").fetchall()


async def opened_once(file: Path) -> None:
    store = EmbeddedStore(file)
    try:
        await store.open()
    finally:
        await store.close()


async def test_an_older_file_keeps_all_its_rows_and_goes_on(tmp_path: Path) -> None:
    store = EmbeddedStore(old_file(tmp_path))
    await store.open()
    rows = await store.read(ALL)
    assert [(row.at, row.value) for row in rows] == [(START + n * 1_000_000, float(n)) for n in range(ROWS)]
    assert await store.watermarks() == {STREAM: 20}
    meter = Reading(device="b3-meter", kind=Kind.ENERGY, at=START + ROWS * 1_000_000, values={"frequency": 50.0})
    await store.write([Arrival(STREAM, 21, [meter], START)])
    await store.roll_up(Level.FIVE_MINUTES, START, [STREAM.ref])
    assert [(summary.samples, summary.last) for summary in await store.summaries(Level.FIVE_MINUTES, ALL)] == [(300, 299.0)]
    await store.close()


async def test_an_upgraded_file_has_the_shape_of_a_new_one(tmp_path: Path) -> None:
    old, new = old_file(tmp_path), tmp_path / "new.duckdb"
    for file in (old, new, old):
        await opened_once(file)
    assert shape(old) == shape(new)
    for file in (old, new):
        with duckdb.connect(str(file), read_only=True) as connection:
            assert connection.execute("FROM layout").fetchall() == [(LAYOUT,)]


async def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = old_file(tmp_path)
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE summary_1h (foreign_to_us INTEGER)")
    before = shape(file)
    with pytest.raises(StoreUnavailable, match="summary_1h"):
        await opened_once(file)
    assert shape(file) == before
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("FROM layout").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM point").fetchall() == [(ROWS,)]


async def test_a_newer_file_is_refused_with_the_cure_and_stays_as_it_is(tmp_path: Path) -> None:
    file = old_file(tmp_path)
    with duckdb.connect(str(file)) as connection:
        connection.execute("UPDATE layout SET version = 99")
    content = file.read_bytes()
    with pytest.raises(ConfigInvalid, match=rf"newer Linli \(layout 99, not {LAYOUT}\) \(install that version again"):
        await opened_once(file)
    assert file.read_bytes() == content
