"""Dead letters that grow are one alert, which clears by itself when no more come."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alerts_world import GATEWAY, REF, Centre, instant, seconds

from ingest import deadletter
from ingest.alerts import AlertState, load_rules
from ingest.deadletter import DeadLetter, set_aside
from ingest.letter_watch import LetterWatch
from telemetry.reading import Micros, Reading

RULES = Path(__file__).parents[3] / "config" / "rules" / "system.yaml"


class Watching:
    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        self.told: list[int] = []
        self.restart()

    def restart(self) -> None:
        self.watch = LetterWatch(self.centre.database, self._observe)

    async def _observe(self, ref: tuple[str, str], reading: Reading, now: int) -> None:
        assert reading.device == GATEWAY
        self.told.append(int(reading.values["dead_letters"]))
        await self.centre.engine.observe(REF, reading, now)

    async def letters(self, at_s: float, *bodies: str) -> None:
        letters = [DeadLetter(REF, "0123456789abcdef bulk 7", "why", body.encode()) for body in bodies]
        await set_aside(self.centre.database, letters, Micros(instant(at_s)))

    async def look(self, at_s: float) -> None:
        await self.watch.look(instant(at_s))
        await self.centre.tick(at_s)


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    centre = Centre(tmp_path, load_rules([RULES]), [])
    await centre.engine.open()
    yield Watching(centre)
    centre.close()


async def test_letters_of_many_minutes_are_one_alert_that_clears_an_hour_after_the_last(watching: Watching) -> None:
    await watching.look(0)
    assert await watching.centre.all() == []
    for minute in range(1, 4):
        await watching.letters(60 * minute - 5, f"a{minute}", f"b{minute}")
        await watching.look(60 * minute)
    (alert,) = await watching.centre.all()
    assert (alert.kind, alert.device, alert.state, alert.value, seconds(alert.opened_at)) == (
        "dead_letters", GATEWAY, AlertState.OPEN, 2, 60
    )  # fmt: skip
    await watching.look(180 + 3599)
    assert (await watching.centre.all())[0].state is AlertState.OPEN
    await watching.look(180 + 3601)
    (alert,) = await watching.centre.all()
    assert (alert.state, seconds(alert.cleared_at)) == (AlertState.CLEARED, 180 + 3600)


async def test_letters_that_find_no_room_any_more_are_told_all_the_same(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletter, "MAX_OF_GATEWAY", 1)
    await watching.letters(0, "the last that is kept")
    await watching.look(0)
    await watching.letters(3_500, "a", "b")
    await watching.look(3_501)
    await watching.look(3_501 + 3_599)
    assert [alert.state for alert in await watching.centre.all()] == [AlertState.OPEN]


async def test_it_looks_once_a_minute_and_at_what_came_since(watching: Watching) -> None:
    await watching.look(0)
    await watching.letters(10, "a")
    await watching.look(59)
    assert watching.told == []
    await watching.look(60)
    await watching.letters(70, "a")
    await watching.look(119)
    await watching.look(120)
    assert watching.told == [1, 1]


async def test_letters_just_before_a_restart_are_told_and_older_ones_are_not(watching: Watching) -> None:
    await watching.letters(0, "old")
    await watching.letters(400, "new")
    watching.restart()
    await watching.centre.restart()
    await watching.look(500)
    assert watching.told == [1]
    assert [alert.state for alert in await watching.centre.all()] == [AlertState.OPEN]


async def test_it_is_no_sign_of_the_gateways_life_and_counts_as_no_reading(watching: Watching) -> None:
    await watching.letters(0, "a")
    await watching.look(1)
    assert await watching.centre.engine.watermarks() == {}
