from pathlib import Path
from typing import Any

import pytest
from api_centre import ELSEWHERE, HERE, NOW, Centre, assert_problem, running

from ingest import tally
from ingest.arrival import Arrival
from telemetry.identity import GatewayRef, Stream
from telemetry.metric import Kind
from telemetry.presence import Device, Inventory, Span, State, Words
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


RULES = """
rules:
  - {id: sump_high, kind: sump_high, family: environment, colour: yellow, title: {zh: 高, en: High}, text: {zh: 高, en: High},
     applies_to: {kinds: [environment], metrics: [level]},
     when: {type: threshold, metric: level, unit: m, raise_at: 1.5, clear_at: 1.2}}
  - {id: door_wedged, kind: door_wedged, family: access, colour: yellow, title: {zh: 开, en: Open}, text: {zh: 开, en: Open},
     applies_to: {kinds: [access]}, when: {type: duration, where: {door_open: true}, for_s: 90}}
  - {id: device_offline, kind: device_offline, family: system, colour: blue, title: {zh: 离线, en: Offline},
     text: {zh: 离线, en: Offline}, when: {type: absence, after_s: 600}}
"""
DEVICE = f"/api/v1/devices/{HERE}/gw-1/b3-pump-level"
GATEWAY = f"/api/v1/gateways/{HERE}/gw-1"


def loss(device: str, at: int) -> Reading:
    said: dict[str, Any] = {
        "loss_device": device,
        "loss_from": NOW - 9,
        "loss_to": NOW - 5,
        "loss_count": 4,
        "loss_reason": "outbox full",
    }
    return Reading(device="gw-1", kind=Kind.GATEWAY, at=Micros(at), values={"event": "loss", **said}, event_id=f"gw-1:{at}")


async def lose(centre: Centre) -> None:
    said = [loss("b3-pump-level", NOW), loss("other", NOW + 1), loss("*", NOW + 2)]
    counted = tally.count([Arrival(Stream(*REF, "0" * 16, "bulk"), 1, said, Micros(NOW))])
    await centre.database.write(lambda connection: tally.add(connection, counted))


async def test_a_device_by_itself_says_what_it_said_last_what_is_wrong_who_watches_it_and_what_was_lost(tmp_path: Path) -> None:
    async with running(tmp_path, rules_text=RULES) as centre:
        await settle(centre)
        await lose(centre)
        old, new = (
            Reading(device="b3-pump-level", kind=Kind.ENVIRONMENT, at=Micros(at), values={"level": level})
            for at, level in ((NOW - 1_000_000, 0.4), (NOW, 0.5))
        )
        await centre.store(old, new)
        alert = await centre.raise_alert()
        await centre.raise_alert(device="other")
        await centre.raise_alert(NOW - 9, over_at=NOW)
        listed = (await centre.get("/api/v1/devices")).json()["items"][0]
        found = (await centre.get(DEVICE)).json()
        assert listed.items() <= found.items()
        assert found["gateway_online"] is True
        assert [(one["metric"], one["value"], one["at"]) for one in found["readings"]] == [
            ("level", 0.5, "2026-11-23T08:00:00.000000Z")
        ]
        assert [one["id"] for one in found["alerts"]] == [alert.id]
        assert [one["rule"] for one in found["rules"]] == ["sump_high", "device_offline"]
        assert [(one["device"], one["readings"]) for one in found["losses"]] == [("*", 4), ("b3-pump-level", 4)]


async def test_a_gateway_by_itself_says_how_it_is_what_is_wrong_behind_it_and_what_it_holds(centre: Centre) -> None:
    await settle(centre)
    await lose(centre)
    hello = [Span("0" * 16, "bulk", 3, 7)]  # type: ignore[arg-type]  # a lane is a word
    centre.parts.registry.take_state(REF, State(online=True, at=NOW, config_hash="abc", hello=hello), NOW)
    alerts = [await centre.raise_alert(NOW + number, device=device) for number, device in enumerate(("b3-pump-level", "other"))]
    elsewhere = await centre.raise_alert(community=ELSEWHERE)
    found = (await centre.get(GATEWAY)).json()
    assert (await centre.get("/api/v1/gateways")).json()["items"][0].items() <= found.items()
    assert found["health"] == {"clock_offset": -0.25, "oldest_unsent": 1.5}
    assert (found["config_hash"], found["devices_offline"], found["unsent_batches"]) == ("abc", 0, 5)
    assert [one["id"] for one in found["alerts"]] == [alert.id for alert in reversed(alerts)] != [elsewhere.id]
    assert [one["device"] for one in found["losses"]] == ["*", "other", "b3-pump-level"]
    centre.parts.registry.take_state(REF, State(online=False, at=NOW + 1), NOW + 1)
    assert (await centre.get(GATEWAY)).json()["devices_offline"] == 2


@pytest.mark.parametrize("path", [DEVICE, GATEWAY])
async def test_who_knows_it_already_is_told_so_until_it_changes(centre: Centre, path: str) -> None:
    await settle(centre)
    tag = (await centre.get(path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}'):
        same = await centre.client().get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await centre.raise_alert()
    changed = await centre.client().get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("path", [DEVICE, GATEWAY])
async def test_what_is_elsewhere_is_not_there_and_says_no_more_than_what_is_nowhere(centre: Centre, path: str) -> None:
    await settle(centre)
    outside = assert_problem(await centre.get(path, "wuhan"), 404)
    nowhere = assert_problem(await centre.get(path[:-1] + "x"), 404)
    assert outside["detail"] == nowhere["detail"]
    assert_problem(await centre.get(path, None), 401)
    assert_problem(await centre.get(path, "stranger"), 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v1/devices/{HERE}/gw-1/{'x' * 65}", 400),
        (f"/api/v1/devices/{HERE}/gw-1/B3", 400),
        ("/api/v1/devices/4112020020%2e%2e/gw-1/b3-pump-level", 400),
        (f"/api/v1/devices/{HERE}/gw-1/b3-pump-level%00", 400),
        (f"/api/v1/devices/{HERE}/gw-1/%27%20OR%201=1", 400),
        ("/api/v1/gateways/41120200200/gw-1", 400),
        (f"/api/v1/gateways/{HERE}/gw-1/", 404),
        (f"{DEVICE}?colour=red", 400),
        (f"{GATEWAY}?gateway=gw-2", 400),
    ],
)
async def test_a_hostile_address_is_refused(centre: Centre, path: str, status: int) -> None:
    await settle(centre)
    assert_problem(await centre.client().get(path), status)


async def test_whose_last_words_say_who_was_where_is_noted(centre: Centre) -> None:
    await settle(centre)
    said: Any = {"event": "granted", "credential": "a1****d4"}
    await centre.store(Reading(device=DOOR.id, kind=Kind.ACCESS, at=Micros(NOW), values=said, event_id="x:1"))
    path = f"/api/v1/devices/{HERE}/gw-1/{DOOR.id}"
    await centre.get(DEVICE)
    assert {one["metric"] for one in (await centre.get(path)).json()["readings"]} == {"event", "credential"}
    noted = (await centre.get("/api/v1/access-log", "admin")).json()["items"]
    assert [(one["token"], one["path"]) for one in noted] == [("viewer", path)]
