"""Gaps are kept durably, once, within bounds, and found again by scope and time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import gaps as module
from ingest.database import Database
from ingest.gaps import GapRow, Gaps
from ingest.sequencer import ROLLED_BACK, UNKNOWN, Gap
from telemetry.batch import Lane
from telemetry.identity import Stream
from telemetry.reading import Micros

pytestmark = pytest.mark.both_databases

T0 = Micros(1_700_000_000_000_000)
STREAM = Stream("411202002001", "gw-test", "0123456789abcdef", Lane.BULK)
GAP = Gap(STREAM, 2, 8, UNKNOWN)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "centre.db")
    yield made
    made.close()


async def test_a_gap_is_known_again_as_it_was_first_noted(database: Database) -> None:
    gaps = Gaps(database)
    await gaps.note("points", GAP, T0)
    await gaps.note("points", GAP, Micros(T0 + 5))
    await gaps.note("alerts", GAP._replace(reason=ROLLED_BACK), Micros(T0 + 1))
    assert await Gaps(database).between(["41"], T0, T0 + 2) == [
        GapRow("points", GAP, T0),
        GapRow("alerts", GAP._replace(reason=ROLLED_BACK), Micros(T0 + 1)),
    ]


@pytest.mark.parametrize(
    ("prefixes", "start", "end"), [(["42"], T0, T0 + 1), ([], T0, T0 + 1), (["41"], T0 + 1, T0 + 2), (["41"], 0, T0)]
)
async def test_nothing_of_another_place_or_time_is_shown(database: Database, prefixes: list[str], start: int, end: int) -> None:
    gaps = Gaps(database)
    await gaps.note("points", GAP, T0)
    assert await gaps.between(prefixes, start, end) == []


async def test_a_gateway_with_many_gaps_loses_its_own_oldest(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    gaps = Gaps(database)
    await gaps.note("points", Gap(STREAM._replace(gateway="gw-other"), 1, 1, UNKNOWN), T0)
    for n in range(1, 5):
        await gaps.note("points", GAP._replace(first=n), Micros(T0 + n))
    found = await gaps.between(["411202002001"], 0, T0 + 9)
    assert [(row.gap.stream.gateway, row.gap.first) for row in found] == [("gw-other", 1), ("gw-test", 3), ("gw-test", 4)]
