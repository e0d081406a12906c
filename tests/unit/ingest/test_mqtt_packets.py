"""Packets of MQTT 3.1.1 and 5, however the bytes were cut; where the standard has an example, it is tried."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt import packets
from ingest.mqtt.packets import MAX_PACKET, Control, Kind, Packets, Publish
from telemetry.errors import BrokerUnavailable


def read(message: bytes, *, v5: bool = False) -> list[Publish | Control]:
    return list(Packets(v5=v5).feed(message))


def test_a_publish_of_the_standard_is_read() -> None:
    # MQTT 3.1.1, figure 3.11: topic a/b, packet identifier 10
    assert read(b"\x32\x07\x00\x03a/b\x00\x0a") == [Publish(b"a/b", b"", 10)]


def test_a_connect_is_written_as_in_the_standard() -> None:
    written = packets.connect("id", "user", "password", 10, v5=False, receive_maximum=1)
    assert written == b"\x10\x1e\x00\x04MQTT\x04\xc2\x00\x0a\x00\x02id\x00\x04user\x00\x08password"


def test_a_connect_of_version_5_says_how_much_it_takes() -> None:
    written = packets.connect("id", "", None, 10, v5=True, receive_maximum=1_000)
    assert written[2:9] == b"\x00\x04MQTT\x05"
    assert b"\x08\x27" + (MAX_PACKET + 16).to_bytes(4) + b"\x21\x03\xe8" in written


@pytest.mark.parametrize("v5", [False, True])
@given(
    messages=st.lists(
        st.tuples(st.text("abc/", min_size=1, max_size=20), st.binary(max_size=300), st.integers(0, 65_535), st.booleans())
    ),
    cut=st.integers(1, 50),
)
def test_what_was_published_is_read_however_it_was_cut(v5: bool, messages: list[tuple[str, bytes, int, bool]], cut: int) -> None:
    stream = b"".join(packets.publish(topic, body, mid, retain=retained, v5=v5) for topic, body, mid, retained in messages)
    reader = Packets(v5=v5)
    found = [packet for at in range(0, len(stream), cut) for packet in reader.feed(stream[at : at + cut])]
    assert found == [Publish(topic.encode(), body, mid, retained) for topic, body, mid, retained in messages]


def test_properties_of_a_message_are_passed_over() -> None:
    body = b"\x00\x01t" + b"\x02\x01\x01" + b"payload"  # payload format indicator
    assert read(bytes([0x30, len(body)]) + body, v5=True) == [Publish(b"t", b"payload", 0)]


@pytest.mark.parametrize("size", [MAX_PACKET + 1, 3 * MAX_PACKET])
def test_of_a_huge_message_only_the_beginning_is_kept_and_the_next_is_whole(size: int) -> None:
    bodies = ((bytes(size), 7), (b"next", 8))
    stream = b"".join(packets.publish("t", body, mid, retain=False, v5=False) for body, mid in bodies)
    reader = Packets(v5=False)
    found: list[Publish | Control] = []
    for at in range(0, len(stream), 65_536):
        found += reader.feed(stream[at : at + 65_536])
        assert len(reader._rest) <= MAX_PACKET + 65_536
    huge, following = found
    assert isinstance(huge, Publish)
    assert (huge.mid, len(huge.payload) <= MAX_PACKET) == (7, True)
    assert following == Publish(b"t", b"next", 8)


@pytest.mark.parametrize(
    "junk",
    [b"\x00\x00", b"\xf0\x00", b"\x30\xff\xff\xff\xff\x01", b"\x30\x02\x00\x09", b"HTTP/1.1 400 Bad Request\r\n" * 50],
    ids=["type 0", "type 15", "a length of five bytes", "a topic longer than its packet", "another protocol"],
)
def test_what_is_no_mqtt_is_said(junk: bytes) -> None:
    with pytest.raises(BrokerUnavailable, match="no MQTT"):
        read(junk)


def test_the_word_of_a_broker_of_version_5_is_heard() -> None:
    # session present 0, code 0, properties: receive maximum 20, server keep alive 60, a reason string, a user property
    properties = b"\x21\x00\x14" + b"\x13\x00\x3c" + b"\x1f\x00\x02ok" + b"\x26\x00\x01a\x00\x01b"
    assert packets.connack(b"\0\0" + bytes([len(properties)]) + properties, v5=True) == packets.Connack(0, 20, 60)
    assert packets.connack(b"\0\x05", v5=False) == packets.Connack(5, 65_535, None)
    with pytest.raises(BrokerUnavailable):
        packets.connack(b"\0", v5=False)


def test_refused_subscriptions_are_seen() -> None:
    assert not packets.refused(b"\x00\x01\x01\x00", 2)
    assert packets.refused(b"\x00\x01\x01\x80", 2)
    assert read(b"\x90\x03\x00\x01\x80") == [Control(Kind.SUBACK, b"\x00\x01\x80")]
