"""A line that fails again and again is an alert: the share of the last hour's readings that came late."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alerts_world import GATEWAY, REF, Centre, instant

from ingest.alerts import AlertState, load_rules
from ingest.arrival import Arrival
from ingest.late_watch import LateWatch, Punctuality
from telemetry.batch import Lane
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Micros, Reading

RULES = Path(__file__).parents[3] / "config" / "rules" / "system.yaml"
STREAM = Stream(*REF, "0" * 16, Lane.BULK)


def arrival(at_s: float, *ages_s: float) -> Arrival:
    readings = [
        Reading(device=f"meter-{number}", kind=Kind.ENERGY, at=Micros(instant(at_s - age)), values={"voltage": 230.0})
        for number, age in enumerate(ages_s)
    ]
    return Arrival(STREAM, 1, readings, Micros(instant(at_s)))


def test_late_is_what_was_more_than_a_quarter_of_an_hour_old_when_it_came() -> None:
    punctuality = Punctuality()
    punctuality.note([arrival(0, *[1.0] * 197, 899.0, 901.0, 7200.0)])
    assert punctuality.shares(instant(1)) == {REF: 1.0}


def test_few_readings_are_no_share() -> None:
    punctuality = Punctuality()
    punctuality.note([arrival(0, *[1000.0] * 99)])
    assert punctuality.shares(instant(1)) == {}
    punctuality.note([arrival(1, 1.0)])
    assert punctuality.shares(instant(2)) == {REF: 99.0}


def test_an_hour_later_it_is_over_and_no_more_is_kept_than_the_hour() -> None:
    punctuality = Punctuality()
    punctuality.note([arrival(0, *[1000.0] * 100)])
    for minute in range(0, 125, 5):
        punctuality.note([arrival(60.0 * minute + 1, *[1.0] * 50)])
    assert punctuality.shares(instant(7300)) == {REF: 0.0}
    assert max(len(slots) for slots in punctuality._slots.values()) <= 13


def test_of_a_gateway_that_has_been_silent_for_an_hour_nothing_is_kept() -> None:
    punctuality = Punctuality()
    punctuality.note([arrival(0, *[1000.0] * 100)])
    assert punctuality.shares(instant(3000)) == {REF: 100.0}
    assert punctuality.shares(instant(7200)) == {}
    assert not punctuality._slots


class Watching:
    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        self.told: list[float] = []
        self.restart()

    def restart(self) -> None:
        self.watch = LateWatch(self.centre.database, self._observe)

    async def _observe(self, ref: object, reading: Reading, now: int) -> None:
        assert reading.device == GATEWAY
        self.told.append(float(reading.values["late_share"]))
        await self.centre.engine.observe(REF, reading, now)

    async def look(self, at_s: float, *ages_s: float) -> None:
        self.watch.note([arrival(at_s, *ages_s)])
        await self.watch.look(instant(at_s))
        await self.centre.tick(at_s)

    async def states(self) -> list[AlertState]:
        return [alert.state for alert in await self.centre.all() if alert.kind == "gateway_backlog"]


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    centre = Centre(tmp_path, load_rules([RULES]), [])
    await centre.engine.open()
    yield Watching(centre)
    centre.close()


async def test_what_an_outage_left_is_one_alert_until_an_hour_after(watching: Watching) -> None:
    await watching.look(0, *[1.0] * 500)
    assert (watching.told, await watching.states()) == ([], [])
    await watching.look(60, *[1000.0] * 20)
    assert (watching.told, await watching.states()) == ([3.8], [AlertState.OPEN])
    await watching.look(90, *[1000.0] * 20)
    assert watching.told == [3.8], "it looks once a minute"
    await watching.look(3000, *[1.0] * 100)
    assert (watching.told, await watching.states()) == ([3.8, 6.2], [AlertState.OPEN])
    await watching.look(4000, *[1.0] * 100)
    assert (watching.told, await watching.states()) == ([3.8, 6.2, 0.0], [AlertState.CLEARED])


async def test_after_a_restart_what_was_raised_is_over_when_the_line_has_been_well_for_a_while(watching: Watching) -> None:
    await watching.look(0, *[1000.0] * 100)
    assert await watching.states() == [AlertState.OPEN]
    watching.restart()
    await watching.centre.restart()
    await watching.look(100, *[1.0] * 500)
    assert await watching.states() == [AlertState.OPEN]
    await watching.look(701, *[1.0] * 10)
    assert (watching.told, await watching.states()) == ([100.0, 0.0], [AlertState.CLEARED])
