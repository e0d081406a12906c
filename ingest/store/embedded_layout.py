"""What stands in the embedded store's file, and how a file of an older Linli becomes one of ours.

1. A file says its layout. An older one is brought up step by step, in one transaction: all of it happened, or none.
2. A newer one is refused, never touched.

A step that shipped is never changed: whoever changes a table adds a step at the end.
"""

from pathlib import Path

import duckdb
import structlog

from telemetry.errors import ConfigInvalid, Problem

log = structlog.get_logger()

# No keys and no indexes: the watermark keeps points unique, and a primary key would make the file seven times larger.
# ``stream`` and ``seq`` name the batch of a point, so that one batch can be audited or replayed; they compress to nothing.
# The view is for people with a DuckDB prompt on a copy of the file.
_POINTS = """
CREATE TABLE IF NOT EXISTS stream (id INTEGER, community VARCHAR, gateway VARCHAR, epoch VARCHAR, lane VARCHAR, seq BIGINT);
CREATE TABLE IF NOT EXISTS series (id INTEGER, community VARCHAR, gateway VARCHAR, device VARCHAR, kind VARCHAR, metric VARCHAR);
CREATE TABLE IF NOT EXISTS point (
    series INTEGER, instant BIGINT, number DOUBLE, whole BIGINT, text VARCHAR,
    quality UTINYINT, reason VARCHAR, event_id VARCHAR, stream INTEGER, seq BIGINT
);
CREATE VIEW IF NOT EXISTS reading AS
    SELECT community, gateway, device, kind, metric, make_timestamp(instant) AS instant_utc,
           coalesce(text, number::VARCHAR, whole::VARCHAR) AS value,
           ['good', 'uncertain', 'stale', 'bad'][quality + 1] AS quality, reason, event_id
    FROM point JOIN series ON series.id = point.series;
"""

_SUMMARY = """
CREATE TABLE summary_{level} (
    series INTEGER, instant BIGINT, samples UINTEGER, minimum DOUBLE, maximum DOUBLE, mean DOUBLE, last DOUBLE
);
"""

STEPS = (_POINTS, _SUMMARY.format(level="5m") + _SUMMARY.format(level="1h"))
LAYOUT = len(STEPS)


def upgrade(file: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Brings the file to our layout. Raises ``ConfigInvalid`` for one that is newer."""
    file.execute("CREATE TABLE IF NOT EXISTS layout (version INTEGER)")
    version = file.sql("SELECT coalesce(max(version), 0) FROM layout").fetchall()[0][0]
    if version > LAYOUT:
        cure = "install that version again, or put back the copy made before the upgrade"
        raise ConfigInvalid([Problem(str(path), "", f"was written by a newer Linli (layout {version}, not {LAYOUT})", cure)])
    if version == LAYOUT:
        return
    file.begin()
    for step in STEPS[version:]:
        file.execute(step)
    file.execute("DELETE FROM layout")
    file.execute("INSERT INTO layout VALUES (?)", [LAYOUT])
    file.commit()
    if version:
        log.info("telemetry file brought up to date", file=str(path), before=version, now=LAYOUT)
