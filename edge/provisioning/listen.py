"""Hears what an MQTT device says, on a connection of its own: a broker, unlike a bus, takes any number of listeners."""

import asyncio
import secrets
import time
from typing import NamedTuple

import aiomqtt

from device_profiles import Keys, Library, Message, Observation, PayloadInvalid, extract, subscriptions
from edge.config import DeviceBroker, DeviceConfig, GatewayConfig, read_key
from edge.uplink import client
from telemetry.errors import BrokerUnavailable

MAX_OBSERVATIONS = 200
MAX_UNDECODABLE = 20
MAX_PAYLOAD = 1 << 20


class Heard(NamedTuple):
    """What messages said, oldest first, and why others could not be read."""

    observations: tuple[Observation, ...]
    undecodable: tuple[str, ...]


async def listen(
    config: GatewayConfig, library: Library, device: DeviceConfig, seconds: float, enough: int | None = None
) -> Heard:
    """Listens for ``seconds``, or until ``enough`` observations came. Raises ``BrokerUnavailable`` or ``ConfigInvalid``.

    Plates and cards are hashed and masked here as everywhere.
    """
    broker = next(broker for broker in config.gateway.brokers if broker.id == device.address.broker)
    privacy = config.gateway.privacy
    keys = Keys(read_key(config.path(privacy.key_file), "community's privacy key"), frozenset(privacy.clear))
    profile = library.profiles[device.profile]
    observations: list[Observation] = []
    undecodable: list[str] = []
    try:
        async with _link(config, broker) as link, asyncio.timeout(seconds):
            for topic in subscriptions(profile, device.address.topic):
                await link.subscribe(topic, qos=0)
            async for message in link.messages:
                try:
                    observations += extract(profile, device.address.topic, _message(message), keys)
                except PayloadInvalid as error:
                    undecodable.append(str(error))
                if len(observations) >= (enough or MAX_OBSERVATIONS) or len(undecodable) >= MAX_UNDECODABLE:
                    break
    except TimeoutError:
        pass
    except aiomqtt.MqttError as error:
        raise BrokerUnavailable(f"broker {broker.id} ({broker.url}) cannot be used: {error}") from error
    return Heard(tuple(observations), tuple(undecodable))


def _link(config: GatewayConfig, broker: DeviceBroker) -> aiomqtt.Client:
    identifier = f"linli-probe-{secrets.token_hex(4)}"
    return client(broker, config.path, identifier, max_queued_incoming_messages=MAX_OBSERVATIONS)


def _message(message: aiomqtt.Message) -> Message:
    payload = message.payload if isinstance(message.payload, bytes) else b""
    if len(payload) > MAX_PAYLOAD:
        raise PayloadInvalid(f"{message.topic}: a payload of {len(payload)} bytes")
    return Message(str(message.topic), payload, bool(message.retain), time.time_ns() // 1000)
