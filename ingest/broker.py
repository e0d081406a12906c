"""The centre's way to its broker, as ``centre.yaml`` describes it."""

import logging
import ssl

import aiomqtt

from ingest.config import CentreConfig
from ingest.mqtt import Address
from ingest.secret_file import read_secret
from telemetry.broker import connection
from telemetry.errors import ConfigInvalid, Problem


def address(config: CentreConfig, identifier: str) -> Address:
    """Where and how to connect, secrets read and certificates loaded. Raises ``ConfigInvalid``."""
    broker = config.centre.broker
    return Address(
        host=broker.host,
        port=broker.port,
        identifier=identifier,
        user=broker.user,
        password=_password(config),
        keepalive_s=broker.keepalive_s,
        v5=broker.protocol == "5",
        secure=_context(config) if broker.tls else None,
    )


def client(config: CentreConfig, identifier: str, *, max_queued_incoming_messages: int) -> aiomqtt.Client:
    """An unconnected client for those who only look on; what comes past its queue is dropped. Raises ``ConfigInvalid``."""
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # it would say each try and each drop
    broker = config.centre.broker
    return aiomqtt.Client(
        **connection(broker, lambda name: str(config.path(name)), _password(config)),
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5 if broker.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        clean_session=True if broker.protocol == "3.1.1" else None,
        timeout=10.0,
        max_queued_incoming_messages=max_queued_incoming_messages,
    )


def _password(config: CentreConfig) -> str | None:
    file = config.centre.broker.password_file
    return read_secret(config.path(file), "the broker's password").strip() if file else None


def _context(config: CentreConfig) -> ssl.SSLContext:
    """The broker is known by its certificate and name."""
    broker = config.centre.broker
    try:
        context = ssl.create_default_context(cafile=str(config.path(broker.ca_file)) if broker.ca_file else None)
        if broker.certificate_file:
            key = str(config.path(broker.certificate_key_file)) if broker.certificate_key_file else None
            context.load_cert_chain(str(config.path(broker.certificate_file)), key)
    except (OSError, ssl.SSLError) as error:
        cure = "name PEM files that belong together"
        raise ConfigInvalid([Problem(str(config.file), "broker", f"its certificates cannot be used: {error}", cure)]) from error
    return context
