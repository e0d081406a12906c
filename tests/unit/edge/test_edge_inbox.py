"""What waits from a device broker is bounded, and nothing is dropped in silence."""

import pytest
from paho.mqtt.client import MQTTMessage

from edge.drivers.inbox import BEHIND, PAYLOAD_BYTES, Delivery, Inbox, delivery


def message(n: int, qos: int = 1, payload: bytes | None = b"x") -> Delivery:
    return Delivery(f"doors/{n}", payload, False, n, qos, 0)


async def test_messages_come_out_in_the_order_they_came() -> None:
    inbox = Inbox()
    for n in range(3):
        inbox.put(message(n))
    assert [inbox.take(), inbox.take(), inbox.take(), inbox.take()] == [message(0), message(1), message(2), None]


async def test_it_is_crowded_at_half_of_what_it_can_hold_and_behind_at_a_number_of_its_own() -> None:
    inbox = Inbox(messages=4, bytes_=100)
    crowded = []
    for n in (1, 2):
        inbox.put(message(n))
        crowded.append(inbox.is_crowded)
    inbox.take()
    crowded.append(inbox.is_crowded)
    inbox.put(message(3, payload=b"x" * 49))
    assert [*crowded, inbox.is_crowded] == [False, True, False, True]
    roomy = Inbox()
    for n in range(BEHIND - 1):
        roomy.put(message(n))
    before = roomy.is_behind
    roomy.put(message(BEHIND))
    assert (before, roomy.is_behind, roomy.is_crowded) == (False, True, False)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_that_does_not_fit_overruns_and_nothing_after_it_is_taken(qos: int) -> None:
    inbox = Inbox(messages=1)
    inbox.put(message(1))
    inbox.put(message(2, qos=qos))
    assert inbox.overrun
    assert inbox.take() == message(1)
    inbox.put(message(3))
    assert inbox.take() is None, "message 3 would be handled before the redelivery of 2"


async def test_bytes_are_bounded_too_and_given_back_when_taken() -> None:
    inbox = Inbox(bytes_=10)
    inbox.put(message(1, payload=b"123456"))
    inbox.take()
    inbox.put(message(2, payload=b"1234567890"))
    assert not inbox.overrun
    inbox.put(message(3, payload=b"1"))
    assert inbox.overrun


async def test_a_wait_ends_when_something_comes_and_when_woken() -> None:
    inbox = Inbox()
    assert inbox.take() is None
    inbox.put(message(1))
    await inbox.news()
    inbox.take()
    inbox.take()
    inbox.wake()
    await inbox.news()


def test_an_oversized_payload_is_not_kept() -> None:
    large = MQTTMessage(mid=7, topic=b"doors/1")
    large.payload, large.qos = b"x" * (PAYLOAD_BYTES + 1), 1
    assert delivery(large, 5) == Delivery("doors/1", None, False, 7, 1, 5)


def test_a_topic_that_is_not_utf_8_is_empty() -> None:
    odd = MQTTMessage(mid=1, topic=b"doors/\xff")
    assert delivery(odd, 5).topic == ""
