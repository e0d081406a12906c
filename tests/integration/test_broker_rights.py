"""What a broker lets a gateway do, as operators are told to set it up: its own topics alone, and nothing once it is removed."""

import asyncio
import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import aiomqtt
import pytest

from ingest.broker_acl import CENTRE, acl, user
from telemetry import topic
from telemetry.identity import GatewayRef
from telemetry.topic import DEFAULT_ROOT, Leaf
from tests.servers import HOST, Server, mosquitto, program_of

ONE, OTHER = (GatewayRef("411202002001", name) for name in ("gw-one", "gw-other"))
ANSWER_S = 30


class Guarded:
    """mosquitto with the passwords and rights of some gateways, and of the centre; each name is its password."""

    def __init__(self, folder: Path, refs: Sequence[GatewayRef]) -> None:
        self._passwords, self._rights = folder / "passwords", folder / "rights"
        self._admit(refs)
        files = f"password_file {self._passwords}\nacl_file {self._rights}\n"
        self.server: Server = mosquitto(folder, settings=f"allow_anonymous false\n{files}")

    def reload(self, refs: Sequence[GatewayRef]) -> None:
        """From now on, or a moment later, these are the gateways."""
        self._admit(refs)
        self.server.reload()

    def client(self, name: str) -> aiomqtt.Client:
        return aiomqtt.Client(HOST, self.server.port, username=name, password=name, identifier=name.replace("/", "-"))

    def _admit(self, refs: Sequence[GatewayRef]) -> None:
        self._passwords.write_text("")
        for name in (CENTRE, *map(user, refs)):
            said = [program_of("mosquitto_passwd", "mosquitto"), "-b", str(self._passwords), name, name]
            subprocess.run(said, check=True, capture_output=True, timeout=ANSWER_S)
        self._rights.write_text(acl(refs, DEFAULT_ROOT))


def place(ref: GatewayRef, leaf: Leaf) -> str:
    return topic.build(DEFAULT_ROOT, ref, leaf)


async def first(client: aiomqtt.Client) -> tuple[str, object]:
    message = await anext(aiter(client.messages))
    return message.topic.value, message.payload


async def test_a_gateway_says_nothing_in_the_name_of_another_and_hears_nothing_that_is_said_to_it(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, [ONE, OTHER])
    with guarded.server:
        async with (
            guarded.client(CENTRE) as centre,
            guarded.client(user(ONE)) as one,
            guarded.client(user(OTHER)) as other,
        ):
            await centre.subscribe(topic.everyone(DEFAULT_ROOT, Leaf.UP), qos=1)
            for gateway in (one, other):
                await gateway.subscribe("#", qos=1)
            for ref, leaf in ((OTHER, Leaf.UP), (OTHER, Leaf.STATE), (OTHER, Leaf.ACK), (ONE, Leaf.ACK)):
                await one.publish(place(ref, leaf), b"forged", qos=1)
            await one.publish(place(ONE, Leaf.UP), b"mine", qos=1)
            for ref in (OTHER, ONE):
                await centre.publish(place(ref, Leaf.ACK), str(ref).encode(), qos=1)
            assert await first(centre) == (place(ONE, Leaf.UP), b"mine")
            assert await first(one) == (place(ONE, Leaf.ACK), str(ONE).encode())
            assert await first(other) == (place(OTHER, Leaf.ACK), str(OTHER).encode())


async def test_a_gateway_that_is_removed_is_shut_out_though_it_is_connected_and_the_others_go_on(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, [ONE, OTHER])
    with guarded.server:
        async with guarded.client(CENTRE) as centre, guarded.client(user(OTHER)) as kept:
            await centre.subscribe(topic.everyone(DEFAULT_ROOT, Leaf.UP), qos=1)
            with contextlib.suppress(aiomqtt.MqttError):  # the broker may end its connection
                async with guarded.client(user(ONE)) as removed:
                    await removed.publish(place(ONE, Leaf.UP), b"before", qos=1)
                    assert await first(centre) == (place(ONE, Leaf.UP), b"before")
                    guarded.reload([OTHER])
                    await until_unheard(removed, kept, centre)
            await kept.publish(place(OTHER, Leaf.UP), b"still", qos=1)
            while (heard := await first(centre)) != (place(OTHER, Leaf.UP), b"still"):
                assert heard[1] == b"after"
            with pytest.raises(aiomqtt.MqttError, match=r"(?i)not authori[sz]ed|refused"):
                await guarded.client(user(ONE)).__aenter__()


async def until_unheard(removed: aiomqtt.Client, kept: aiomqtt.Client, centre: aiomqtt.Client) -> None:
    """Both speak in turns, until the centre hears ``kept`` alone."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            await removed.publish(place(ONE, Leaf.UP), b"after", qos=1)
            await kept.publish(place(OTHER, Leaf.UP), b"after", qos=1)
            if await first(centre) == (place(OTHER, Leaf.UP), b"after"):
                return
            assert await first(centre) == (place(OTHER, Leaf.UP), b"after")
