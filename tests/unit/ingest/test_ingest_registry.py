import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest import registry as room
from ingest.arrival import Arrival
from ingest.database import Database
from ingest.registry import Registry
from telemetry.batch import Lane
from telemetry.errors import StoreUnavailable
from telemetry.identity import GatewayRef, Scope, Stream
from telemetry.metric import Kind, Value
from telemetry.presence import Device, Inventory, Span, State, Words
from telemetry.quality import Quality
from telemetry.reading import Micros, Reading

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800_000_000
REF = GatewayRef("411202002001", "gw-jianye-1")
ELSEWHERE = GatewayRef("420102001001", "gw-wuhan-1")
DOOR = Device(
    id="b3-roof-door", kind=Kind.ACCESS, profile="zigbee2mqtt-contact", zone="b3-roof", place=Words(zh="3号楼顶", en="B3 roof")
)
METER = Device(id="b3-meter", kind=Kind.ENERGY, profile="eastron-sdm630", metrics={"voltage_l1": "V"})


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "centre.db")
    yield database
    database.close()


@pytest.fixture
async def registry(database: Database) -> Registry:
    registry = Registry(database)
    await registry.open()
    return registry


def inventory(*devices: Device) -> Inventory:
    return Inventory(at=NOW, hash="0" * 16, devices=list(devices))


def arrival(*readings: Reading, ref: GatewayRef = REF, received_at: int = NOW) -> Arrival:
    return Arrival(Stream(*ref, "0" * 16, "bulk"), 1, readings, Micros(received_at))


def reading(
    device: str = "b3-meter",
    at: int = NOW - 1000,
    kind: Kind = Kind.ENERGY,
    values: dict[str, Value] | None = None,
    quality: Quality = Quality.GOOD,
) -> Reading:
    return Reading(device=device, kind=kind, at=at, values={"voltage_l1": 230.0} if values is None else values, quality=quality)


async def test_a_gateways_word_is_known_again_after_a_restart(database: Database, registry: Registry) -> None:
    registry.take_state(REF, State(online=True, at=NOW, software="0.1.0"), NOW + 5)
    registry.take_inventory(REF, inventory(DOOR, METER))
    await registry.write()
    again = Registry(database)
    await again.open()
    assert again.gateways(Scope(["41"])) == registry.gateways(Scope(["41"]))
    assert again.devices(Scope(["41"])) == registry.devices(Scope(["41"]))
    assert again.gateways(Scope(["41"]))[0].since == NOW + 5
    assert again.find(REF, "b3-roof-door") == DOOR


async def test_a_hello_alone_is_known_and_not_written(database: Database, registry: Registry) -> None:
    registry.take_state(REF, State(online=True, at=NOW), NOW)
    await registry.write()
    hello = State(online=True, at=NOW + 9, hello=[Span("0" * 16, Lane.BULK, 7, 9)])
    registry.take_state(REF, hello, NOW + 9)
    assert registry.states(Scope(["41"]))[REF] == (NOW + 9, hello)
    assert not registry._unwritten
    registry.take_state(REF, State(online=False, at=NOW), NOW + 20)
    await registry.write()
    again = Registry(database)
    await again.open()
    assert [gateway.online for gateway in again.gateways(Scope(["41"]))] == [False]


@pytest.mark.sqlite_file
async def test_a_word_that_could_not_be_written_is_written_later(database: Database, registry: Registry, tmp_path: Path) -> None:
    registry.take_state(REF, State(online=True, at=NOW), NOW)
    with sqlite3.connect(tmp_path / "centre.db") as other:
        other.execute("ALTER TABLE gateway_presence RENAME TO away")
    with pytest.raises(StoreUnavailable):
        await registry.write()
    with sqlite3.connect(tmp_path / "centre.db") as other:
        other.execute("ALTER TABLE away RENAME TO gateway_presence")
    await registry.write()
    again = Registry(database)
    await again.open()
    assert len(again.gateways(Scope(["41"]))) == 1


async def test_of_several_words_in_one_batch_the_newest_counts_whatever_their_order(registry: Registry) -> None:
    registry.take_inventory(REF, inventory(METER))
    newest = reading(at=NOW - 100)
    registry.seen([arrival(reading(at=NOW - 300), newest, reading(at=NOW - 200))])
    assert registry.devices(Scope(["41"]))[0].last_seen == NOW - 100
    silent = reading(at=NOW - 50, values={}, quality=Quality.BAD)
    registry.seen([arrival(reading(at=NOW - 80), silent, reading(at=NOW - 60))])
    (seen,) = registry.devices(Scope(["41"]))
    assert (seen.last_seen, seen.online) == (NOW - 80, False)


async def test_a_device_is_found_in_its_own_gateway_alone(registry: Registry) -> None:
    registry.take_inventory(REF, inventory(DOOR))
    assert registry.find(REF, "b3-roof-door") == DOOR
    assert registry.zone_of(REF, "b3-roof-door") == "b3-roof"
    assert registry.find(ELSEWHERE, "b3-roof-door") is None
    assert registry.zone_of(REF, "nothing") == ""


async def test_a_new_inventory_replaces_the_old_one(registry: Registry) -> None:
    registry.take_inventory(REF, inventory(DOOR, METER))
    registry.take_inventory(REF, inventory(METER))
    assert [seen.device.id for seen in registry.devices(Scope(["41"]))] == ["b3-meter"]


async def test_nothing_outside_a_scope_is_listed(registry: Registry) -> None:
    for ref in (REF, ELSEWHERE):
        registry.take_state(ref, State(online=True, at=NOW), NOW)
        registry.take_inventory(ref, inventory(DOOR))
    assert [seen.ref for seen in registry.devices(Scope(["42"]))] == [ELSEWHERE]
    assert [seen.ref for seen in registry.gateways(Scope(["411202002001"]))] == [REF]
    assert registry.gateways(Scope([])) == []


async def test_last_seen_is_the_newest_instant_and_never_ahead_of_the_centres_clock(registry: Registry) -> None:
    registry.take_inventory(REF, inventory(METER))
    assert registry.devices(Scope(["41"]))[0].last_seen is None
    for at, last_seen in ((NOW - 500, NOW - 500), (NOW - 900, NOW - 500), (NOW + 10**9, NOW)):
        registry.seen([arrival(reading(at=at))])
        assert registry.devices(Scope(["41"]))[0].last_seen == last_seen
    assert registry.gateways(Scope(["41"]))[0].last_seen == NOW


async def test_a_device_that_does_not_answer_is_offline_and_was_last_seen_when_it_did(registry: Registry) -> None:
    registry.take_state(REF, State(online=True, at=NOW), NOW)
    registry.take_inventory(REF, inventory(METER))
    assert registry.devices(Scope(["41"]))[0].online is None
    registry.seen([arrival(reading(at=NOW - 300))])
    assert registry.devices(Scope(["41"]))[0].online is True
    registry.seen([arrival(reading(at=NOW - 200, values={}, quality=Quality.BAD))])
    seen = registry.devices(Scope(["41"]))[0]
    assert (seen.online, seen.last_seen) == (False, NOW - 300)
    registry.seen([arrival(reading(at=NOW - 100, quality=Quality.BAD))])
    assert registry.devices(Scope(["41"]))[0].online is True


async def test_a_device_is_offline_when_it_says_so_or_its_gateway_is(registry: Registry) -> None:
    registry.take_state(REF, State(online=True, at=NOW), NOW)
    registry.take_inventory(REF, inventory(METER))
    registry.seen([arrival(reading(at=NOW - 3, values={"online": False}))])
    assert registry.devices(Scope(["41"]))[0].online is False
    registry.seen([arrival(reading(at=NOW - 2, values={"voltage_l1": 1.0}))])
    assert registry.devices(Scope(["41"]))[0].online is False
    registry.seen([arrival(reading(at=NOW - 1, values={"online": True}))])
    assert registry.devices(Scope(["41"]))[0].online is True
    registry.take_state(REF, State(online=False, at=NOW), NOW)
    assert registry.devices(Scope(["41"]))[0].online is False


async def test_a_gateways_health_is_the_newest_value_of_each_metric(registry: Registry) -> None:
    for at, values in ((3, {"oldest_unsent": 1.5}), (4, {"unsent": 2}), (1, {"oldest_unsent": 99.0})):
        registry.seen([arrival(reading("gw-jianye-1", at=NOW - 10 + at, kind=Kind.GATEWAY, values=values))])
    assert registry.gateways(Scope(["41"]))[0].health == {"oldest_unsent": 1.5, "unsent": 2}


async def test_what_is_remembered_of_a_gateway_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_HEARD", 2)
    registry.seen([arrival(*(reading(f"device-{n}", at=NOW - 10 + n) for n in range(5)))])
    assert registry.gateways(Scope(["41"]))[0].last_seen == NOW - 9
    registry.seen([arrival(reading("device-0", at=NOW - 1))])
    assert registry.gateways(Scope(["41"]))[0].last_seen == NOW - 1


async def test_a_gateway_protects_life_by_its_safety_devices_its_fire_panels_and_its_lifts(registry: Registry) -> None:
    detector = Device(id="b3-smoke", kind=Kind.SAFETY, profile="zigbee2mqtt-smoke")
    panel = Device(id="b3-panel", kind=Kind.ACCESS, profile="wellpro-wp8028", metrics={"released": ""})
    lift = Device(id="b3-lift", kind=Kind.ENVIRONMENT, profile="wellpro-wp8028", metrics={"trapped": "", "lift_fault": ""})
    registry.take_inventory(REF, inventory(DOOR, METER, detector, panel, lift))
    assert registry.safety_devices(REF) == 3
    assert registry.safety_devices(ELSEWHERE) == 0
