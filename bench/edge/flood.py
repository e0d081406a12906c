"""Publishes climate readings of many Zigbee2MQTT devices as fast as the broker takes them, QoS 1:
`python -m bench.edge.flood PORT DEVICES MESSAGES`."""

import sys

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def main(port: int, devices: int, messages: int) -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-flood")
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    last = None
    for number in range(messages):
        warm = 15 + number % 200 / 10
        payload = f'{{"temperature":{warm:.2f},"humidity":{40 + number % 97 / 2:.1f},"battery":91,"linkquality":{number % 256}}}'
        last = client.publish(f"zigbee2mqtt/room{number % devices}", payload, qos=1)
        if number % 500 == 0:
            last.wait_for_publish(60)
    if last is not None:
        last.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
