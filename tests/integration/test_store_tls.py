"""A server of the store with a certificate of the site's own authority, which may want one of the centre too."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.arrival import Arrival
from ingest.database import Database
from ingest.store import Tls, check_spec, open_store
from linli.commands.influx import influx
from telemetry.errors import ConfigInvalid, StoreUnavailable
from telemetry.identity import Stream
from telemetry.metric import Kind
from telemetry.reading import Reading
from tests.certificates import authority, issue
from tests.scripted_influx import HOST, Influx2, Influx3, Reply, Request, Scripted, scripted

STREAM = Stream("411202002001", "gw-jianye-1", "0123456789abcdef", "bulk")
READING = Reading(device="yard", kind=Kind.ENVIRONMENT, at=1_790_000_000_000_000, values={"rain": 0.5})
Answer = Callable[[Request], Reply]
KEEPS = Influx3("open sesame")
TOKEN = {"LINLI_INFLUX_TOKEN": "open sesame"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("ca", "stranger"):
        authority(tmp_path, name)
    issue(tmp_path, "server", HOST, names=f"IP:{HOST}")
    issue(tmp_path, "elsewhere", "elsewhere.example", names="DNS:elsewhere.example")
    issue(tmp_path, "centre", "centre")
    issue(tmp_path, "other", "other", authority="stranger")
    for name in ("centre", "other"):
        (tmp_path / f"{name}.key").chmod(0o600)
    return tmp_path


@asynccontextmanager
async def server(files: Path, name: str = "server", *, known: bool = False, answer: Answer = KEEPS) -> AsyncIterator[Scripted]:
    """It takes part in TLS for real; ``known``: only with who shows a certificate of the authority."""
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files / "ca.pem" if known else None)
    secure.load_cert_chain(files / f"{name}.pem", files / f"{name}.key")
    secure.verify_mode = ssl.CERT_REQUIRED if known else ssl.CERT_NONE
    async with scripted(answer, secure=secure) as there:
        yield there


def tls_of(files: Path, ca: str = "ca", own: str = "") -> Tls:
    return Tls(files / f"{ca}.pem", files / f"{own}.pem", files / f"{own}.key") if own else Tls(files / f"{ca}.pem")


def own_of(tls: Tls) -> str:
    return tls.certificate_file.stem if tls.certificate_file else "nobody"


async def kept(files: Path, there: Scripted, tls: Tls) -> int:
    """How many requests brought lines. Raises ``StoreUnavailable``."""
    database = Database(files / f"{own_of(tls)}.sqlite")
    store = open_store(f"influx3:{there.url}/linli", files, database, TOKEN, tls=tls)
    try:
        await store.open()
        await store.write([Arrival(STREAM, 1, [READING], READING.at)])
    finally:
        await store.close()
        database.close()
    return len(there.of("/api/v3/write_lp"))


async def test_a_server_is_known_by_the_authority_that_is_named_and_the_centre_by_its_certificate(files: Path) -> None:
    async with server(files) as there:
        assert await kept(files, there, tls_of(files)) == 1
    async with server(files, known=True) as there:
        assert await kept(files, there, tls_of(files, own="centre")) == 1


@pytest.mark.parametrize(
    ("name", "known", "ca", "own"),
    [
        ("server", False, "stranger", ""),
        ("elsewhere", False, "ca", ""),
        ("server", True, "ca", ""),
        ("server", True, "ca", "other"),
    ],
    ids=["another authority", "another name", "who says nothing", "who is of another authority"],
)
async def test_nothing_is_said_to_who_is_not_known(files: Path, name: str, known: bool, ca: str, own: str) -> None:
    async with server(files, name, known=known) as there:
        with pytest.raises(StoreUnavailable):
            await kept(files, there, tls_of(files, ca, own))
        assert there.asked == []


async def test_without_a_file_the_authorities_of_the_system_count(files: Path) -> None:
    async with server(files) as there:
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await kept(files, there, Tls())


@pytest.mark.parametrize(
    ("spec", "names", "said"),
    [
        ("influx:https://a.example/db", ("none.pem", None, None), "store_ca_file: .*none.pem cannot be used"),
        ("influx:https://a.example/db", ("centre.key", None, None), "store_ca_file: .*centre.key cannot be used"),
        ("influx:https://a.example/db", (None, "centre.pem", None), "go together"),
        ("influx:https://a.example/db", (None, "centre.pem", "other.key"), "store_certificate_file: .* cannot be used"),
        ("influx:https://a.example/db", (None, "server.pem", "server.key"), "can be read by others"),
        ("influx:http://127.0.0.1/db", ("ca.pem", None, None), "certificates are for https alone"),
        ("duckdb", ("ca.pem", None, None), "duckdb is no server"),
    ],
)
def test_files_that_cannot_do_are_refused_before_anything_starts(
    files: Path, spec: str, names: tuple[str | None, str | None, str | None], said: str
) -> None:
    (files / "server.key").chmod(0o644)
    with pytest.raises(ConfigInvalid, match=said):
        check_spec(spec, {}, tls=Tls(*(files / name if name else None for name in names)))


CENTRE = """
broker: {{url: "mqtt://127.0.0.1"}}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules]
store: "influx2:{url}?org=wuye&bucket=linli"
store_token_file: made
store_ca_file: ca.pem
store_certificate_file: centre.pem
store_certificate_key_file: centre.key
"""


async def test_a_server_is_set_up_over_the_same_certificates(files: Path) -> None:
    (files / "rules").mkdir()
    async with server(files, known=True, answer=Influx2("operator")) as there:
        (files / "centre.yaml").write_text(CENTRE.format(url=there.url))
        asked = ["setup", "--config", str(files / "centre.yaml")]
        done = await asyncio.to_thread(CliRunner(env={"LINLI_INFLUX_ADMIN_TOKEN": "operator"}).invoke, influx, asked)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "bucket linli: made" in done.output
