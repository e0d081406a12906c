"""History in a real store: thinned as it comes and when it comes late, killed in between, cut off by age."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.history import History, Part, Retention
from ingest.history.retention import DELAY_US
from ingest.history.sweeper import Sweeper
from ingest.history.thinner import Thinner
from ingest.store import EmbeddedStore, Level, Query, Summary
from ingest.store.summary import Sample, merged, summarised
from telemetry.errors import StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

FIVE, HOUR = Level.FIVE_MINUTES, Level.HOUR
T0 = HOUR.start(1_790_000_000_000_000)
SECOND, DAY = 1_000_000, 24 * HOUR.width_us
ALL = Query(("41",), limit=50_000, newest_first=False)
SHORT = Retention(raw_days=10, personal_days=5, five_minute_days=20, hour_days=40)


class Centre:
    """A store and a database with their history, which can be ended at any moment and begun again; time is set by hand."""

    def __init__(self, folder: Path, retention: Retention = SHORT) -> None:
        self.folder = folder
        self.now = T0
        self.retention = retention
        self.seqs: dict[Stream, int] = {}
        self.truth: list[Sample] = []

    async def begin(self) -> None:
        self.database = Database(self.folder / "centre.db")
        self.embedded = EmbeddedStore(self.folder / "telemetry.duckdb")
        self.history = History(self.embedded, self.database, self.retention, lambda: Micros(self.now))
        await self.history.store.open()
        await self.history.open()

    async def end(self) -> None:
        await self.history.store.close()
        self.database.close()

    @property
    def thinner(self) -> Thinner:
        return self.history._thinner  # its loop waits; a test takes its steps

    @property
    def sweeper(self) -> Sweeper:
        return self.history._sweeper  # its loop waits; a test takes its steps

    async def say(self, *readings: Reading, gateway: str = "gw-1") -> None:
        stream = Stream("411202002001", gateway, "0" * 16, "bulk")
        self.seqs[stream] = self.seqs.get(stream, 0) + 1
        await self.history.store.write([Arrival(stream, self.seqs[stream], readings, Micros(self.now))])
        for reading in readings:
            for metric, value in reading.values.items():
                self.truth.append(Sample(*stream.ref, reading.device, reading.kind, metric, reading.at, float(value)))

    async def thin(self) -> int:
        steps = 0
        while await self.thinner.step():
            steps += 1
        return steps

    async def thin_fully(self) -> None:
        """Hours too, which wait for their five minutes."""
        await self.thin()
        self.now += 60 * SECOND
        await self.thin()

    async def instants(self, level: Level) -> list[int]:
        if level is Level.RAW:
            return sorted({row.at for row in await self.history.store.read(ALL)})
        return sorted({summary.at for summary in await self.history.store.summaries(level, ALL)})


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    made = Centre(tmp_path)
    await made.begin()
    yield made
    await made.end()


def climate(at: int, celsius: float = 20.0, kind: Kind = Kind.ENVIRONMENT) -> Reading:
    return Reading(device="b3-climate", kind=kind, at=at, values={"temperature": celsius})


def close(summaries: list[Summary]) -> list[tuple[object, ...]]:
    return [(*summary[:9], pytest.approx(summary.mean, rel=1e-12), summary.last) for summary in summaries]


async def test_whatever_comes_late_twice_or_across_a_crash_the_summaries_are_those_of_all_readings(centre: Centre) -> None:
    chance = random.Random(7)
    backlog = 0
    for _ in range(60):
        centre.now += 120 * SECOND
        for gateway in ("gw-1", "gw-2"):
            behind = chance.choice([0, 0, 0, 3600, 6 * 3600]) * SECOND
            readings = [climate(centre.now - behind - chance.randrange(60 * SECOND), chance.gauss(20, 3)) for _ in range(5)]
            backlog += bool(behind)
            await centre.say(*readings, gateway=gateway)
        if chance.random() < 0.3:
            await centre.thin()
        if chance.random() < 0.1:
            await centre.end()
            await centre.begin()
    centre.now += DAY
    assert backlog > 10
    await centre.thin_fully()
    expected = summarised(centre.truth, FIVE)
    assert sorted(await centre.history.store.summaries(FIVE, ALL)) == close(expected)
    assert sorted(await centre.history.store.summaries(HOUR, ALL)) == close(merged(expected, HOUR))
    assert await centre.thin() == 0


async def test_what_is_thinned_already_is_not_computed_again(centre: Centre) -> None:
    await centre.say(climate(T0), climate(T0 + 600 * SECOND))
    centre.now = T0 + 2 * HOUR.width_us
    assert await centre.thin() == 2
    centre.now += 60 * SECOND
    assert await centre.thin() == 1
    await centre.say(climate(T0 + 1))
    centre.now += 60 * SECOND
    assert await centre.thin() == 1


async def test_what_is_restored_is_thinned_too(centre: Centre) -> None:
    stream = Stream("411202002001", "gw-1", "0" * 16, "bulk")
    await centre.history.store.restore([Arrival(stream, 1, [climate(T0, 1.0)], Micros(T0))])
    centre.now = T0 + HOUR.width_us
    await centre.thin()
    assert [(summary.at, summary.samples) for summary in await centre.history.store.summaries(FIVE, ALL)] == [(T0, 1)]


async def test_a_store_that_is_down_leaves_everything_to_be_thinned_later(centre: Centre, tmp_path: Path) -> None:
    await centre.say(climate(T0))
    centre.now = T0 + HOUR.width_us
    await centre.embedded.close()
    (tmp_path / "telemetry.duckdb").rename(tmp_path / "aside")
    (tmp_path / "telemetry.duckdb").mkdir()
    broken = EmbeddedStore(tmp_path / "telemetry.duckdb")
    with pytest.raises(StoreUnavailable):
        await Thinner(broken, centre.history._stale).step()  # the same windows
    await broken.close()
    centre.database.close()
    (tmp_path / "telemetry.duckdb").rmdir()
    (tmp_path / "aside").rename(tmp_path / "telemetry.duckdb")
    await centre.begin()
    await centre.thin()
    assert await centre.instants(FIVE) == [T0]


async def in_force(centre: Centre) -> None:
    """The first word of a retention counts after its delay, like every other that keeps much less than before."""
    assert await centre.sweeper.sweep()
    centre.now += DELAY_US
    await centre.say(climate(centre.now))
    assert await centre.sweeper.sweep()


async def test_each_part_goes_at_its_own_age_and_summaries_outlive_their_readings(centre: Centre) -> None:
    await centre.say(climate(T0), climate(T0, kind=Kind.ACCESS))
    await in_force(centre)
    ages = []
    for days in range(1, 50):
        centre.now = T0 + days * DAY + HOUR.width_us
        await centre.say(climate(centre.now))
        await centre.thin_fully()
        await centre.sweeper.sweep()
        rows = [row.kind for row in await centre.history.store.read(ALL) if row.at == T0]
        held = [T0 in await centre.instants(level) for level in (FIVE, HOUR)]
        ages.append((Kind.ACCESS in rows, Kind.ENVIRONMENT in rows, *held))
    assert [column.count(True) for column in zip(*ages, strict=True)] == [4, 9, 19, 39]
    assert centre.history.kept_from(Level.RAW, Kind.ACCESS) == T0 + 44 * DAY + HOUR.width_us
    assert centre.history.kept_from(Level.RAW, Kind.ENERGY) == T0 + 39 * DAY + HOUR.width_us


async def test_nothing_is_deleted_before_it_is_thinned(centre: Centre) -> None:
    await centre.say(climate(T0))
    await in_force(centre)
    centre.now = T0 + 15 * DAY
    await centre.say(climate(centre.now))
    await centre.sweeper.sweep()
    assert T0 in await centre.instants(Level.RAW)
    await centre.thin_fully()
    await centre.sweeper.sweep()
    assert T0 not in await centre.instants(Level.RAW)
    assert T0 in await centre.instants(FIVE)


async def test_what_comes_after_its_like_was_cut_spoils_no_summary(centre: Centre) -> None:
    await centre.say(climate(T0, 1.0), climate(T0 + 1, 2.0))
    await in_force(centre)
    await centre.thin()
    centre.now = T0 + 15 * DAY
    await centre.thin()
    await centre.say(climate(centre.now))
    await centre.sweeper.sweep()
    before = [summary for summary in await centre.history.store.summaries(FIVE, ALL) if summary.at == T0]
    await centre.say(climate(T0 + 2, 99.0))
    centre.now += HOUR.width_us
    await centre.thin()
    assert [summary for summary in await centre.history.store.summaries(FIVE, ALL) if summary.at == T0] == before
    assert [summary.samples for summary in before] == [2]


@pytest.mark.parametrize("part", [Part.RAW, Part.PERSONAL])
async def test_a_slip_in_the_configuration_deletes_nothing_for_three_days(centre: Centre, part: Part) -> None:
    centre.retention = Retention(raw_days=10, personal_days=10)
    await centre.end()
    await centre.begin()
    await centre.say(climate(T0), climate(T0, kind=Kind.ACCESS))
    await in_force(centre)
    await centre.thin()
    await centre.end()
    centre.retention = msgspec.structs.replace(centre.retention, **{part: 1})
    await centre.begin()
    begun = centre.now = T0 + 4 * DAY
    gone = {}
    for hours in range(0, 80, 8):
        centre.now = begun + hours * HOUR.width_us
        await centre.say(climate(centre.now))
        await centre.thin()
        await centre.sweeper.sweep()
        kinds = {row.kind for row in await centre.history.store.read(ALL) if row.at == T0}
        gone[hours] = len(kinds) < 2
    assert [hours for hours, is_gone in gone.items() if is_gone] == [72]


async def test_a_clock_that_jumps_ten_years_ahead_deletes_nothing(centre: Centre) -> None:
    await centre.say(climate(T0))
    await in_force(centre)
    await centre.thin()
    centre.now += 3650 * DAY
    await centre.say(climate(T0 + 4 * DAY))
    await centre.sweeper.sweep()
    assert T0 in await centre.instants(Level.RAW)


async def test_nothing_is_deleted_until_readings_have_come(centre: Centre) -> None:
    await centre.say(climate(T0))
    await in_force(centre)
    await centre.thin()
    await centre.end()
    await centre.begin()
    centre.now += 100 * DAY
    assert not await centre.sweeper.sweep()
    assert T0 in await centre.instants(Level.RAW)
