"""However readings are delayed, shuffled or repeated, the episodes come to what they would have been in order."""

import random
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from alerts_world import COMMUNITY, REF, Feed, device, instant, reading, rules_of, seconds
from msgspec.structs import replace

from ingest.alerts import AlertEngine, Changed, Rules, Told, load_rules
from ingest.alerts import late as lateness
from ingest.alerts.absence_reviser import AbsenceReviser
from ingest.alerts.episode import Key, alert_id
from ingest.alerts.evidence import AROUND_US, SETTLED_US
from ingest.alerts.evidence_keeper import EvidenceKeeper
from ingest.alerts.past import Past
from ingest.alerts.reviser import Reviser
from ingest.alerts.tables import alert, journal, untold
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import EmbeddedStore
from telemetry.identity import GatewayRef, Scope
from telemetry.metric import Kind
from telemetry.presence import Device
from telemetry.reading import Micros, Reading

RULES = {
    "threshold": """when: {type: threshold, metric: temperature, unit: degC, raise_at: 30, clear_at: 27, for_s: 10,
      clear_for_s: 8}""",
    "threshold_of_samples": "when: {type: threshold, metric: temperature, unit: degC, raise_at: 30, samples: {need: 2, of: 3}}",
    "threshold_staged": """when: {type: threshold, metric: temperature, unit: degC, raise_at: 28, for_s: 5}
    stages:
      - {colour: red, after_s: 20}
      - {colour: orange, when: {type: threshold, metric: temperature, unit: degC, raise_at: 33}}""",
    "threshold_reopened": """when: {type: threshold, metric: temperature, unit: degC, raise_at: 31}
    reopen_s: 30""",
    "duration": "when: {type: duration, where: {temperature: {at_least: 29}}, for_s: 12, gap_s: 700}",
    "rate": "when: {type: rate, metric: temperature, unit: degC, within_s: 30, course: rise, raise_at: 6, gap_s: 900}",
    "mean": "when: {type: mean, metric: temperature, unit: degC, within_s: 60, raise_at: 28, gap_s: 900}",
    "forecast": "when: {type: forecast, metric: temperature, unit: degC, limit: 40, gate_at: 26, within_s: 600, window_s: 90}",
    "holt": """when: {type: forecast, metric: temperature, unit: degC, limit: 40, gate_at: 26, within_s: 600, window_s: 90,
      method: holt}""",
    "robust_z": """when: {type: anomaly, method: robust_z, metric: humidity, unit: "%RH", floor: 1, learn_s: 300, limit: 3}""",
    "all": """when: {type: all, of: [
      {type: threshold, metric: temperature, unit: degC, raise_at: 28},
      {type: threshold, metric: humidity, unit: "%RH", raise_at: 60, for_s: 6}]}""",
    "any": """when: {type: any, for_s: 4, of: [
      {type: threshold, metric: temperature, unit: degC, raise_at: 33},
      {type: threshold, metric: humidity, unit: "%RH", raise_at: 75}]}""",
}
EVENTS = {
    "match": """when: {type: match, where: {event: denied}}
    clear_after_quiet_s: 25""",
    "count": "when: {type: count, where: {event: denied}, count: 3, within_s: 60}",
    "door_held": "when: {type: duration, where: {door_open: true}, for_s: 20}",
}
ZONED = {
    "sequence": """subject: zone
    when: {type: sequence, happens: {door_open: true}, without: [{event: granted}], before_s: 10, settle_s: 3}""",
    "correlation": """subject: zone
    when: {type: correlation, within_s: 15, of: [{event: denied}, {event: granted}]}""",
}
PLACES = [
    device("cellar", Kind.ENVIRONMENT, "down"),
    device("door", Kind.ACCESS, "gate"),
    device("reader", Kind.ACCESS, "gate"),
]
END_S = 400
TICKS = 25
"""At the end: each lets a rule's clock go on to the next instant at which it may turn."""


def text(rules: Iterable[tuple[str, str]], kind: str) -> Iterator[str]:
    for name, when in rules:
        yield f"""
  - id: rule_{name}
    kind: test
    family: environment
    colour: yellow
    title: {{zh: 试, en: Test}}
    text: {{zh: "{{place}} {{value}}", en: "{{place}} {{value}}"}}
    applies_to: {{kinds: [{kind}]}}
    {when}"""


SLOW = 30
"""Seconds of the rules and of what devices say, stretched: nothing flaps, which is told of what comes at once."""


def all_rules(folder: Path) -> Rules:
    parts = (*text(RULES.items(), "environment"), *text((*EVENTS.items(), *ZONED.items()), "access"))
    slow = re.sub(r"_s: (\d+)", lambda found: f"_s: {SLOW * int(found[1])}", "".join(parts))
    return rules_of(folder, f"rules:{slow}")


class World:
    """A centre of a community's own, on files that all of them share."""

    def __init__(self, community: str, rules: Rules, database: Database, store: EmbeddedStore, told: Told = untold) -> None:
        self.ref = GatewayRef(community, REF.gateway)
        self.database = database
        self.now = instant(0)
        self._store = store
        self.engine = AlertEngine(rules, database, self, lambda: None, told)
        past = Past(store, lambda kind: 0)
        absences = AbsenceReviser(rules, database, self, past, lambda: self.now, lambda: None, told)
        self.reviser = Reviser(rules, database, self, past, store.watermarks, self.engine.revise, lambda: self.now, absences)

    def find(self, ref: GatewayRef, name: str) -> Device | None:
        return next((one for one in PLACES if one.id == name), None)

    def zone_of(self, ref: GatewayRef, name: str) -> str:
        found = self.find(ref, name)
        return found.zone if found else ""

    def edition(self, ref: GatewayRef) -> object:
        return PLACES

    def inventory(self, community: str) -> Sequence[tuple[GatewayRef, Device]]:
        return [(self.ref, one) for one in PLACES]

    async def hear(self, arrivals: Sequence[Arrival], at: int) -> None:
        self.now = max(self.now, at)
        mine = [
            one._replace(stream=one.stream._replace(community=self.ref.community), received_at=Micros(self.now))
            for one in arrivals
        ]
        await self.engine.take(mine, self.now)
        await self._store.write(mine)

    async def tick(self, at_s: float) -> None:
        self.now = max(self.now, instant(at_s))
        await self.engine.tick(self.now)

    async def look(self) -> None:
        """Until nothing is left to be looked at."""
        self.now += lateness.LIVE_US
        while await self.reviser.look():
            pass

    async def episodes(self) -> list[tuple[Any, ...]]:
        columns = [alert.c[name] for name in ("rule", "discriminator", "opened_at", "over_at", "count", "value", "colour")]
        mine = sa.select(*columns).where(alert.c.community == self.ref.community, alert.c.state != "withdrawn")
        rows = await self.database.read(lambda connection: connection.execute(mine).all())
        return sorted((rule, key, seconds(since), seconds(until), *rest) for rule, key, since, until, *rest in rows)

    async def told(self) -> list[tuple[str, str, str]]:
        line = sa.select(alert.c.rule, journal.c.transition, journal.c.note).join(alert, alert.c.id == journal.c.alert)
        mine = line.where(alert.c.community == self.ref.community).order_by(journal.c.seq)
        return [tuple(row) for row in await self.database.read(lambda connection: connection.execute(mine).all())]


class Shared(NamedTuple):
    rules: Rules
    database: Database
    store: EmbeddedStore

    def world(self, number: int) -> World:
        return World(f"{int(COMMUNITY) + number:012}", self.rules, self.database, self.store)


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    found = Shared(all_rules(tmp_path), Database(tmp_path / "centre.db"), store)
    yield found
    await store.close()
    found.database.close()


def said(chance: random.Random) -> list[Reading]:
    """What the devices say in the course of some minutes."""
    found: list[Reading] = []
    at, warmth, damp = 0.0, 27.0, 60.0
    while at < END_S:
        at += chance.uniform(1, 9)
        warmth = min(38.0, max(20.0, warmth + chance.uniform(-3, 3)))
        damp = min(95.0, max(40.0, damp + chance.choice((-8, -1, 0, 1, 8))))
        values = {"temperature": round(warmth, 1)} if chance.random() < 0.3 else {"humidity": damp}
        if chance.random() < 0.6:
            values = {"temperature": round(warmth, 1), "humidity": damp}
        found.append(reading(at, "cellar", Kind.ENVIRONMENT, values))
    at, opened = 0.0, False
    while at < END_S:
        at += chance.uniform(2, 20)
        opened = not opened
        found.append(reading(at, "door", Kind.ACCESS, {"door_open": opened}))
        if opened and chance.random() < 0.5:
            found.append(reading(at + chance.uniform(-9, 2.5), "reader", Kind.ACCESS, {"event": "granted"}))
        if chance.random() < 0.4:
            found.append(reading(at + chance.uniform(1, 2), "reader", Kind.ACCESS, {"event": "denied"}))
    slow = (replace(one, at=Micros(instant(0) + SLOW * (one.at - instant(0)))) for one in found)
    return sorted(slow, key=lambda one: one.at)


def batches(readings: Sequence[Reading], feed: Feed, chance: random.Random) -> Iterator[tuple[int, Arrival]]:
    """When each batch is handed over and what is in it: some in time, a part of them late, out of order or twice."""
    shuffled = [
        (one.at + (SLOW * chance.randint(4, 300) * 1_000_000 if chance.random() < 0.25 else 100_000), one) for one in readings
    ]
    for at, one in sorted(shuffled, key=lambda pair: pair[0]):
        yield at, feed.batch(one)
        if chance.random() < 0.1:
            yield at, feed.batch(one)


async def lived_in_order(world: World, readings: Sequence[Reading]) -> list[tuple[Any, ...]]:
    feed = Feed()
    await world.engine.open()
    for one in readings:
        await world.hear([feed.batch(one)], one.at + 100_000)
    for _ in range(TICKS):
        await world.tick(SLOW * END_S + 20_000)
    return await world.episodes()


async def lived_late(world: World, readings: Sequence[Reading], chance: random.Random) -> list[tuple[Any, ...]]:
    """Ticks and looks come in between, as they do."""
    feed = Feed()
    await world.engine.open()
    for at, batch in batches(readings, feed, chance):
        await world.hear([batch], at)
        if chance.random() < 0.3:
            await world.engine.tick(world.now)
        if chance.random() < 0.03:
            await world.look()
    await world.look()
    for _ in range(TICKS):
        await world.tick(SLOW * END_S + 20_000)
    await world.look()
    return await world.episodes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_readings_that_come_late_or_twice_lead_to_the_episodes_that_they_would_have_led_to_in_order(
    shared: Shared, seed: int
) -> None:
    readings = said(random.Random(seed))
    wanted = await lived_in_order(shared.world(2 * seed), readings)
    assert wanted
    world = shared.world(2 * seed + 1)
    found = await lived_late(world, readings, random.Random(-seed - 1))
    assert await world.database.read(lambda connection: lateness.waiting(connection, 10)) == []
    assert [one for one in found if one not in wanted] == [one for one in wanted if one not in found]


async def heard_late(
    world: World, late_s: float, said_late: Sequence[tuple[float, float]], live: Sequence[tuple[float, float]]
) -> None:
    """Temperatures of the cellar: ``live`` in time, then the others, all at once so long after the last of them."""
    feed = Feed()
    await world.engine.open()
    for at, value in live:
        await world.hear([feed.batch(warm(at, value))], instant(at) + 100_000)
    when = instant(max(at for at, _ in said_late) + late_s)
    await world.hear([feed.batch(*(warm(at, value) for at, value in said_late))], when)
    await world.look()


def warm(at: float, value: float) -> Reading:
    return reading(at, "cellar", Kind.ENVIRONMENT, {"temperature": value})


def plain_rules(folder: Path, more: str = "", kind: str = "test", limit: str = "raise_at: 30") -> Rules:
    rule = f"when: {{type: threshold, metric: temperature, unit: degC, {limit}, for_s: 60}}"
    text_ = "rules:" + "".join(text([("warm", f"{rule}\n    {more}")], "environment")).replace("kind: test", f"kind: {kind}")
    return rules_of(folder, text_)


class Heard(NamedTuple):
    transition: str
    state: str
    origin: str


async def lived(
    tmp_path: Path,
    late_s: float,
    said_late: Sequence[tuple[float, float]],
    live: Sequence[tuple[float, float]],
    *,
    life_safety: bool = False,
    more: str = "",
    limit: str = "raise_at: 30",
) -> tuple[list[Heard], list[dict[str, Any]]]:
    """What people were told, and the alerts as they stand."""
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    rules = plain_rules(tmp_path, more, limit=limit)
    if life_safety:
        shipped = load_rules([Path("config/rules/kinds.yaml")]).kinds["smoke"]
        rules.kinds = {"test": replace(shipped, id="test", life_safety=True)}
    database = Database(tmp_path / "centre.db")
    told: list[Heard] = []

    def hear(connection: sa.Connection, changed: Changed) -> None:
        told.append(Heard(changed.transition, changed.alert.state, changed.alert.origin))

    await heard_late(World(COMMUNITY, rules, database, store, hear), late_s, said_late, live)
    rows = await database.read(lambda connection: [dict(row) for row in connection.execute(sa.select(alert)).mappings()])
    await store.close()
    database.close()
    return told, rows


COOL = [(0.0, 20.0), (5_000.0, 20.0)]
HOT = [(1_000.0, 35.0), (1_100.0, 35.0), (1_200.0, 20.0)]
"""Over for long before the cellar's newest word."""


async def test_what_is_over_when_it_becomes_known_late_is_cleared_and_told_to_nobody(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 3_900, HOT, COOL, more="lateness: {late_s: 7200}")
    assert (row["state"], row["origin"], seconds(row["opened_at"]), seconds(row["over_at"])) == ("cleared", "", 1_060, 1_200)
    assert told == []


async def test_what_is_historical_is_born_closed_and_told_with_others_alike(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 3_900, HOT, COOL)
    assert (row["state"], row["origin"], row["told"]) == ("closed", "backfill", False)
    assert told == [Heard("past", "closed", "backfill")]


async def test_what_a_review_opens_has_its_evidence_like_any_other(tmp_path: Path) -> None:
    """Readings around its beginning, whatever came since; the rule's text, the clause, and how device and gateway were then."""
    store = EmbeddedStore(tmp_path / "telemetry.duckdb")
    await store.open()
    dated = "raise_at: 30, dated: [{raise_at: 30, clause: GB 1-2020 4.8, valid_from: 2020-01-01}]"
    database = Database(tmp_path / "centre.db")
    world = World(COMMUNITY, plain_rules(tmp_path, limit=dated), database, store)
    feed = Feed()
    await world.engine.open()
    await world.hear([feed.batch(reading(940, REF.gateway, Kind.GATEWAY, {"uptime": 77.0}))], instant(941))
    await heard_late(world, 3_900, HOT, COOL)
    keeper = EvidenceKeeper(database, store, world, lambda: world.now)
    assert await keeper.gather(world.now + AROUND_US + SETTLED_US) == 1
    [id] = await database.read(lambda connection: list(connection.scalars(sa.select(alert.c.id))))
    kept = await keeper.of(Scope([COMMUNITY]), id)
    assert kept is not None
    assert kept.evidence is not None
    assert [(seconds(one.at), one.value) for one in kept.evidence.readings] == [(at, value) for at, value in HOT]
    assert [(one.metric, one.value) for one in kept.evidence.gateway] == [("uptime", 77.0)]
    assert kept.evidence.qualities == {"good": 3}
    assert kept.alert.clause == "GB 1-2020 4.8"
    assert '"id":"rule_warm"' in kept.rule_text
    await store.close()
    database.close()


async def test_of_life_and_death_people_hear_once_however_late(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 3_900, HOT, COOL, life_safety=True)
    assert row["state"] == "closed"
    assert told == [Heard("opened", "closed", "backfill")]


async def test_what_comes_later_than_history_changes_nothing(tmp_path: Path) -> None:
    told, rows = await lived(tmp_path, 3_900, HOT, COOL, life_safety=True, more="lateness: {late_s: 60, historical_s: 3600}")
    assert (told, rows) == ([], [])


async def test_what_still_stands_is_told_however_late_it_is_known_to_have_begun(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 3_980, [(1_000.0, 35.0)], [(0.0, 20.0), (4_990.0, 36.0)])
    assert (row["state"], seconds(row["opened_at"]), row["over_at"]) == ("open", 1_060, None)
    assert told == [Heard("opened", "open", "")]


ARCHIVE = "lateness: {late_s: 60, historical_s: 600}"


async def test_what_still_stands_is_told_also_later_than_history(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 3_980, [(1_000.0, 35.0)], [(0.0, 20.0), (4_990.0, 36.0)], more=ARCHIVE)
    assert (row["state"], seconds(row["opened_at"]), row["over_at"]) == ("open", 1_060, None)
    assert told == [Heard("opened", "open", "")]


async def test_what_was_taken_to_stand_is_ended_also_later_than_history(tmp_path: Path) -> None:
    band = "raise_at: 30, clear_at: 25"
    live = [(0.0, 20.0), (1_000.0, 35.0), (1_100.0, 35.0), (4_990.0, 27.0)]
    told, [row] = await lived(tmp_path, 3_500, [(1_200.0, 20.0)], live, more=ARCHIVE, limit=band)
    assert (row["state"], seconds(row["opened_at"]), seconds(row["over_at"])) == ("cleared", 1_060, 1_200)
    assert [one.transition for one in told] == ["opened", "amended"]


async def test_when_something_ended_long_ago_is_put_right_no_more(tmp_path: Path) -> None:
    live = [(0.0, 20.0), (1_000.0, 35.0), (1_100.0, 35.0), (1_300.0, 20.0), (4_990.0, 20.0)]
    told, [row] = await lived(tmp_path, 3_500, [(1_200.0, 20.0)], live, more=ARCHIVE)
    assert (row["state"], seconds(row["over_at"])) == ("cleared", 1_300)
    assert [one.transition for one in told] == ["opened", "cleared"]


async def test_an_alert_that_late_readings_refute_is_withdrawn_and_who_heard_of_it_hears_that(tmp_path: Path) -> None:
    told, [row] = await lived(tmp_path, 5_000, [(1_030.0, 20.0)], [(0.0, 20.0), (1_000.0, 35.0), (1_100.0, 20.0)])
    assert (row["state"], row["withdrawn_at"] is not None) == ("withdrawn", True)
    assert [one.transition for one in told] == ["opened", "cleared", "withdrawn"]


async def test_an_amended_alert_keeps_its_id_and_the_journal_what_was_said_first(tmp_path: Path) -> None:
    live = [(0.0, 20.0), (1_000.0, 35.0), (1_090.0, 35.0), (2_000.0, 20.0)]
    _, [row] = await lived(tmp_path, 5_000, [(900.0, 35.0)], live)
    assert row["id"] == alert_id(Key("rule_warm", COMMUNITY, f"{REF.gateway}/cellar"), instant(1_060))
    assert seconds(row["opened_at"]) == 960
    assert row["state"] == "cleared"
