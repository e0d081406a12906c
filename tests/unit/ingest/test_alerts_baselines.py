"""What goes by all that was ever said is put right too, from a state that was kept before the late readings."""

import random
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alerts_world import COMMUNITY, REF, Feed, Inventory, device, instant, reading, rules_of, seconds

from ingest.alerts import AlertEngine, Rules, baselines
from ingest.alerts import late as lateness
from ingest.alerts.absence_reviser import AbsenceReviser
from ingest.alerts.baselines import EVERY_US, HOUR_US, KEEP_US
from ingest.alerts.episode import Key
from ingest.alerts.hindsight import Hindsight
from ingest.alerts.past import Past
from ingest.alerts.reviser import Reviser
from ingest.alerts.tables import alert
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import EmbeddedStore
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.reading import Micros, Reading

CELLAR = device("cellar", Kind.ENVIRONMENT, "down")
WHENS = {
    "ewma": "{type: anomaly, method: ewma, metric: humidity, unit: '%RH', floor: 3, learn_s: 86400, limit: 3}",
    "cusum": "{type: anomaly, method: cusum, metric: humidity, unit: '%RH', floor: 3, learn_s: 86400, limit: 5, for_s: 1200}",
    "seasonal": "{type: anomaly, method: seasonal, metric: humidity, unit: '%RH', floor: 1, limit: 3}",
    "joined": """{type: all, of: [{type: threshold, metric: temperature, unit: degC, raise_at: 25},
      {type: anomaly, method: ewma, metric: humidity, unit: '%RH', floor: 3, learn_s: 86400, limit: 3}]}""",
}
HOUR = 3_600
KNOWN_H, END_H = 10 * 24, 11 * 24
"""What is said up to the first is in time; readings between them come late, as it happens."""


def text(more: str = "") -> Iterator[str]:
    yield "rules:"
    for name, when in WHENS.items():
        yield f"""
  - id: rule_{name}
    kind: test
    family: environment
    colour: yellow
    title: {{zh: 试, en: Test}}
    text: {{zh: "{{place}}", en: "{{place}}"}}
    applies_to: {{kinds: [environment]}}
    lateness: {{late_s: 86400, historical_s: 864000}}
    when: {when}
    {more}"""


def said(chance: random.Random, first_h: int, last_h: int) -> list[Reading]:
    """Damp that has its hours, wanders a little, and in the end is now and then what it never was."""
    found = []
    for minute in range(first_h * 60, last_h * 60, 20):
        hour = minute // 60 % 24
        damp = 50.0 + (2 if 6 <= hour < 9 else 0) + chance.choice((-1, 0, 0, 1))
        if minute >= KNOWN_H * 60 and minute // 180 % 3 == 1:
            damp += chance.choice((9, 14, 20))
        values = {"humidity": damp, "temperature": 20.0 + hour / 2}
        found.append(reading(minute * 60 + chance.randint(0, 30), "cellar", Kind.ENVIRONMENT, values))
    return found


class There(Inventory):
    def find(self, ref: GatewayRef, device: str) -> Device | None:
        return self.devices.get(device)

    def inventory(self, community: str) -> Sequence[tuple[GatewayRef, Device]]:
        return [(GatewayRef(community, REF.gateway), one) for one in self.devices.values()]


class World:
    def __init__(self, community: str, rules: Rules, database: Database, store: EmbeddedStore) -> None:
        self.community = community
        self.now = instant(0)
        self.database = database
        self._store = store
        self._feed = Feed()
        there, past = There([CELLAR]), Past(store, lambda kind: 0)
        self.engine = AlertEngine(rules, database, there, lambda: None)
        absences = AbsenceReviser(rules, database, there, past, self.clock, lambda: None)
        revise = self.engine.revise
        self.hindsight = Hindsight(rules, database, there, past)
        self.reviser = Reviser(rules, database, there, past, store.watermarks, revise, self.clock, absences)

    def clock(self) -> int:
        return self.now

    async def hear(self, readings: Iterable[Reading], at: int, *, is_stored: bool = True) -> None:
        self.now = max(self.now, at)
        batch = self._feed.batch(*readings)
        stream = batch.stream._replace(community=self.community)
        arrivals: list[Arrival] = [batch._replace(stream=stream, received_at=Micros(self.now))]
        await self.engine.take(arrivals, self.now)
        if is_stored:
            await self._store.write(arrivals)
        else:
            self._feed.epoch += 1  # a store takes a stream from its beginning on

    async def look(self) -> None:
        self.now += lateness.LIVE_US
        while await self.reviser.look():
            pass

    async def written(self) -> None:
        """Every state is, as soon as anything comes when the trail to it is old."""
        at = self.now + 3 * 60_000_000
        await self.hear([reading(seconds(at) or 0, REF.gateway, Kind.GATEWAY, {"uptime": 1.0})], at)

    async def episodes(self) -> list[tuple[Any, ...]]:
        columns = [alert.c[name] for name in ("rule", "opened_at", "over_at", "count", "value", "limit")]
        mine = sa.select(*columns).where(alert.c.community == self.community, alert.c.state != "withdrawn")
        rows = await self.database.read(lambda connection: connection.execute(mine).all())
        return sorted((rule, seconds(since), seconds(until), *rest) for rule, since, until, *rest in rows)


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[list[World]]:
    store, rules = EmbeddedStore(tmp_path / "telemetry.duckdb"), rules_of(tmp_path, "\n".join(text()))
    await store.open()
    found = [
        World(f"{int(COMMUNITY) + number:012}", rules, Database(tmp_path / f"centre-{number}.db"), store) for number in range(2)
    ]
    yield found
    await store.close()
    for one in found:
        one.database.close()


async def learnt(world: World, readings: Sequence[Reading]) -> None:
    """In time, and kept."""
    await world.engine.open()
    await world.hear(readings, readings[-1].at)
    await world.written()
    await world.reviser.keep()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_a_baseline_goes_on_from_before_what_came_late(worlds: list[World], seed: int) -> None:
    before, after = said(random.Random(seed), 0, KNOWN_H), said(random.Random(seed + 100), KNOWN_H, END_H)
    in_order, late = worlds
    await learnt(in_order, before)
    for one in after:
        await in_order.hear([one], one.at)
    wanted = await in_order.episodes()
    assert {rule for rule, *_ in wanted} == {f"rule_{name}" for name in WHENS}
    await learnt(late, before)
    chance = random.Random(seed)
    when = [(one.at + (HOUR_US * chance.randint(1, 9) if chance.random() < 0.3 else 0), one) for one in after]
    for at, one in sorted(when, key=lambda pair: pair[0]):
        await late.hear([one], at)
        if chance.random() < 0.1:
            await late.look()
    await late.look()
    assert await late.episodes() == wanted


async def test_without_a_state_from_before_nothing_is_changed(worlds: list[World]) -> None:
    world, _ = worlds
    await world.hear(said(random.Random(1), 0, KNOWN_H), instant(KNOWN_H * HOUR))
    after = said(random.Random(2), KNOWN_H, END_H)
    await world.hear(after[1::2], after[-1].at)
    before = await world.episodes()
    await world.hear(after[::2], after[-1].at)
    await world.look()
    assert await world.episodes() == before


async def test_an_alert_of_what_learns_is_explained_by_what_it_knew_then(worlds: list[World]) -> None:
    """Also when the readings that it learnt from are kept no more."""
    world, _ = worlds
    await world.engine.open()
    before, after = said(random.Random(1), 0, KNOWN_H), said(random.Random(2), KNOWN_H, END_H)
    await world.hear(before, before[-1].at, is_stored=False)
    await world.written()
    await world.reviser.keep()
    await world.hear(after, after[-1].at)
    first = sa.select(alert.c.id).where(alert.c.rule == "rule_ewma").order_by(alert.c.opened_at).limit(1)
    id = await world.database.read(lambda connection: connection.scalar(first))
    assert id is not None
    found = await world.hindsight.explain(Scope([COMMUNITY]), id)
    assert found is not None
    assert [one.change for one in found.trace if one.change] == ["raise"]


KEY = Key("rule_ewma", COMMUNITY, f"{REF.gateway}/cellar")


async def kept(world: World, before: int = 1 << 62) -> list[int]:
    return [at for at, _ in (await world.database.read(lambda one: baselines.find(one, KEY, before))).values()]


async def test_a_state_is_kept_twice_a_day_and_for_three_days(worlds: list[World]) -> None:
    world, _ = worlds
    readings = said(random.Random(1), 0, KNOWN_H)
    for first in range(0, len(readings), 36):
        await learnt(world, readings[first : first + 36])
    rows = await world.database.read(lambda one: one.execute(sa.text("select slot, at from alert_baseline")).all())
    slots = sorted({slot for slot, _ in rows})
    assert slots == list(range(slots[-1] - KEEP_US // EVERY_US, slots[-1] + 1))


@pytest.mark.both_databases
async def test_all_are_kept_a_few_at_a_time(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "TOGETHER", 1)
    world, _ = worlds
    await learnt(world, said(random.Random(1), 0, 24))
    rules = await world.database.read(lambda one: one.execute(sa.text("select rule from alert_baseline")).scalars().all())
    assert sorted(rules) == sorted(f"rule_{name}" for name in WHENS)


async def test_what_late_readings_have_overtaken_is_a_beginning_no_more(worlds: list[World]) -> None:
    world, _ = worlds
    readings = said(random.Random(1), 0, KNOWN_H)
    missing, rest = readings[-20:-10], [*readings[:-20], *readings[-10:]]
    await learnt(world, rest[:-200])
    early = await kept(world)
    await learnt(world, rest[-200:])
    assert await kept(world) != early
    await world.hear(missing, world.now)
    await world.look()
    assert await kept(world) == early


async def test_a_state_that_stands_for_an_alert_is_not_kept(worlds: list[World]) -> None:
    world, _ = worlds
    await world.hear(said(random.Random(1), 0, KNOWN_H), instant(KNOWN_H * HOUR))
    high = [reading(KNOWN_H * HOUR + 60 * place, "cellar", Kind.ENVIRONMENT, {"humidity": 99.0}) for place in range(1, 9)]
    await world.hear(high, high[-1].at)
    assert [rule for rule, *_ in await world.episodes()].count("rule_ewma") == 1
    await world.written()
    await world.reviser.keep()
    assert await kept(world) == []
