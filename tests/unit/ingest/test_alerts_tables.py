"""Every table of ``tests/rules``: the series of each case raises just the expected episodes, however it is delivered.

Each case runs as it is, with a restart before every batch, with every batch twice and its readings three times, without
ticks between the readings, and all at once as after an outage.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alerts_world import BASE, COMMUNITY, KEY, Centre, Feed, device, instant, reading, seconds

from ingest.alerts import Alert, AlertState, load_rules
from ingest.arrival import Arrival
from telemetry.document import read
from telemetry.metric import Kind, Value

TABLES = sorted((Path(__file__).parents[2] / "rules").glob("*.yaml"))


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    kind: Kind
    zone: str = ""
    profile: str = "test"
    interval_s: float | None = None


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading, ``at`` in seconds; ``silent``: the gateway says the device does not answer; ``stale``: of unknown age."""

    at: float
    device: str
    values: dict[str, Value] = {}
    silent: bool = False
    stale: bool = False


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cleared`` missing: its condition still holds, or it is latched."""

    rule: str
    device: str
    opened: float
    cleared: float | None = None
    count: int = 1
    value: Value | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``beats``: from when to when the gateway speaks of itself, every 5 s; ``epochs``: when its agent restarts."""

    name: str
    series: tuple[Said, ...]
    until: float
    expect: tuple[Expected, ...]
    beats: tuple[tuple[float, float], ...] = ()
    epochs: tuple[float, ...] = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    devices: tuple[Place, ...]
    cases: tuple[Case, ...]
    files: tuple[str, ...] = ()
    rules: Any = None


def _cases() -> Iterator[Any]:
    for file in TABLES:
        table = read(file.read_text(encoding="utf-8"), str(file), Table)
        for case in table.cases:
            yield pytest.param(file, table, case, id=f"{file.stem}: {case.name}")


def _arrivals(table: Table, case: Case) -> list[Arrival]:
    kinds = {place.id: place.kind for place in table.devices}
    said = [
        reading(one.at, one.device, kinds[one.device], one.values, "silent" if one.silent else "stale" if one.stale else "")
        for one in case.series
    ]
    for start, end in case.beats or ((0.0, case.until),):
        said += [reading(start + 5 * n + 0.5, "gw-test-1", Kind.GATEWAY, {"unsent": 0}) for n in range(int((end - start) // 5))]
    feed = Feed()
    arrivals = []
    for one in sorted(said, key=lambda one: one.at):
        feed.epoch = 1 + sum(instant(epoch) <= one.at for epoch in case.epochs)
        arrivals.append(feed.batch(one))
    return arrivals


def _centre(folder: Path, file: Path, table: Table) -> Centre:
    paths = [(file.parent / name).resolve() for name in table.files]
    if table.rules is not None:
        own = folder / "own.yaml"
        own.write_text(json.dumps({"rules": table.rules}), encoding="utf-8")
        paths.append(own)
    places = [device(one.id, one.kind, one.zone, profile=one.profile, interval_s=one.interval_s) for one in table.devices]
    return Centre(folder, load_rules(paths, {COMMUNITY: KEY}), places)


async def _deliver(centre: Centre, arrivals: list[Arrival], case: Case, variant: str) -> None:
    if variant == "one take":
        await centre.take(*arrivals)
    now = 0.0
    for arrival in arrivals if variant != "one take" else ():
        received = (arrival.received_at - BASE) / 1e6
        while variant != "no ticks" and now < received:
            await centre.tick(now)
            now += 1.0
        if variant == "restarts":
            await centre.restart()
        if variant == "twice":
            await centre.take(arrival._replace(seq=2 * arrival.seq - 1))
            await centre.take(arrival._replace(seq=2 * arrival.seq - 1))
            arrival = arrival._replace(seq=2 * arrival.seq)
        await centre.take(arrival)
    for _ in range(4):
        await centre.tick(case.until)


def _shown(alert: Alert) -> Expected:
    over = None if alert.state is AlertState.OPEN else seconds(alert.cleared_at)
    return Expected(alert.rule, alert.device, seconds(alert.opened_at) or 0.0, over, alert.count, alert.value)


@pytest.mark.parametrize("variant", ["plain", "restarts", "twice", "no ticks", "one take"])
@pytest.mark.parametrize(("file", "table", "case"), list(_cases()))
async def test_a_series_raises_the_expected_episodes_however_it_is_delivered(
    tmp_path: Path, file: Path, table: Table, case: Case, variant: str
) -> None:
    centre = _centre(tmp_path, file, table)
    try:
        await centre.engine.open()
        await _deliver(centre, _arrivals(table, case), case, variant)
        found = sorted((_shown(alert) for alert in await centre.all()), key=lambda one: (one.opened, one.rule, one.device))
        assert centre.engine.failures == 0
    finally:
        centre.close()
    assert found == sorted(case.expect, key=lambda one: (one.opened, one.rule, one.device))
