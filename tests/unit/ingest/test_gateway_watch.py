"""A gateway that is gone is an alert, told by its last will or by silence while others speak, and by nothing when we are deaf."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alerts_world import BASE, COMMUNITY, GATEWAY, REF, Centre, device, instant, reading, seconds

from ingest.alerts import AlertState, Colour, load_rules
from ingest.arrival import Arrival
from ingest.gateway_watch import EVERY_US, MAX_TOLD, SETTLE_US, SILENT_US, Attendance, GatewayWatch, absent
from ingest.registry import Registry
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Inventory, State
from telemetry.reading import Micros, Reading

RULES = Path(__file__).parents[3] / "config" / "rules"
OTHER = GatewayRef(COMMUNITY, "gw-test-2")
SETTLED = SETTLE_US / 1e6


class Watching:
    """The watch over a real registry, before a real engine; seconds count from when the centre hears."""

    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        self.registry = Registry(centre.database)
        self.told: list[tuple[float | None, str, object]] = []
        self.restart()

    def restart(self) -> None:
        self.watch = GatewayWatch(self.registry, self._observe)

    async def _observe(self, ref: GatewayRef, said: Reading, now: int) -> None:
        self.told.append((seconds(said.at), ref.gateway, said.values["online"]))
        await self.centre.engine.observe(ref, said, now)

    def says(self, at_s: float, online: bool, ref: GatewayRef = REF) -> None:
        self.registry.take_state(ref, State(online=online, at=instant(at_s)), instant(at_s))

    def speaks(self, at_s: float, ref: GatewayRef = REF) -> None:
        said = (reading(at_s, ref.gateway, Kind.GATEWAY, {"unsent": 0}),)
        self.registry.seen([Arrival(Stream(*ref, f"{1:016x}", "bulk"), 1, said, Micros(instant(at_s)))])

    async def look(self, at_s: float, connected: bool = True) -> None:
        await self.watch.look(instant(at_s), connected)
        await self.centre.tick(at_s)


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    centre = Centre(tmp_path, load_rules([RULES]), [])
    await centre.engine.open()
    found = Watching(centre)
    found.says(0, True)
    await found.look(0)
    yield found
    centre.close()


async def test_a_last_will_is_an_alert_after_the_time_of_the_rule_and_over_with_the_return(watching: Watching) -> None:
    inventory = Inventory(at=instant(0), hash="a", devices=[device("smoke-1", Kind.SAFETY), device("door", Kind.ACCESS)])
    watching.registry.take_inventory(REF, inventory)
    watching.speaks(40)
    await watching.look(40)
    watching.says(45, False)
    for at in range(45, 135, 5):
        await watching.look(at)
        assert await watching.centre.all() == []
    for at in range(135, 200, 5):
        await watching.look(at)
    (alert,) = await watching.centre.all()
    assert (alert.kind, alert.device, alert.colour, seconds(alert.opened_at)) == ("gateway_offline", GATEWAY, Colour.RED, 135)
    watching.says(300, True)
    watching.speaks(300)
    await watching.look(300)
    (alert,) = await watching.centre.all()
    assert (alert.state, seconds(alert.cleared_at)) == (AlertState.CLEARED, 300)
    assert watching.told == [(40, GATEWAY, True), (45, GATEWAY, False), (300, GATEWAY, True)]


async def test_one_that_says_nothing_while_another_speaks_is_gone(watching: Watching) -> None:
    watching.says(0, True, OTHER)
    for at in range(0, 61, 5):
        watching.speaks(at, OTHER)
        await watching.look(at)
    assert watching.told == [(30, GATEWAY, False), (30, OTHER.gateway, True)]


async def test_when_nobody_speaks_it_is_our_side_that_is_deaf(watching: Watching) -> None:
    watching.speaks(1)
    for at in range(1, 400, 5):
        await watching.look(at)
    assert watching.told == [(31, GATEWAY, True)]


async def test_while_the_centre_has_no_broker_and_just_after_nothing_is_said(watching: Watching) -> None:
    watching.says(1, False)
    for at in range(5, 100, 5):
        await watching.look(at, connected=False)
    for at in range(100, 100 + int(SETTLED), 5):
        await watching.look(at)
    assert watching.told == []
    await watching.look(100 + SETTLED)
    assert watching.told == [(130, GATEWAY, False)]


async def test_a_gateway_that_came_back_while_the_centre_was_down_raises_nothing(watching: Watching) -> None:
    watching.says(31, False)
    await watching.look(31)
    watching.says(50, True)
    watching.restart()
    await watching.look(60)
    watching.speaks(91)
    await watching.look(91)
    for at in range(95, 300, 5):
        watching.speaks(at)
        await watching.look(at)
    assert [online for *_, online in watching.told] == [False, True]
    assert await watching.centre.all() == []


async def test_of_several_that_go_at_once_one_alert_stands_for_the_others(watching: Watching) -> None:
    watching.speaks(40)
    for ref in (REF, OTHER):
        watching.says(41, False, ref)
    for at in range(45, 200, 5):
        await watching.look(at)
    found = {alert.kind: alert for alert in await watching.centre.all()}
    parent = found["gateways_offline"]
    assert (seconds(parent.opened_at), parent.value, parent.suppressed_by) == (105, 2, "")
    assert len(await watching.centre.all()) == 3 and found["gateway_offline"].suppressed_by == parent.id


async def test_many_are_told_in_portions_those_that_are_gone_first(watching: Watching) -> None:
    for number in range(MAX_TOLD + 50):
        watching.says(0, number >= MAX_TOLD, GatewayRef(COMMUNITY, f"gw-{number:04}"))
    watching.speaks(30)
    await watching.watch.look(instant(30), True)
    assert [online for *_, online in watching.told] == [False] * MAX_TOLD
    await watching.watch.look(instant(31), True)
    assert len(watching.told) == MAX_TOLD + 51
    await watching.watch.look(instant(31) + EVERY_US, True)
    assert len(watching.told) == MAX_TOLD + 51


@pytest.mark.parametrize(("silent_us", "is_gone"), [(SILENT_US - 1, False), (SILENT_US, True)])
def test_silence_counts_from_the_newest_of_what_was_said_and_since_when_we_hear(silent_us: int, is_gone: bool) -> None:
    for word, hears_since in (
        (Attendance(True, 0, BASE), 0),
        (Attendance(True, BASE, 0), 0),
        (Attendance(True, 0, 0), BASE),
    ):
        now = BASE + silent_us
        assert (REF in absent({REF: word, OTHER: Attendance(True, 0, now)}, now, hears_since)) is is_gone
