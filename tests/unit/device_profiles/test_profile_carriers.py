"""Uplinks of LoRaWAN devices, as each network server brings them."""

import json
from typing import Any

import pytest

from device_profiles import Keys, Message, Observation, Profile, extract
from device_profiles.library import load_text

KEYS = Keys(b"k" * 32)
ARRIVED = 1_742_263_870_000_000  # 2025-03-18T02:11:10Z


LORAWAN = """
id: lora-1
kind: parking
vendor: V
model: M
name: {zh: 车位, en: Bay}
confidence: single
sources: [a manual]
mqtt:
  messages:
    - {carrier: lorawan, values: {occupied: occupied, temperature: t}}
    - {carrier: lorawan, when: {type: passage}, event: plate, values: {plate: plate}}
    - {carrier: lorawan, each: history, time: {path: at, format: epoch_s, past_s: 604800}, values: {temperature: t}}
    - {carrier: lorawan, each: cars, event: plate, event_id: [n], values: {plate: plate}}
points:
  occupied: {}
  temperature: {unit: degC}
  plate: {personal: plate}
  rssi: {unit: dBm}
examples:
  uplinks:
    - {origin: computed, object: {occupied: true}, gives: [{values: {occupied: true}}]}
"""
RECEIVED = "2025-03-18T02:11:09.700Z"


@pytest.fixture(scope="module")
def bay() -> Profile:
    return load_text(LORAWAN, "lora-1.yaml")


def chirpstack(profile: Profile, decoded: Any) -> tuple[Observation, ...]:
    payload = {"deduplicationId": "d-1", "time": RECEIVED, "object": decoded, "rxInfo": [{"rssi": -71}]}
    return said(profile, {"device": "application/a/device/e"}, "application/a/device/e/event/up", payload)


def the_things_stack(profile: Profile, decoded: Any, **more: Any) -> tuple[Observation, ...]:
    payload = {
        "end_device_ids": {"dev_eui": "E1"},
        "uplink_message": {"received_at": RECEIVED, "decoded_payload": decoded, "rx_metadata": [{"rssi": -61}], **more},
    }
    return said(profile, {"device": "v3/a@t/devices/e"}, "v3/a@t/devices/e/up", payload)


def said(profile: Profile, parameters: dict[str, str], topic: str, payload: Any) -> tuple[Observation, ...]:
    return extract(profile, parameters, Message(topic, json.dumps(payload).encode(), False, ARRIVED), KEYS)


RECEIVED_AT = 1_742_263_869_700_000


def test_one_profile_serves_both_network_servers(bay: Profile) -> None:
    for found, rssi in ((chirpstack(bay, {"occupied": True}), -71), (the_things_stack(bay, {"occupied": True}), -61)):
        assert [(each.values, each.at) for each in found] == [({"occupied": True, "rssi": rssi}, RECEIVED_AT)]


def test_an_event_of_an_uplink_is_keyed_by_the_uplink(bay: Profile) -> None:
    passage = {"type": "passage", "plate": "京A12345"}
    assert chirpstack(bay, passage)[-1].event_id == "d-1"
    assert the_things_stack(bay, passage, f_cnt=41)[-1].event_id == f"E1:41:{RECEIVED}"
    assert the_things_stack(bay, passage)[-1].event_id == f"E1:0:{RECEIVED}"  # the first frame has no counter


def test_several_events_of_one_uplink_are_apart(bay: Profile) -> None:
    found = chirpstack(bay, {"cars": [{"n": 1, "plate": "京A12345"}, {"n": 2, "plate": "京A12345"}]})
    assert [each.event_id for each in found if "event" in each.values] == ["d-1:1", "d-1:2"]


def test_buffered_values_have_their_own_time(bay: Profile) -> None:
    found = chirpstack(bay, {"history": [{"at": 1_742_260_000, "t": 18.9}]})
    assert [(each.values, each.at) for each in found if "temperature" in each.values] == [
        ({"temperature": 18.9}, 1_742_260_000_000_000)
    ]


def test_an_uplink_that_the_codec_could_not_read_says_nothing_of_the_device(bay: Profile) -> None:
    assert [each.values for each in chirpstack(bay, None)] == [{"rssi": -71.0}]
