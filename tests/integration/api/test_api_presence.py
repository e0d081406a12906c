from api_centre import ELSEWHERE, HERE, NOW, Centre

from ingest.arrival import Arrival
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, State, Words
from telemetry.reading import Micros, Reading

REF = GatewayRef(HERE, "gw-1")
LEVEL = Device(
    id="b3-pump-level",
    kind=Kind.ENVIRONMENT,
    profile="level-qdy30a",
    place=Words("3号楼水泵房", "Building 3 pump room"),
    zone="b3-pump-room",
    unit="QDY-1",
    metrics={"level": "m"},
)
DOOR = Device(id="b3-roof-door", kind=Kind.ACCESS, profile="zigbee2mqtt-contact")


async def settle(centre: Centre) -> None:
    registry = centre.parts.registry
    for ref in (REF, GatewayRef(ELSEWHERE, "gw-9")):
        registry.take_state(ref, State(online=True, at=NOW, software="0.1.0"), NOW)
        registry.take_inventory(ref, Inventory(at=NOW, hash="", devices=[LEVEL, DOOR]))
    health = Reading(device="gw-1", kind=Kind.GATEWAY, at=NOW + 1, values={"oldest_unsent": 1.5, "clock_offset": -0.25})
    level = Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=NOW, values={"level": 0.5})
    registry.seen([Arrival(Stream(*REF, "0" * 16, "bulk"), 1, [level, health], Micros(NOW + 9))])


async def test_a_device_is_told_with_its_place_hardware_and_when_it_was_heard(centre: Centre) -> None:
    await settle(centre)
    items = (await centre.get("/api/v1/devices")).json()["items"]
    assert [item["id"] for item in items] == ["b3-pump-level", "b3-roof-door"]
    assert items[0] == {
        "id": "b3-pump-level",
        "kind": "environment",
        "community": HERE,
        "gateway": "gw-1",
        "profile": "level-qdy30a",
        "profile_version": 1,
        "unit": "QDY-1",
        "place": {"zh": "3号楼水泵房", "en": "Building 3 pump room"},
        "zone": "b3-pump-room",
        "metrics": {"level": "m"},
        "online": True,
        "last_seen": "2026-11-23T08:00:00.000000Z",
    }
    assert (items[1]["online"], items[1]["last_seen"]) == (None, None)


async def test_devices_are_narrowed(centre: Centre) -> None:
    await settle(centre)
    for query, expected in (
        ({"kind": "access"}, 1),
        ({"online": "true"}, 1),
        ({"gateway": "gw-2"}, 0),
        ({"community": ELSEWHERE}, 0),
    ):
        assert len((await centre.get("/api/v1/devices", **query)).json()["items"]) == expected


async def test_a_gateway_is_told_with_its_health(centre: Centre) -> None:
    await settle(centre)
    assert (await centre.get("/api/v1/gateways")).json()["items"] == [
        {
            "id": "gw-1",
            "community": HERE,
            "online": True,
            "since": "2026-11-23T08:00:00.000000Z",
            "last_seen": "2026-11-23T08:00:00.000001Z",
            "software": "0.1.0",
            "devices": 2,
            "oldest_unsent_s": 1.5,
            "clock_offset_s": -0.25,
        }
    ]
    assert (await centre.get("/api/v1/gateways", online="false")).json()["items"] == []
    assert [item["id"] for item in (await centre.get("/api/v1/gateways", "wuhan")).json()["items"]] == ["gw-9"]
