"""The centre's connection to its broker."""

import asyncio
import logging
from collections.abc import Callable

import aiomqtt

from ingest.config import CentreConfig
from ingest.secret_file import read_secret
from telemetry.broker import connection


def client(
    config: CentreConfig, identifier: str, *, max_queued_incoming_messages: int, overflow: Callable[[], None] = lambda: None
) -> aiomqtt.Client:
    """An unconnected client. What comes past its queue is dropped; ``overflow`` is called for each message.

    Raises ``ConfigInvalid`` when a secret file cannot be used.
    """
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # it would say each try and each drop
    broker = config.centre.broker
    password = read_secret(config.path(broker.password_file), "the broker's password").strip() if broker.password_file else None
    return aiomqtt.Client(
        **connection(broker, lambda name: str(config.path(name)), password),
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5 if broker.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        clean_session=True if broker.protocol == "3.1.1" else None,
        timeout=10.0,
        max_queued_incoming_messages=max_queued_incoming_messages,
        queue_type=_counting(overflow),
    )


def _counting(overflow: Callable[[], None]) -> type["asyncio.Queue[aiomqtt.Message]"]:
    class Counting(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            if self.full():
                overflow()
            super().put_nowait(item)

    return Counting
