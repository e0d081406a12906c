"""Whatever is judged together and wherever the centre dies, the same readings make the same episodes and the same journal."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from alerts_world import Centre, Feed, device, instant, reading, rules_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.alerts.tables import alert, journal
from ingest.arrival import Arrival
from ingest.database import Database
from telemetry.metric import Kind
from telemetry.reading import Reading

WHENS = {
    "environment": (
        "when: {type: threshold, metric: temperature, unit: degC, raise_at: 30, clear_at: 27, for_s: 20, clear_for_s: 10}",
        "when: {type: threshold, metric: temperature, unit: degC, raise_at: 30, samples: {need: 2, of: 3}}",
        """when: {type: threshold, metric: temperature, unit: degC, raise_at: 28}
    stages:
      - {colour: red, after_s: 60}
      - {colour: red, when: {type: threshold, metric: temperature, unit: degC, raise_at: 33}}""",
        "when: {type: threshold, metric: temperature, unit: degC, direction: below, raise_at: 22}\n    subject: zone",
        "when: {type: rate, metric: temperature, unit: degC, within_s: 60, course: rise, raise_at: 8}",
        "when: {type: rate, metric: temperature, unit: degC, within_s: 60, course: still, raise_at: 1}",
        "when: {type: mean, metric: temperature, unit: degC, within_s: 60, raise_at: 28}",
        "when: {type: forecast, metric: temperature, unit: degC, limit: 40, gate_at: 26, within_s: 600, window_s: 90}",
        """when: {type: forecast, metric: temperature, unit: degC, limit: 40, gate_at: 26,
           within_s: 600, window_s: 90, method: holt}""",
        "when: {type: anomaly, method: robust_z, metric: temperature, unit: degC, floor: 1, learn_s: 300, limit: 3}",
        "when: {type: anomaly, method: ewma, metric: temperature, unit: degC, floor: 1, learn_s: 120, limit: 3}",
        "when: {type: anomaly, method: peers, metric: temperature, unit: degC, floor: 1, limit: 4}\n    subject: zone",
        "when: {type: anomaly, method: cusum, metric: temperature, unit: degC, floor: 1, learn_s: 120, limit: 5}",
        "when: {type: anomaly, method: seasonal, metric: temperature, unit: degC, floor: 1, limit: 2}",
        "when: {type: flatline, metric: temperature, unit: degC, within_s: 60, moved_by: 3, peers: 1}\n    subject: zone",
        """when: {type: any, for_s: 10, of: [{type: threshold, metric: temperature, unit: degC, raise_at: 36},
           {type: threshold, metric: temperature, unit: degC, direction: below, raise_at: 20, for_s: 20}]}""",
        """when: {type: all, of: [{type: threshold, metric: temperature, unit: degC, raise_at: 29},
           {type: rate, metric: temperature, unit: degC, within_s: 60, course: rise, raise_at: 3}]}
    subject: zone""",
    ),
    "access": (
        "when: {type: duration, where: {door_open: true}, for_s: 30, gap_s: 90}",
        "when: {type: match, where: {event: denied}}\n    clear_after_quiet_s: 40",
        "when: {type: count, where: {event: denied}, count: 3, within_s: 120}",
        "when: {type: correlation, within_s: 30, of: [{door_open: true}], devices: 2}\n    subject: zone",
        """when: {type: sequence, happens: {door_open: true}, without: [{event: granted}], before_s: 10, settle_s: 3}
    subject: zone""",
        "when: {type: surplus, more: {event: denied}, than: {event: granted}, by: 2, within_s: 200}\n    subject: zone",
        "when: {type: repeat, again: {event: granted}, ends: {event: denied}, within_s: 600, apart_s: 10}\n    subject: zone",
    ),
    "parking": (
        """when: {type: balance, plus: {event: plate, direction: in}, minus: {event: plate, direction: out}, census: present,
           share: 0.05, at_least: 1}
    subject: zone""",
    ),
}
SYSTEM = """
  - id: silent
    kind: device_offline
    family: system
    colour: blue
    title: {zh: 离线, en: Offline}
    text: {zh: "{device}", en: "{device}"}
    applies_to: {kinds: [environment, access]}
    when: {type: absence, after_s: 120}"""
DEVICES = [
    *(device(f"air-{n}", Kind.ENVIRONMENT, "garage") for n in range(5)),
    *(device(f"door-{n}", Kind.ACCESS, "lobby") for n in range(2)),
    device("gate", Kind.PARKING, "lot"),
]

DAY_S = 86_400
"""For what knows the hours of a day."""

TURNS = 40
"""A tick takes one turn of each state: so many at most are left when all was said, after a start that waits for a first word."""


def text() -> Iterator[str]:
    yield "rules:"
    for kind, whens in WHENS.items():
        for number, when in enumerate(whens):
            yield f"""
  - id: {kind}_{number}
    kind: test
    family: environment
    colour: yellow
    title: {{zh: 试, en: Test}}
    text: {{zh: "{{place}}", en: "{{place}}"}}
    applies_to: {{kinds: [{kind}]}}
    {when}"""
    yield SYSTEM


class Said(NamedTuple):
    after_s: int
    device: int
    value: int


@st.composite
def series(draw: st.DrawFn) -> list[Reading]:
    """What the devices say one after the other: numbers that jump, or wander and drift away, doors, cards, cars, and silence now
    and then."""
    found, at, wide, drift = [], 0.0, *draw(st.sampled_from(((1.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.1, 0.2))))
    steps = st.builds(
        Said,
        st.sampled_from((1, 2, 5, 12, 12, 12, 40, 40, 150, DAY_S)),
        st.sampled_from((0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7)),
        st.integers(18, 40),
    )
    for place, (after_s, number, value) in enumerate(draw(st.lists(steps, min_size=60, max_size=120))):
        at += after_s
        if number < 5:
            found.append(
                reading(at, f"air-{number}", Kind.ENVIRONMENT, {"temperature": 29 + wide * (value - 29) + drift * place})
            )
        elif number == 7:
            passes = {"event": "plate", "direction": "in" if value % 2 else "out"}
            found.append(reading(at, "gate", Kind.PARKING, {"present": value} if value % 3 == 0 else passes))
        elif value % 3:
            found.append(reading(at, f"door-{number - 5}", Kind.ACCESS, {"door_open": value % 3 == 1}))
        else:
            found.append(reading(at, f"door-{number - 5}", Kind.ACCESS, {"event": "granted" if value % 2 else "denied"}))
    return found


class Dying(Database):
    """A disk that fails at the commits that are to fail."""

    fails: Iterator[bool] = iter(())

    async def write(self, change: Callable[[sa.Connection], Any]) -> Any:
        def then_fail(connection: sa.Connection) -> Any:
            change(connection)
            raise OSError("the disk is full")

        return await super().write(then_fail if next(self.fails, False) else change)


async def lived(readings: Sequence[Reading], cuts: Sequence[int], deaths: Sequence[int]) -> list[tuple[Any, ...]]:
    """The journal of a centre that takes readings together as ``cuts`` says and, at ``deaths``, loses what it was judging."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        centre = Centre(Path(folder), rules_of(Path(folder), "\n".join(text())), DEVICES)
        centre.database.close()
        centre.database = database = Dying(Path(folder) / "centre.db")
        await centre.restart()
        for number, group in enumerate(grouped(readings, cuts)):
            if number in deaths:
                database.fails = iter((True,))
                with pytest.raises(OSError, match="full"):
                    await centre.take(*group)
                await centre.restart()
            await centre.take(*group)
        end = round(readings[-1].at - instant(0)) // 1_000_000
        for at_s in (end + 100, *range(end + 2_000, end + 2_000 + TURNS), *range(end + 4_000, end + 4_000 + TURNS)):
            await centre.tick(at_s)
        found = await database.read(_journal)
        assert centre.engine.failures == 0
        database.close()
    return found


def grouped(readings: Sequence[Reading], cuts: Sequence[int]) -> Iterator[list[Arrival]]:
    feed = Feed()
    batches = [feed.batch(one) for one in readings]
    for first, last in zip((0, *cuts), (*cuts, len(batches)), strict=True):
        if batches[first:last]:
            yield batches[first:last]


def _journal(connection: sa.Connection) -> list[tuple[Any, ...]]:
    columns = alert.c.rule, alert.c.subject, alert.c.opened_at, journal.c.transition, journal.c.event_at, journal.c.value
    rows = connection.execute(sa.select(*columns).join(alert, alert.c.id == journal.c.alert))
    return sorted(tuple(row) for row in rows)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_groups_and_restarts_change_no_episode(data: st.DataObject) -> None:
    readings = data.draw(series())
    wanted = await lived(readings, range(1, len(readings)), ())
    cuts = sorted(data.draw(st.sets(st.integers(1, len(readings) - 1), max_size=12)))
    deaths = data.draw(st.sets(st.integers(0, len(cuts))))
    assert await lived(readings, cuts, deaths) == wanted
    assert (
        await lived(readings, range(1, len(readings)), data.draw(st.sets(st.integers(0, len(readings) - 1), max_size=9)))
        == wanted
    )
