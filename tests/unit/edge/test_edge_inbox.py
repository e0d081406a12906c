"""What waits from a device broker is bounded, and QoS 1 is never dropped in silence."""

from paho.mqtt.client import MQTTMessage

from edge.drivers.inbox import PAYLOAD_BYTES, Delivery, Inbox, delivery


def message(n: int, qos: int = 1, payload: bytes | None = b"x") -> Delivery:
    return Delivery(f"doors/{n}", payload, False, n, qos, 0)


async def test_messages_come_out_in_the_order_they_came() -> None:
    inbox = Inbox()
    for n in range(3):
        inbox.put(message(n))
    assert [inbox.take(), inbox.take(), inbox.take(), inbox.take()] == [message(0), message(1), message(2), None]


async def test_a_full_inbox_leaves_out_qos_0_and_counts_it() -> None:
    inbox = Inbox(messages=2)
    for n in range(5):
        inbox.put(message(n, qos=0))
    assert inbox.left_out == 3 and not inbox.overrun
    assert inbox.take() == message(0, qos=0)


async def test_a_qos_1_message_that_does_not_fit_overruns_and_nothing_after_it_is_taken() -> None:
    inbox = Inbox(messages=1)
    inbox.put(message(1))
    inbox.put(message(2))
    assert inbox.overrun
    assert inbox.take() == message(1)
    inbox.put(message(3))
    assert inbox.take() is None, "message 3 would be handled before the redelivery of 2"


async def test_bytes_are_bounded_too_and_given_back_when_taken() -> None:
    inbox = Inbox(bytes_=10)
    inbox.put(message(1, qos=0, payload=b"123456"))
    inbox.put(message(2, qos=0, payload=b"123456"))
    assert inbox.left_out == 1
    inbox.take()
    inbox.put(message(3, qos=0, payload=b"123456"))
    assert inbox.take() == message(3, qos=0, payload=b"123456")


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
