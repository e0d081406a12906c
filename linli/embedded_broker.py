"""The MQTT broker inside ``linli up``: iotcore's, on loopback alone, as a process of its own.

Run as ``python -m linli.embedded_broker FILE``. Its defaults are not ours: it would listen on 0.0.0.0, drop payloads over
20 KB silently and refuse MQTT 5; so it always gets a file of its own, which ``toml`` writes.
"""

import logging
import sys

MAX_PAYLOAD = 2 << 20

_ROUTER = """# Written by linli up at each start.
id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 4194304
max_segment_count = 8
"""

_LISTENER = """
[{version}.main]
name = "{version}"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[{version}.main.connections]
connection_timeout_ms = 10000
max_payload_size = {payload}
max_inflight_count = 200
dynamic_filters = true
"""


def toml(port: int, port_v5: int) -> str:
    """The broker's configuration: MQTT 3.1.1 on ``port``, MQTT 5 on ``port_v5``, both on 127.0.0.1."""
    listeners = (("v4", port), ("v5", port_v5))
    return _ROUTER + "".join(_LISTENER.format(version=version, port=number, payload=MAX_PAYLOAD) for version, number in listeners)


def main() -> None:
    """Serves until killed."""
    from iotcore.iotcore import IotCoreBroker

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s level=%(levelname)s event=%(message)r")
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)  # it logs every packet as an error
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
