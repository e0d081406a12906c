"""``linli tap`` on a broker that lets nobody in without a password, with the access list that Linli prints."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from ingest.broker_acl import acl, user
from telemetry import batch, topic
from telemetry.batch import Batch, Lane
from telemetry.identity import GatewayRef
from telemetry.metric import Kind
from telemetry.reading import Reading
from telemetry.topic import Leaf
from tests.servers import Server, mosquitto

REF = GatewayRef("411202002001", "gw-b3")
OTHER = GatewayRef("411202002001", "gw-b4")
T = 1_760_000_000_000_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    passwords, access = tmp_path / "passwords", tmp_path / "acl"
    passwords.touch()
    for name in ("centre", user(REF)):
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), name, f"word-of-{name}"], check=True)
    access.write_text(acl([REF, OTHER], topic.DEFAULT_ROOT))
    for file in (tmp_path, passwords, access):
        file.chmod(0o755)
    with mosquitto(tmp_path, settings=f"allow_anonymous false\npassword_file {passwords}\nacl_file {access}\n") as server:
        yield server


def centre_file(folder: Path, port: int) -> Path:
    password, file = folder / "broker-password", folder / "centre.yaml"
    password.touch(mode=0o600)
    password.write_text("word-of-centre\n")
    broker = f"{{url: 'mqtt://127.0.0.1:{port}', user: centre, password_file: broker-password}}"
    file.write_text(f"{{broker: {broker}, gateways_file: g.yaml, tokens_file: t.yaml, rules: ['.']}}")
    return file


def sealed(ref: GatewayRef, seq: int) -> bytes:
    reading = Reading(device="b3-roof-door", kind=Kind.ACCESS, at=T, values={"door_open": True})
    made = Batch(gateway=ref.gateway, epoch="0" * 16, lane=Lane.URGENT, seq=seq, sealed_at=T, sent_at=T, readings=[reading])
    return batch.encode(made)


async def test_with_the_centres_file_it_hears_each_gateway_on_its_own_topic_alone(tmp_path: Path, broker: Server) -> None:
    words = (sys.executable, "-m", "linli", "tap", "--config", str(centre_file(tmp_path, broker.port)))
    tap = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert tap.stdout is not None
    lines: list[str] = []
    try:
        async with aiomqtt.Client("127.0.0.1", broker.port, username=user(REF), password=f"word-of-{user(REF)}") as gateway:
            for seq in range(1, 80):  # it hears us from the moment it has subscribed
                for ref in (OTHER, REF):
                    await gateway.publish(topic.build(topic.DEFAULT_ROOT, ref, Leaf.UP), sealed(ref, seq), qos=1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        while len(lines) < 4:
                            lines.append((await tap.stdout.readline()).decode())
                if len(lines) == 4:
                    break
    finally:
        tap.kill()
        await tap.wait()
    assert ["gw-b3 urgent #" in line for line in lines] == [True, False, True, False], "and nothing in the name of gw-b4"
    assert lines[1].endswith("b3-roof-door (access) door_open=True\n")


def test_without_a_password_it_says_so_in_one_line(broker: Server) -> None:
    command = [sys.executable, "-m", "linli", "tap", "--broker", f"mqtt://127.0.0.1:{broker.port}"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "authori" in refused.stderr
