"""Payloads as the real products write them, and what a gateway must make of them by the profiles."""

import base64
import json
from typing import Any

import pytest

from device_profiles import Keys, Message, extract, load_library
from simulators.products import EspRfid, Frigate, Moment, Post, Product, Sensor, Speaker, Vzenith, Zigbee2Mqtt
from simulators.scenario import Cue, Plate, Publish, Report, Scenario, Swipe, Track, cues
from telemetry.metric import Value

WALL = 1_760_000_000_250_000
NOW = Moment(100.0, WALL, WALL - 100_000_000)
KEYS = Keys(bytes(32), frozenset())

DOOR: dict[str, Value] = {
    "contact": True,
    "battery": 87,
    "battery_low": False,
    "voltage": 2985,
    "tamper": False,
    "linkquality": 96,
}
LEAK: dict[str, Value] = {"water_leak": False, "battery": 63, "battery_low": False, "voltage": 2875, "linkquality": 54}
OPENED = Report(at_s=100, device="roof", fields={"contact": False})
WET = Report(at_s=100, device="leak", fields={"water_leak": True})
STORY = Scenario((OPENED, WET))
BRIDGE = Zigbee2Mqtt(
    "zigbee2mqtt",
    {"roof": Sensor("roof", "b3/roof_door", DOOR, 60.0), "leak": Sensor("leak", "pump_room/leak_1", LEAK, 60.0)},
    STORY,
)
READER = EspRfid("reader", "doors/b3-lobby")
RECORDER = Frigate("frigate", {"lane": "fire_lane_north"})
CAMERA = Vzenith("gate", "0f1e2d3c-4b5a6978")
PARKED = Track(at_s=90, device="lane", zone="fire_lane", for_s=40)


def said(product: Product, step: Report | Swipe | Track | Plate | Publish, phase: str = "") -> Post:
    told = [cue for cue in cues(Scenario((step,)), -1, 1000) if cue.phase == phase]
    (post,) = product.say(told[0], NOW)
    return post


def content(post: Post) -> Any:
    return json.loads(post.payload)


def test_an_open_contact_is_false_and_all_cached_fields_come_along() -> None:
    post = said(BRIDGE, OPENED)
    assert (post.topic, post.qos, post.retain) == ("zigbee2mqtt/b3/roof_door", 1, False)
    assert content(post) == {**DOOR, "contact": False}


def test_a_bridge_that_connects_tells_it_is_there_and_repeats_what_it_has_cached() -> None:
    posts = BRIDGE.greet(Moment(200.0, WALL, WALL))
    assert [(post.topic, post.retain) for post in posts] == [
        ("zigbee2mqtt/bridge/state", True),
        ("zigbee2mqtt/b3/roof_door/availability", True),
        ("zigbee2mqtt/pump_room/leak_1/availability", True),
        ("zigbee2mqtt/b3/roof_door", False),
        ("zigbee2mqtt/pump_room/leak_1", False),
    ]
    assert content(posts[3])["contact"] is False
    assert BRIDGE.will() == posts[0]._replace(payload=b'{"state":"offline"}')


def test_sensors_report_by_themselves_once_a_minute() -> None:
    assert len(BRIDGE.beat(119.9, Moment(120.0, WALL, WALL))) == 2
    assert BRIDGE.beat(120.0, Moment(179.9, WALL, WALL)) == ()


def test_the_reader_writes_local_time_as_an_epoch_and_keeps_nothing() -> None:
    post = said(READER, Swipe(at_s=1, device="reader", uid="a1b2c3d4", name="resident-1203"))
    assert post.qos == 0
    assert content(post) == {
        "type": "access",
        "time": 1_760_000_000 + 8 * 3600,
        "isKnown": "true",
        "access": "Always",
        "username": "resident-1203",
        "uid": "a1b2c3d4",
    }


@pytest.mark.parametrize(
    ("access", "known", "event"), [("Admin", True, "granted"), ("Expired", True, "denied"), ("Denied", False, "denied")]
)
def test_a_card_is_let_in_or_refused(access: str, known: bool, event: str) -> None:
    post = said(READER, Swipe(at_s=1, device="reader", uid="a1b2c3d4", access=access, known=known))
    assert post.said is not None
    assert post.said.values == {"event": event, "credential": "A1****D4"}


def test_an_object_keeps_its_id_from_new_to_end() -> None:
    posts = [said(RECORDER, PARKED, phase) for phase in ("new", "enters", "stops", "end")]
    bodies = [content(post) for post in posts]
    assert [body["type"] for body in bodies] == ["new", "update", "update", "end"]
    assert {body["after"]["id"] for body in bodies} == {f"{(WALL - 100_000_000) / 1e6 + 90:.6f}-lane00"}
    assert [body["after"]["current_zones"] for body in bodies] == [[], ["fire_lane"], ["fire_lane"], ["fire_lane"]]
    assert [body["before"]["current_zones"] for body in bodies] == [[], [], ["fire_lane"], ["fire_lane"]]
    assert [body["after"]["stationary"] for body in bodies] == [False, False, True, True]
    assert [body["after"]["end_time"] is None for body in bodies] == [True, True, True, False]
    assert all(body["after"]["camera"] == "fire_lane_north" for body in bodies)


def test_a_plate_travels_as_base64_with_the_cameras_own_clock() -> None:
    body = content(said(CAMERA, Plate(at_s=60, device="gate", plate="豫MB8888")))
    result = body["payload"]["AlarmInfoPlate"]["result"]["PlateResult"]
    assert base64.b64decode(result["license"]).decode() == "豫MB8888"
    assert (result["colorType"], result["type"], result["plateid"]) == (1, 1, 60_000)
    clock = result["timeStamp"]["Timeval"]
    assert (clock["sec"], clock["usec"]) == (1_760_000_000, 250_000)
    assert (clock["decyear"], clock["decmon"], clock["decday"], clock["dechour"]) == (2025, 10, 9, 16)


def test_a_plate_may_be_read_unsurely_or_from_a_picture() -> None:
    body = content(said(CAMERA, Plate(at_s=60, device="gate", plate="豫MB8888", confidence=61, fake=True)))
    result = body["payload"]["AlarmInfoPlate"]["result"]["PlateResult"]
    assert (result["confidence"], result["is_fake_plate"]) == (61, 1)


def test_any_other_device_says_what_the_story_says_with_the_instant_in_it() -> None:
    payload = {"UtcTime": "{utc}", "Data": {"State": True, "Ids": ["a-{utc}"]}}
    post = said(Speaker("yard", "yard/onvif-ej"), Publish(at_s=1, device="yard", topic="VideoSource/Dark", payload=payload))
    assert (post.topic, post.qos, post.retain, post.said) == ("yard/onvif-ej/VideoSource/Dark", 1, False, None)
    instant = "2025-10-09T08:53:20.250000Z"
    assert content(post) == {"UtcTime": instant, "Data": {"State": True, "Ids": [f"a-{instant}"]}}


def test_a_device_may_say_plain_text() -> None:
    post = said(Speaker("square", "frigate/square"), Publish(at_s=1, device="square", topic="person", payload="20", retain=True))
    assert (post.topic, post.payload, post.retain) == ("frigate/square/person", b"20", True)


def test_a_camera_says_every_ten_seconds_that_it_lives() -> None:
    (post,) = CAMERA.beat(9.0, Moment(10.0, WALL, WALL))
    assert post.topic == "device/0f1e2d3c-4b5a6978/message/up/keep_alive"
    assert CAMERA.beat(10.0, Moment(19.9, WALL, WALL)) == ()


@pytest.mark.parametrize(
    ("profile", "parameters", "product", "step", "phase"),
    [
        ("zigbee2mqtt-contact", {"name": "b3/roof_door"}, BRIDGE, OPENED, ""),
        ("zigbee2mqtt-leak", {"name": "pump_room/leak_1"}, BRIDGE, WET, ""),
        ("esp-rfid", {"topic": "doors/b3-lobby"}, READER, Swipe(at_s=1, device="reader", uid="a1b2c3d4"), ""),
        (
            "esp-rfid",
            {"topic": "doors/b3-lobby"},
            READER,
            Swipe(at_s=1, device="reader", uid="a1b2c3d4", access="Denied", known=False),
            "",
        ),
        *(
            ("frigate", {"prefix": "frigate", "camera": "fire_lane_north"}, RECORDER, PARKED, phase)
            for phase in ("new", "enters", "stops", "end")
        ),
        (
            "vzenith-mqtt",
            {"sn": "0f1e2d3c-4b5a6978"},
            CAMERA,
            Plate(at_s=60, device="gate", plate="豫MD12345", colour="green"),
            "",
        ),
    ],
)
def test_a_gateway_reads_what_the_story_tells(
    profile: str, parameters: dict[str, str], product: Product, step: Report | Swipe | Track | Plate | Publish, phase: str
) -> None:
    post = said(product, step, phase)
    (seen,) = extract(load_library().profiles[profile], parameters, Message(post.topic, post.payload, False, WALL), KEYS)
    assert post.said is not None
    assert {metric: seen.values.get(metric) for metric in post.said.values} == post.said.values
    assert post.said.at is None or abs((seen.at or 0) - post.said.at) <= 1
    assert post.said.event == ("event" in seen.values)


def test_the_cue_of_another_turn_is_another_object() -> None:
    first, second = (Cue(at, at, PARKED, "new", turn) for at, turn in ((90.0, 0), (390.0, 1)))
    ids = {content(RECORDER.say(cue, NOW)[0])["after"]["id"] for cue in (first, second)}
    assert len(ids) == 2
