"""What says who was where goes when its time is over, wherever it is: looked for in everything that the centre keeps.

Gateways that send plates and cards in the clear are the worst case; most send them masked.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ingest.alerts import AlertEngine, AlertFilter, Alerts
from ingest.alerts.evidence_keeper import EvidenceKeeper
from ingest.alerts.loading import load_rules
from ingest.alerts.standing import standing_of
from ingest.arrival import Arrival
from ingest.cases import CaseFilter, Person, Terms, WorkOrders
from ingest.cases import move as moves
from ingest.cases.hours import AroundTheClock
from ingest.database import Database, Place, metadata
from ingest.deadletter import DeadLetter, set_aside
from ingest.expiry import Expiry
from ingest.history import History, Retention
from ingest.notify import outbox
from ingest.registry import Registry
from ingest.store import Query, open_store
from ingest.tokens import Role
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory
from telemetry.privacy import reference
from telemetry.reading import Micros, Reading
from tests.servers import Server, influxdb

COMMUNITY = "411202002001"
REF = GatewayRef(COMMUNITY, "gw-1")
ALL = Scope(["41"])
KEY = b"k" * 32
DESK = Person("zhihui", "刘指挥", Role.DISPATCHER, "zhihui")
DAY = 24 * 3_600_000_000
NOW = 1_790_000_000_000_000
CARD, PLATE = "A1B2C3D4", "京A12345"
CLEAR = (CARD.encode(), PLATE.encode())
HASHES = (reference(CARD, KEY).encode(), reference(PLATE, KEY).encode())

REMEMBERED = {"alert_rule_state", "alert_trail"}
"""What rules remember for as long as their windows are."""

RULES = """
lists:
  - {id: cards, file: cards.txt}
  - {id: plates, file: plates.txt}
rules:
  - {id: card_blocked, kind: credential_blacklisted, family: access, colour: red, case: auto,
     title: {zh: 挂失, en: Blocked}, text: {zh: "凭证 {value}", en: "Card {value}"},
     applies_to: {kinds: [access]}, discriminator: credential_ref, clear_after_quiet_s: 600,
     when: {type: match, where: {event: [granted]}, metric: credential_ref, list: cards, show: credential}}
  - {id: plate_blocked, kind: plate_blacklist, family: parking, colour: red, case: auto,
     title: {zh: 黑名单, en: Blocked}, text: {zh: "车辆 {value}", en: "Plate {value}"},
     applies_to: {kinds: [parking]}, discriminator: plate_ref, clear_after_quiet_s: 600,
     when: {type: match, where: {event: [plate]}, metric: plate_ref, list: plates, show: plate}}
  - {id: too_hot, kind: too_hot, family: environment, colour: yellow, title: {zh: 热, en: Hot}, text: {zh: 热, en: Hot},
     applies_to: {kinds: [environment]}, when: {type: threshold, metric: temperature, unit: degC, raise_at: 40}}
"""
DEVICES = [
    Device(id="b3-door", kind=Kind.ACCESS, profile="x"),
    Device(id="gate-1", kind=Kind.PARKING, profile="x"),
    Device(id="garage", kind=Kind.ENVIRONMENT, profile="x", metrics={"temperature": "degC"}),
]


@pytest.fixture(scope="module", params=["duckdb", "influxdb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | None]:
    if request.param == "duckdb":
        yield None
        return
    with influxdb(tmp_path_factory.mktemp("server")) as running:
        yield running


class Centre:
    """The rooms in which anything about people is kept, with a clock set by hand."""

    def __init__(self, database: Database, folder: Path, spec: str) -> None:
        self.now = NOW
        self.database = database
        for name, one in (("rules.yaml", RULES), ("cards.txt", CARD), ("plates.txt", PLATE)):
            (folder / name).write_text(one, encoding="utf-8")
            (folder / name).chmod(0o600)
        rules = load_rules([folder / "rules.yaml"], {COMMUNITY: KEY})
        self.history = History(
            open_store(spec, folder, database), database, Retention(personal_days=30), lambda: Micros(self.now)
        )
        self.registry = Registry(database)
        self.engine = AlertEngine(rules, database, self.registry, lambda: None, self._told)
        self.standing = standing_of(database)
        self.alerts = Alerts(database)
        self.orders = WorkOrders(database, Terms(AroundTheClock()), ["card_blocked", "plate_blocked"])
        self.evidence = EvidenceKeeper(database, self.history.store, self.registry, lambda: self.now)
        self.expiry = Expiry(database, self.history.personal_cut)
        self._seq = 0

    def _told(self, connection: sa.Connection, changed: Any) -> None:
        outbox.enqueue(connection, changed, ["platform"])

    async def open(self) -> None:
        await self.history.store.open()
        await self.history.open()
        await self.engine.open()
        self.registry.take_inventory(REF, Inventory(at=NOW, hash="", devices=DEVICES))

    async def say(self, device: str, kind: Kind, **values: Any) -> None:
        self._seq += 1
        event = f"{device}:{self._seq}" if "event" in values else None
        reading = Reading(device=device, kind=kind, at=Micros(self.now), values=values, event_id=event)
        arrival = Arrival(Stream(*REF, "0" * 16, "bulk"), self._seq, (reading,), Micros(self.now))
        await self.engine.take([arrival], Micros(self.now))
        assert not await self.history.store.write([arrival])

    async def something_happens(self) -> None:
        """A blocked card and a blocked car are seen, and it is hot; people hear of it, and something cannot be read."""
        await self.say("garage", Kind.ENVIRONMENT, temperature=45.0)
        await self.say("b3-door", Kind.ACCESS, event="granted", credential=CARD, credential_ref=reference(CARD, KEY))
        await self.say("gate-1", Kind.PARKING, event="plate", plate=PLATE, plate_ref=reference(PLATE, KEY))
        await set_aside(self.database, [DeadLetter(REF, "topic", "not JSON", f'{{"plate": "{PLATE}'.encode())], Micros(self.now))
        await self.orders.follow(self.now)
        self.now += DAY // 24
        assert await self.evidence.gather(self.now) == 3
        notices = await outbox.Outbox(self.database, "platform").due(self.now, 100)
        await outbox.Outbox(self.database, "platform").sent(notices, self.now)

    async def pass_days(self, days: int) -> None:
        """The world goes on; what is past its time goes, hour by hour if a centre runs."""
        self.now += days * DAY
        await self.say("garage", Kind.ENVIRONMENT, temperature=20.0)
        await self.engine.tick(self.now + 60_000_000)
        await self.orders.follow(self.now)
        while await self.history._thinner.step():  # its loops wait; a test takes their steps
            pass
        await self.history._sweeper.sweep()
        await self.expiry.sweep()

    async def kept(self) -> dict[str, bytes]:
        """All that the database holds, by table; what is packed is unpacked."""

        def read(connection: sa.Connection) -> dict[str, bytes]:
            return {
                name: b"\n".join(_plain(value) for row in connection.execute(sa.select(table)) for value in row)
                for name, table in metadata.tables.items()
            }

        return await self.database.read(read)

    async def holding(self, *secrets: bytes) -> set[str]:
        """The tables in which any of these stands."""
        return {name for name, held in (await self.kept()).items() if any(secret in held for secret in secrets)}


def _plain(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


@pytest.fixture
async def centre(place: Place, tmp_path: Path, server: Server | None) -> AsyncIterator[Centre]:
    database = Database(place)
    name = "sqlite" if isinstance(place, Path) else "postgresql"
    centre = Centre(database, tmp_path, "duckdb" if server is None else f"influx:{server.url}/{name}_{abs(hash(tmp_path))}")
    await centre.open()
    yield centre
    await centre.history.store.close()
    database.close()


async def _closed(centre: Centre, id: str) -> None:
    case = await centre.orders.get(ALL, id)
    assert case is not None
    await centre.orders.move(ALL, id, case.version, moves.Cancel(reason="核实无误"), DESK, centre.now, centre.now)


async def test_when_its_time_is_over_nothing_says_who_was_where_and_what_happened_stays(centre: Centre) -> None:
    await centre.something_happens()
    page, _ = await centre.alerts.page(ALL, AlertFilter(), None, 10)
    assert sorted((one.kind, one.value) for one in page) == [
        ("credential_blacklisted", "A1****D4"),
        ("plate_blacklist", "京A·****5"),
        ("too_hot", 45.0),
    ]
    assert await centre.holding(*CLEAR) - REMEMBERED == {"alert_evidence", "dead_letter"}, "alerts and what follows are masked"
    assert await centre.holding(*HASHES) >= {"alert", "alert_evidence", "work_order"}
    assert not await centre.holding(*HASHES) & {"alert_journal", "work_order_journal", "notification"}, "what stays for ever"

    await centre.pass_days(1)  # now the centre knows what time it is; keeping less counts after three days
    await centre.pass_days(28)
    assert await centre.holding(*CLEAR) - REMEMBERED == {"alert_evidence", "dead_letter"}
    assert {row.kind for row in await centre.history.store.read(Query(("41",)))} >= {Kind.ACCESS, Kind.PARKING}
    for case in (await centre.orders.page(ALL, CaseFilter(), None, 10))[0]:
        await _closed(centre, case.id)
    await centre.pass_days(3)

    assert await centre.holding(*CLEAR, *HASHES) == set()
    assert {row.kind for row in await centre.history.store.read(Query(("41",)))} == {Kind.ENVIRONMENT}
    kept = {one.kind: await centre.evidence.of(ALL, one.id) for one in page}
    assert {
        kind: (one.evidence.forgotten, bool(one.evidence.readings)) for kind, one in kept.items() if one and one.evidence
    } == {
        "credential_blacklisted": (True, False),
        "plate_blacklist": (True, False),
        "too_hot": (False, True),
    }
    assert (await centre.standing.chronicle.check()).broken is None
    assert (await centre.orders.check()).broken is None
    assert len((await centre.alerts.page(ALL, AlertFilter(), None, 10))[0]) == 3
    assert len((await centre.orders.page(ALL, CaseFilter(), None, 10))[0]) == 2


async def test_a_work_order_that_is_open_keeps_what_joins_the_next_alert_to_it(centre: Centre) -> None:
    await centre.something_happens()
    await centre.pass_days(1)
    await centre.pass_days(60)
    assert await centre.holding(*HASHES) == {"work_order"}
    await centre.say("b3-door", Kind.ACCESS, event="granted", credential=CARD, credential_ref=reference(CARD, KEY))
    await centre.orders.follow(centre.now)
    cases = (await centre.orders.page(ALL, CaseFilter(), None, 10))[0]
    assert sorted(len(case.alerts) for case in cases) == [1, 2]
