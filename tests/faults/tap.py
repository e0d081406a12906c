"""Hears every batch that passes a broker, and remembers which key carried what; each message with the second it came in."""

import json
import time
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from telemetry import batch, topic
from telemetry.errors import BatchInvalid
from tests.servers import HOST

Key = tuple[str, str, int]


class Tap:
    """``batches``: by epoch, lane and seq the readings it first carried; ``reused``: keys that carried others later.

    Loss certificates may take the place of readings.
    """

    def __init__(self, port: int, leaf: topic.Leaf = topic.Leaf.UP) -> None:
        self.batches: dict[Key, set[str]] = {}
        self.reused: list[Key] = []
        self.messages: list[tuple[float, str, bytes]] = []
        self._port = port
        self._leaf = leaf
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"tap-{leaf}", protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._hear

    def __enter__(self) -> Self:
        self._client.connect_async(HOST, self._port)
        self._client.loop_start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, name: str, payload: bytes, *, retain: bool = False) -> None:
        """Sends a message of a stranger to the system, and waits until the broker has it."""
        give_up = time.monotonic() + 10
        while not self._client.is_connected():
            assert time.monotonic() < give_up, "the broker does not let the test in"
            time.sleep(0.02)
        self._client.publish(name, payload, qos=1, retain=retain).wait_for_publish(10)

    def _subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(topic.everyone(topic.DEFAULT_ROOT, self._leaf), qos=1)

    def _hear(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append((time.time(), message.topic, bytes(message.payload)))
        if self._leaf is not topic.Leaf.UP:
            return
        try:
            whole = batch.unpack(bytes(message.payload))
            head = batch.head_of(bytes(message.payload))
        except BatchInvalid:
            return
        if head is not None and not head.replay:
            readings = json.loads(whole)["readings"]
            carried = {json.dumps(reading) for reading in readings if reading["values"].get("event") != "loss"}
            key = (head.epoch, str(head.lane), head.seq)
            if not carried <= self.batches.setdefault(key, carried):
                self.reused.append(key)
