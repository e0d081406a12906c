"""MQTT messages: events once, states of known age, identifiers guarded, and no bytes that break the gateway."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_profiles import (
    Keys,
    Message,
    Observation,
    PayloadInvalid,
    Profile,
    address_faults,
    extract,
    load_library,
    subscriptions,
)
from device_profiles.library import load_text
from telemetry.metric import fault_of
from telemetry.privacy import reference
from telemetry.quality import Quality

LIBRARY = load_library().profiles
MQTT = [profile for profile in LIBRARY.values() if profile.mqtt]
KEYS = Keys(b"k" * 32)
NOON = 1_742_263_870_000_000  # 2025-03-18T02:11:10Z
PARAMETERS = {
    "frigate": {"prefix": "frigate", "camera": "gate"},
    "esp-rfid": {"topic": "doors/b3"},
    "vzenith-mqtt": {"sn": "0f1e"},
    "tasmota-meter": {"topic": "meter"},
}

BATCH = """
id: batch-1
kind: parking
vendor: V
model: M
name: {zh: 批量, en: Batch}
confidence: single
sources: [a manual]
mqtt:
  messages:
    - topic: "gates/+/{lane}"
      each: results
      when: {score: {at_least: 0.5, at_most: 1}}
      event: {path: kind, map: {pass: plate, 7: plate}}
      event_id: [id]
      time: {path: at, format: iso, zone: Asia/Shanghai}
      require: [plate]
      values: {plate: text, plate_score: score, free: {path: bays, encoding: number}}
points:
  plate: {personal: plate, invalid: [none]}
  plate_score: {unit: "", range: [0, 1]}
  free: {unit: count}
examples:
  messages: [{origin: computed, topic: gates/n/1, parameters: {lane: "1"}, payload: {results: []}, gives: []}]
"""


@pytest.fixture(scope="module")
def batch() -> Profile:
    return load_text(BATCH, "batch-1.yaml")


def heard(profile: Profile, topic: str, payload: Any, *, retained: bool = False, keys: Keys = KEYS) -> tuple[Observation, ...]:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return extract(profile, parameters_of(profile), Message(topic, content, retained, NOON), keys)


def parameters_of(profile: Profile) -> dict[str, str]:
    known = profile.mqtt
    assert known is not None
    return PARAMETERS.get(profile.id) or {name: "b3/door" if name in known.deep else "1" for name in known.parameters}


def frigate(type_: str, before: dict[str, Any], after: dict[str, Any], **more: Any) -> tuple[Observation, ...]:
    whole = {"id": "1.2-ab", "camera": "gate", "false_positive": False, "label": "car", "frame_time": NOON / 1e6, **after}
    return heard(LIBRARY["frigate"], "frigate/events", {"type": type_, "before": before, "after": whole}, **more)


def test_a_contact_that_is_closed_is_a_door_that_is_not_open() -> None:
    closed, opened = (heard(LIBRARY["zigbee2mqtt-contact"], "zigbee2mqtt/b3/door", {"contact": on})[0] for on in (True, False))
    assert (closed.values, opened.values) == ({"door_open": False}, {"door_open": True})
    assert opened.at is None and opened.urgent and opened.quality is Quality.GOOD


def test_a_friendly_name_may_have_slashes_and_its_availability_is_not_its_state() -> None:
    door = LIBRARY["zigbee2mqtt-contact"]
    assert heard(door, "zigbee2mqtt/b3/door/availability", {"state": "offline"})[0].values == {"online": False}
    assert heard(door, "zigbee2mqtt/b3/door/availability", b"online")[0].values == {"online": True}
    assert heard(door, "zigbee2mqtt/b3/other", {"contact": True}) == ()
    assert heard(door, "zigbee2mqtt/b3", {"contact": True}) == ()


def test_a_bridge_that_is_gone_takes_its_devices_with_it_but_does_not_bring_them_back() -> None:
    door = LIBRARY["zigbee2mqtt-contact"]
    assert heard(door, "zigbee2mqtt/bridge/state", {"state": "offline"}, retained=True)[0].values == {"online": False}
    assert heard(door, "zigbee2mqtt/bridge/state", {"state": "online"}, retained=True) == ()


def test_a_retained_state_is_stale_and_a_last_will_is_not() -> None:
    door = LIBRARY["zigbee2mqtt-contact"]
    assert heard(door, "zigbee2mqtt/b3/door", {"contact": False}, retained=True)[0].quality is Quality.STALE
    assert heard(door, "zigbee2mqtt/b3/door/availability", {"state": "online"}, retained=True)[0].quality is Quality.GOOD


def test_a_retained_event_says_nothing() -> None:
    assert len(frigate("new", {}, {})) == 1
    assert frigate("new", {}, {}, retained=True) == ()


def test_an_empty_message_deletes_a_retained_one_and_says_nothing() -> None:
    assert heard(LIBRARY["zigbee2mqtt-contact"], "zigbee2mqtt/b3/door", b"") == ()


def test_a_field_that_is_missing_or_null_changes_nothing() -> None:
    found = heard(LIBRARY["zigbee2mqtt-leak"], "zigbee2mqtt/b3/door", {"water_leak": True, "battery": None})
    assert found[0].values == {"water_leak": True} and found[0].faults is None


def test_a_wrong_field_costs_itself_alone_and_is_said() -> None:
    found = heard(LIBRARY["zigbee2mqtt-leak"], "zigbee2mqtt/b3/door", {"water_leak": True, "battery": "full", "linkquality": 999})
    assert found[0].values == {"water_leak": True} and found[0].quality is Quality.GOOD
    assert found[0].faults == {"battery": "bad: text is not a number", "link_quality": "bad: 999 is out of range 0 to 255"}


def test_a_fault_says_what_kind_of_thing_came_and_never_its_text() -> None:
    for wrong, said in ((True, "true"), ("zhang", "text"), ([1], "a list"), ({}, "an object")):
        found = heard(LIBRARY["zigbee2mqtt-leak"], "zigbee2mqtt/b3/door", {"battery": wrong})
        assert found[0].faults == {"battery": f"bad: {said} is not a number"}


def test_nothing_but_wrong_fields_is_a_bad_reading() -> None:
    found = heard(LIBRARY["zigbee2mqtt-leak"], "zigbee2mqtt/b3/door", {"water_leak": "yes"})
    assert (found[0].values, found[0].quality) == ({}, Quality.BAD)


def test_an_object_appears_once_and_false_ones_never() -> None:
    assert frigate("new", {}, {})[0].event_id == "1.2-ab:new"
    assert frigate("new", {}, {"false_positive": True}) == ()
    assert frigate("new", {}, {"camera": "other"}) == ()


def test_an_update_is_told_only_when_the_zone_or_the_standing_changed() -> None:
    moving = {"current_zones": ["fire_lane"], "stationary": False}
    assert frigate("update", moving, {**moving, "score": 0.9}) == ()
    stopped = frigate("update", moving, {**moving, "stationary": True})
    assert (stopped[0].values["event"], stopped[0].values["zones"], stopped[0].values["stationary"]) == (
        "updated",
        "fire_lane",
        True,
    )
    entered = frigate("update", {**moving, "current_zones": []}, moving)
    assert entered[0].values["zones"] == "fire_lane"


def test_two_updates_of_one_object_are_two_events() -> None:
    first = frigate("update", {"stationary": False}, {"stationary": True, "frame_time": NOON / 1e6})
    second = frigate("update", {"stationary": True}, {"stationary": False, "frame_time": NOON / 1e6 + 5})
    assert first[0].event_id != second[0].event_id


def test_a_plate_leaves_masked_and_hashed() -> None:
    values = frigate("new", {}, {"recognized_license_plate": "京A12345", "sub_label": ["Zhang", 0.9]})[0].values
    assert values["plate"] == "京A·****5" and values["plate_ref"] == reference("京A12345", KEYS.personal)
    assert "12345" not in str(values) and "Zhang" not in str(values)


def test_a_plate_is_clear_only_where_the_community_says_so() -> None:
    values = frigate("new", {}, {"recognized_license_plate": "京A·12345"}, keys=Keys(b"k", frozenset({"plate"})))[0].values
    assert values["plate"] == "京A12345"
    values = frigate("new", {}, {"recognized_license_plate": "京A·12345"}, keys=Keys(b"k", frozenset({"credential"})))[0].values
    assert values["plate"] == "京A·****5"


def test_the_colour_before_a_plate_is_not_part_of_it() -> None:
    values = frigate("new", {}, {"recognized_license_plate": "蓝京A12345"})[0].values
    assert values["plate_ref"] == reference("京A12345", KEYS.personal)


def swipe(**more: Any) -> tuple[Observation, ...]:
    local = NOON // 1_000_000 + 8 * 3600 - 1
    content = {"type": "access", "time": local, "isKnown": "true", "access": "Always", "username": "zhang san", "uid": "a1b2c3d4"}
    return heard(LIBRARY["esp-rfid"], "doors/b3", {**content, **more})


def test_a_card_and_its_holder_never_leave_in_clear_not_even_in_the_key_of_the_event() -> None:
    found = swipe()[0]
    assert found.values["event"] == "granted" and found.values["credential"] == "A1****D4"
    assert found.values["person_ref"] == reference("zhang san", KEYS.personal)
    assert "a1b2c3d4" not in repr(found).lower() and "zhang" not in repr(found)
    assert found.event_id is not None and found.event_id.startswith(reference("a1b2c3d4", KEYS.personal))


@pytest.mark.parametrize(
    ("change", "event"),
    [
        ({"access": "Admin"}, "granted"),
        ({"isKnown": True}, "granted"),
        ({"access": "Expired"}, "denied"),
        ({"isKnown": "false", "access": "Denied"}, "denied"),
    ],
)
def test_a_swipe_is_granted_or_denied(change: dict[str, Any], event: str) -> None:
    assert [found.values["event"] for found in swipe(**change)] == [event]


def test_a_device_with_local_time_is_understood_and_one_with_no_time_is_not_believed() -> None:
    assert (swipe()[0].at, swipe()[0].quality) == (NOON - 1_000_000, Quality.GOOD)
    assert (swipe(time=31)[0].at, swipe(time=31)[0].quality) == (None, Quality.UNCERTAIN)
    assert (swipe(time="soon")[0].at, swipe(time="soon")[0].quality) == (None, Quality.UNCERTAIN)
    assert (swipe(time=None)[0].at, swipe(time=None)[0].quality, swipe(time=None)[0].event_id) == (None, Quality.GOOD, None)


def test_a_plate_camera_tells_base64_and_late_records() -> None:
    result = {"license": "5LqsQUQxMjM0NQ==", "confidence": 98, "colorType": 0, "isoffline": 1, "plateid": 7}
    payload = {"sn": "0f1e", "name": "ivs_result", "payload": {"AlarmInfoPlate": {"result": {"PlateResult": result}}}}
    for topic in ("device/0f1e/message/up/ivs_result", "0f1e/device/message/up/ivs_result"):
        found = heard(LIBRARY["vzenith-mqtt"], topic, payload)[0]
        assert found.values["late"] is True and found.values["plate_score"] == 0.98 and found.event_id == "0f1e:7"
        assert found.faults == {"plate_colour": "bad: 0 means no value"}
    result["license"] = "not base64!"
    assert heard(LIBRARY["vzenith-mqtt"], "device/0f1e/message/up/ivs_result", payload) == ()


def test_one_message_may_hold_several_events(batch: Profile) -> None:
    results = [
        {"kind": "pass", "text": "京A12345", "score": 0.9, "id": 1, "at": "2025-03-18T10:11:00", "bays": "12"},
        {"kind": 7, "text": "京A54321", "score": 0.5, "id": 2, "at": "2025-03-18T02:11:00Z"},
        {"kind": "pass", "text": "京A00000", "score": 0.4, "id": 3},
        {"kind": "stop", "text": "京A00000", "score": 0.9, "id": 4},
        {"kind": "pass", "text": "none", "score": 0.9, "id": 5},
        {"kind": "pass", "text": "京A00000", "score": "high", "id": 6},
        "nonsense",
    ]
    found = heard(batch, "gates/north/1", {"results": results})
    assert [each.event_id for each in found] == ["1", "2"]
    assert [each.at for each in found] == [NOON - 10_000_000] * 2
    assert found[0].values["free"] == 12
    assert heard(batch, "gates/1", {"results": results}) == ()
    assert heard(batch, "gates/north/1", {"results": "none"}) == ()


def test_a_long_key_of_an_event_becomes_a_short_one_that_is_still_its_own(batch: Profile) -> None:
    results = [{"kind": "pass", "text": "京A12345", "score": 0.9, "id": "x" * 500 + tail} for tail in "ab"]
    first, second = heard(batch, "gates/north/1", {"results": results})
    assert first.event_id != second.event_id and len(first.event_id or "") <= 128


def test_what_to_listen_to_is_told_with_defaults_filled_in() -> None:
    door = LIBRARY["zigbee2mqtt-contact"]
    assert subscriptions(door, {"name": "b3/door"}) == (
        "zigbee2mqtt/b3/door",
        "zigbee2mqtt/b3/door/availability",
        "zigbee2mqtt/bridge/state",
    )
    assert subscriptions(door, {"name": "d", "prefix": "zb"})[0] == "zb/d"
    assert subscriptions(LIBRARY["xy-md02"], {}) == ()


def test_an_address_is_checked_against_the_topics() -> None:
    assert address_faults(LIBRARY["zigbee2mqtt-contact"], {"name": "b3/door"}) == {}
    assert address_faults(LIBRARY["frigate"], {"prefix": "f", "camera": "a/b", "cam": "x"}) == {
        "cam": "is no parameter of frigate",
        "camera": "'a/b' has several levels; one is meant",
    }
    assert address_faults(LIBRARY["esp-rfid"], {"topic": "a/#"}) == {"topic": "'a/#' cannot stand in a topic"}
    assert address_faults(LIBRARY["esp-rfid"], {}) == {"topic": "is missing"}


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=8))
KEY_WORDS = st.sampled_from(["type", "before", "after", "id", "camera", "contact", "state", "battery", "uid", "time", "payload"])
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEY_WORDS, inner, max_size=6)), max_leaves=20
)
NASTY = [
    b"[" * 100_000 + b"]" * 100_000,
    b'{"after":' * 900 + b"1" + b"}" * 900,
    b'{"type":"new","after":{"camera":"gate","id":"a","frame_time":1e400}}',
    b'{"type":"update","after":{"camera":"gate","id":"a","false_positive":false,"frame_time":1'
    + b"0" * 400
    + b',"score":1'
    + b"0" * 5000
    + b"}}",
    b'{"battery":NaN}',
    b'{"battery":1' + b"0" * 400 + b',"linkquality":18446744073709551616}',
    b'{"contact":true,"contact":false}',
    b'{"type":"access","isKnown":"true","uid":"\\ud800","time":1e308}',
    b"\xff\xfe",
    b"\x00",
    b"\x1f\x8b\x08",
    b'"\xed\xa0\x80"',
    b" " * (1 << 20) + b"1",
]


def every_way(profile: Profile, payload: bytes) -> None:
    for topic in subscriptions(profile, parameters_of(profile)):
        for retained in (False, True):
            try:
                found = heard(profile, topic.replace("+", "x"), payload, retained=retained)
            except PayloadInvalid:
                continue
            for each in found:
                for metric, value in each.values.items():
                    assert fault_of(profile.kind, metric, value) is None
                assert len(each.event_id or "") <= 128
                assert each.values or each.faults


@pytest.mark.parametrize("payload", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("profile", MQTT, ids=lambda profile: profile.id)
def test_nasty_payloads_are_refused_or_harmless(profile: Profile, payload: bytes) -> None:
    every_way(profile, payload)


@given(st.sampled_from(MQTT), st.binary(max_size=40))
@example(LIBRARY["frigate"], b"\xf0\x28\x8c\x28")
def test_whatever_bytes_come_extraction_answers_or_refuses(profile: Profile, payload: bytes) -> None:
    every_way(profile, payload)


@given(st.sampled_from(MQTT), DOCUMENTS)
def test_whatever_json_comes_extraction_answers_or_refuses(profile: Profile, document: Any) -> None:
    every_way(profile, json.dumps(document).encode())


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "label", "score", "stationary", "frame_time"), LEAVES)), DOCUMENTS)
def test_an_object_with_any_fields_is_told_or_left_out(fields: dict[str, Any], anything: Any) -> None:
    after = {"camera": "gate", "false_positive": False, **fields, "current_zones": anything, "recognized_license_plate": anything}
    every_way(LIBRARY["frigate"], json.dumps({"type": "new", "after": after}).encode())


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("time", "username", "uid", "reason"), LEAVES)))
def test_a_swipe_with_any_fields_is_told_or_left_out(fields: dict[str, Any]) -> None:
    every_way(LIBRARY["esp-rfid"], json.dumps({"type": "access", "isKnown": "true", "access": "Always", **fields}).encode())


def test_undecodable_payloads_are_said() -> None:
    for payload in (b"{", b"\xff", b" " * (1 << 20) + b"1"):
        with pytest.raises(PayloadInvalid):
            heard(LIBRARY["esp-rfid"], "doors/b3", payload)
