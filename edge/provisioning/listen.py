"""Hears what an MQTT device says, on a connection of its own: a broker, unlike a bus, takes any number of listeners."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import aiomqtt

from device_profiles import Keys, Library, Message, Observation, PayloadInvalid, extract, subscriptions
from edge.broker import client
from edge.config import DeviceBroker, DeviceConfig, GatewayConfig, profile_of, read_key
from telemetry.errors import BrokerUnavailable
from telemetry.metric import Value

MAX_MESSAGES = 200
MAX_PAYLOAD = 1 << 20


class Heard(NamedTuple):
    """What messages said, oldest first, and why others could not be read."""

    observations: tuple[Observation, ...]
    undecodable: tuple[str, ...]


class Alive(Protocol):
    """What has values: an observation, or what an installer is shown of one."""

    @property
    def values(self) -> Mapping[str, Value]: ...


async def listen(
    config: GatewayConfig, library: Library, device: DeviceConfig, seconds: float, enough: int | None = None
) -> Heard:
    """Listens for ``seconds``, or until ``enough`` signs of life came. Raises ``BrokerUnavailable`` or ``ConfigInvalid``.

    Plates and cards are hashed and masked here as everywhere.
    """
    broker = next(broker for broker in config.gateway.brokers if broker.id == device.address.broker)
    privacy = config.gateway.privacy
    keys = Keys(read_key(config.path(privacy.key_file), "community's privacy key"), frozenset(privacy.clear))
    profile = profile_of(device, library)
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
                alive = sum(map(is_alive, observations))
                if (enough and alive >= enough) or len(observations) + len(undecodable) >= MAX_MESSAGES:
                    break
    except TimeoutError:
        pass
    except aiomqtt.MqttError as error:
        raise BrokerUnavailable(f"broker {broker.id} ({broker.url}) cannot be used: {error}") from error
    return Heard(tuple(observations), tuple(undecodable))


def is_alive(observation: Alive) -> bool:
    """Whether the device itself spoke; a bridge that calls it offline does not count."""
    return observation.values.get("online") is not False


def _link(config: GatewayConfig, broker: DeviceBroker) -> aiomqtt.Client:
    identifier = f"linli-probe-{secrets.token_hex(4)}"
    return client(broker, config.path, identifier, max_queued_incoming_messages=MAX_MESSAGES)


def _message(message: aiomqtt.Message) -> Message:
    payload = message.payload if isinstance(message.payload, bytes) else b""
    if len(payload) > MAX_PAYLOAD:
        raise PayloadInvalid(f"{message.topic}: a payload of {len(payload)} bytes")
    return Message(str(message.topic), payload, bool(message.retain), time.time_ns() // 1000)
