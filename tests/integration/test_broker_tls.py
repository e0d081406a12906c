"""Beyond loopback there is TLS alone: the broker is known by its certificate, and each side by its password."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from edge.broker import client
from telemetry.broker import Broker
from tests.servers import Server, mosquitto

SETTINGS = """allow_anonymous false
password_file {folder}/passwords
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.2
"""


def openssl(folder: Path, *words: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def authority(folder: Path, name: str) -> None:
    words = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
    openssl(folder, *words, "-keyout", f"{name}.key", "-out", f"{name}.pem")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    authority(tmp_path, "ca")
    authority(tmp_path, "other")
    openssl(
        tmp_path, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "broker.key", "-out", "broker.csr"
    )
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = ("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl(tmp_path, *sign, "-extfile", "names", "-out", "broker.pem")
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "passwords"), "gateway", "right"], check=True, timeout=30)
    for name, secret in (("right", "right"), ("wrong", "wrong")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(secret)
    with mosquitto(tmp_path, settings=SETTINGS.format(folder=tmp_path)) as server:
        yield server


def reached(
    broker: Server, folder: Path, *, ca: str = "ca.pem", password: str = "right", host: str = "localhost"
) -> aiomqtt.Client:
    address = Broker(f"mqtts://{host}:{broker.port}", user="gateway", password_file=password, ca_file=ca)
    return client(address, lambda name: folder / name, "linli-test")


async def test_the_right_authority_and_password_get_through(tmp_path: Path, broker: Server) -> None:
    async with reached(broker, tmp_path) as link:
        await link.publish("a/b", b"x", qos=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ca": "other.pem"}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, "IP address mismatch"),
        ({"password": "wrong"}, "authori"),
    ],
)
async def test_another_authority_name_or_password_do_not(
    tmp_path: Path, broker: Server, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(aiomqtt.MqttError, match=reason):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(reached(broker, tmp_path, **change))
