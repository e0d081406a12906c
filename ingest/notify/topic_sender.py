"""CloudEvents on an MQTT topic, for platforms that prefer it: QoS 1, sent when the broker has confirmed it."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import aiomqtt

from ingest.notify.envelope import cloud_event
from ingest.notify.news import matter
from ingest.notify.outbox import Notice
from ingest.notify.targets import Mqtt
from ingest.notify.verdict import SENT, Verdict, failed
from telemetry.broker import connection

LIMIT_S = 10.0


class TopicSender:
    """One connection for each message: notifications are rare, and a connection kept is one more that can die unseen."""

    most = 1

    def __init__(self, name: str, target: Mqtt, path: Callable[[str], Path], password: str | None, source: str) -> None:
        self._name = name
        self._target = target
        self._path = path
        self._password = password
        self._source = source

    async def send(self, notices: Sequence[Notice]) -> Verdict:
        (notice,) = notices
        about = matter(notice.news)
        body = cloud_event(notice, self._source, full=self._target.payload == "full")
        try:
            async with asyncio.timeout(LIMIT_S), self._client() as client:
                await client.publish(f"{self._target.topic}/{about.community}/{about.kind}", body, qos=1, timeout=LIMIT_S)
        except (aiomqtt.MqttError, OSError, ssl.SSLError, TimeoutError) as error:
            return failed(f"no broker: {error}"[:200])
        return SENT

    def _client(self) -> aiomqtt.Client:
        logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # it would say each try
        broker = self._target.broker
        return aiomqtt.Client(
            **connection(broker, lambda name: str(self._path(name)), self._password),
            identifier=f"linli-notify-{self._name}",
            protocol=aiomqtt.ProtocolVersion.V5 if broker.protocol == "5" else aiomqtt.ProtocolVersion.V311,
            clean_session=True if broker.protocol == "3.1.1" else None,
            timeout=LIMIT_S,
        )
