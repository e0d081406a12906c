"""The gateway's connections to brokers: the centre's and those that devices publish to."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt

from edge.config import secret_problem
from telemetry.broker import Broker, connection
from telemetry.errors import ConfigInvalid

TIMEOUT_S = 10.0


def client(broker: Broker, resolve: Callable[[str], Path], identifier: str, **options: object) -> aiomqtt.Client:
    """An unconnected client; ``options`` are aiomqtt's own. Raises ``ConfigInvalid`` when a secret file cannot be used."""
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # it would say each try of an outage of a night
    password = None
    if broker.password_file:
        problem = secret_problem(resolve(broker.password_file), "broker's password")
        if problem:
            raise ConfigInvalid([problem])
        password = resolve(broker.password_file).read_text().strip()
    link = aiomqtt.Client(
        **connection(broker, lambda name: str(resolve(name)), password),
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5 if broker.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        timeout=TIMEOUT_S,
        **options,  # type: ignore[arg-type]  # passed through to aiomqtt's own named parameters
    )
    link._client.on_disconnect = partial(_ended, link, "; it may not accept our certificate" if broker.tls else "")
    return link


def _ended(link: aiomqtt.Client, perhaps: str, *told: Any) -> None:
    """A connection that ends unanswered is at once an error: aiomqtt would wait for its time-out, and say no more than that."""
    if not link._connected.done():
        link._connected.set_exception(aiomqtt.MqttError(f"the broker closed the connection without an answer{perhaps}"))
    link._on_disconnect(*told)
