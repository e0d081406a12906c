"""An installer's verbs on a real device broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from device_profiles import Library
from edge.config import GatewayConfig
from edge.provisioning import devices_file
from edge.provisioning.add import Add, Added, Implausible
from edge.provisioning.probe import Probe, Probed
from edge.provisioning.reach import carry_out
from edge.provisioning.verbs import Result, Verb
from telemetry.errors import BrokerUnavailable, ConfigInvalid
from tests.installers import opened, write_gateway
from tests.servers import HOST, Server, mosquitto

OPEN = b'{"open": true, "battery": 97}'


class Door:
    """A gateway with one device broker, and the hand that opens the door."""

    def __init__(self, broker: Server, config: GatewayConfig, library: Library) -> None:
        self.broker = broker
        self.config = config
        self.library = library

    async def ask(self, verb: Verb) -> Result:
        return await carry_out(self.config, self.library, verb, lambda step: None)

    @contextlib.asynccontextmanager
    async def saying(self, payload: bytes) -> AsyncIterator[None]:
        """The device says this a few times a second."""

        async def say() -> None:
            async with aiomqtt.Client(HOST, self.broker.port) as device:
                while True:
                    await device.publish("bench/front", payload)
                    await asyncio.sleep(0.1)

        task = asyncio.create_task(say())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def written(self) -> list[str]:
        return [device.id for device in devices_file.load(self.config.devices_file)]


@pytest.fixture
def door(tmp_path: Path) -> Any:
    with mosquitto(tmp_path) as broker:
        yield Door(broker, *opened(write_gateway(tmp_path / "gw", brokers=[f'{{id: local, url: "{broker.url}"}}'])))


ADDRESS = {"broker": "local", "topic": {"name": "front"}}
DEVICE = {"id": "front-door", "profile": "bench-contact", "address": ADDRESS}


async def test_a_probe_shows_what_the_device_says(door: Door) -> None:
    async with door.saying(OPEN):
        probed = await door.ask(Probe(profile="bench-contact", address=ADDRESS, seconds=1))
    assert isinstance(probed, Probed)
    assert probed.observations[0].values == {"door_open": True, "battery": 97.0}
    assert len(probed.observations) > 1, "it listens for as long as it was told"
    assert probed.doubts == ()


async def test_a_probe_says_why_a_payload_cannot_be_read(door: Door) -> None:
    async with door.saying(b"{open"):
        probed = await door.ask(Probe(profile="bench-contact", address=ADDRESS, seconds=0.5))
    assert isinstance(probed, Probed)
    assert probed.observations == ()
    assert probed.undecodable
    assert probed.doubts[0][0] == "*"


async def test_a_device_is_taken_at_its_first_message(door: Door) -> None:
    async with door.saying(OPEN), asyncio.timeout(10):
        added = await door.ask(Add(device=DEVICE, seconds=60))
    assert isinstance(added, Added)
    assert added.probed is not None
    assert len(added.probed.observations) == 1
    assert door.written == ["front-door"]


async def test_a_mute_device_is_not_taken_unless_a_person_says_why(door: Door) -> None:
    with pytest.raises(Implausible, match="no message came"):
        await door.ask(Add(device=DEVICE, seconds=0.3))
    assert door.written == []
    added = await door.ask(Add(device=DEVICE, seconds=0.3, accept="the door is not hung yet"))
    assert isinstance(added, Added)
    assert added.waived == ("*: no message came",)
    assert door.written == ["front-door"]


async def test_a_parameter_of_the_topic_that_is_missing_or_unknown_is_refused(door: Door) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await door.ask(Probe(profile="bench-contact", address={"broker": "local", "topic": {"nme": "front"}}))
    assert {problem.path for problem in caught.value.problems} == {"address.topic.name", "address.topic.nme"}


async def test_a_broker_that_cannot_be_reached_is_an_error_that_names_it(door: Door) -> None:
    door.broker.stop()
    with pytest.raises(BrokerUnavailable, match="local"):
        await door.ask(Probe(profile="bench-contact", address=ADDRESS, seconds=1))
