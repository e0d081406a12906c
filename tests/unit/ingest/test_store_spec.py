"""Which store a configuration means, and how a wrong one is refused."""

from pathlib import Path

import pytest

from ingest.database import Database
from ingest.store import Address, Compression, EmbeddedStore, InfluxStore, Profile, open_store
from ingest.store.spec import address_of, check_spec, compressed
from telemetry.errors import ConfigInvalid

LOGIN = {"LINLI_INFLUX_USER": "centre", "LINLI_INFLUX_PASSWORD": "open sesame"}

TOKEN = {"LINLI_INFLUX_TOKEN": "open sesame"}


async def test_the_two_kinds_of_store(tmp_path: Path) -> None:
    database = Database(tmp_path / "centre.sqlite")
    embedded = open_store("duckdb", tmp_path, database, {})
    influx = open_store("influx:http://127.0.0.1:8086/linli", tmp_path, database, {})
    assert isinstance(embedded, EmbeddedStore)
    assert isinstance(influx, InfluxStore)
    await embedded.close()
    await influx.close()
    database.close()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("influx:http://127.0.0.1:8428/linli", Address("http://127.0.0.1:8428", "linli")),
        ("influx:https://tsdb.example/linli_2", Address("https://tsdb.example:8086", "linli_2")),
        ("influx:http://[::1]:8086/linli/", Address("http://[::1]:8086", "linli")),
        ("influx1:http://127.0.0.1/linli", Address("http://127.0.0.1:8086", "linli", profile=Profile.V1)),
        ("influx2:http://127.0.0.1/linli", Address("http://127.0.0.1:8086", "linli", profile=Profile.V2)),
        ("influx3:http://127.0.0.1/linli", Address("http://127.0.0.1:8181", "linli", profile=Profile.V3)),
        ("victoria:http://127.0.0.1/linli", Address("http://127.0.0.1:8428", "linli", profile=Profile.VICTORIA)),
    ],
)
def test_an_address_is_a_server_and_a_database(spec: str, expected: Address) -> None:
    assert address_of(spec, {}) == expected


@pytest.mark.parametrize(
    ("url", "compression", "gzip"),
    [
        ("http://127.0.0.1:8428", "auto", False),
        ("http://[::1]:8428", "auto", False),
        ("http://10.0.0.9:8428", "auto", True),
        ("https://localhost.example:8428", "auto", True),
        ("http://127.0.0.1:8428", "gzip", True),
        ("https://tsdb.example:8086", "none", False),
    ],
)
def test_lines_are_deflated_unless_they_stay_on_this_machine(url: str, compression: Compression, gzip: bool) -> None:
    assert compressed(Address(url, "linli"), compression).gzip is gzip


@pytest.mark.parametrize(
    ("spec", "environ", "reason"),
    [
        ("sqlite", {}, "'sqlite' is not a kind of store"),
        ("", {}, "'' is not a kind of store"),
        ("influx:ftp://host/db", {}, "not an http or https address"),
        ("influx:127.0.0.1:8086/db", {}, "not an http or https address"),
        ("influx:http://host:port/db", {}, "not a URL"),
        ("influx:http://host:8086", {}, "does not end with the name of a database"),
        ("influx:http://host:8086/a/b", {}, "does not end with the name of a database"),
        ('influx:http://host:8086/a"b', {}, "does not end with the name of a database"),
        ("influx:http://host:8086/db?u=x", {}, "does not end with the name of a database"),
        ("influx:http://centre:sesame@127.0.0.1:8086/db", {}, "does not belong into the address"),
        ("influx:http://10.0.0.9:8086/db", LOGIN, "clear text"),
        ("influx:http://10.0.0.9:8086/db", TOKEN, "clear text"),
        ("influx:http://127.0.0.1:8086/db", {**LOGIN, **TOKEN}, "two ways to say the same"),
        ("influx2:http://127.0.0.1:8086?org=wuye&bucket=linli", LOGIN, "wants a token"),
        ("influx2:http://127.0.0.1:8086?org=wuye", TOKEN, "does not end with the name of a database"),
        ("influx2:http://127.0.0.1:8086/db?org=" + "x" * 129, TOKEN, "at most 128 characters"),
        ("influx2:http://127.0.0.1:8086/db?org=a%0Ab", TOKEN, "at most 128 characters"),
        ("influx:http://127.0.0.1:8086/db?org=wuye", TOKEN, "only influx2: has an organization"),
    ],
)
def test_a_wrong_one_is_refused_with_its_cure_and_no_secret(
    spec: str, environ: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        open_store(spec, Path(), None, environ)  # type: ignore[arg-type]  # it is refused before it matters
    (problem,) = refused.value.problems
    assert reason in problem.reason
    assert problem.cure
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8086", "localhost:8086", "[::1]:8086"])
def test_a_login_comes_from_the_environment_and_is_never_shown(host: str) -> None:
    address = address_of(f"influx:http://{host}/linli", LOGIN)
    assert address.login == ("centre", "open sesame")
    assert "sesame" not in f"{address} {address!r}"


def test_an_organization_may_be_named_in_chinese() -> None:
    address = address_of("influx2:http://127.0.0.1:8086?org=%E7%89%A9%E4%B8%9A&bucket=linli", TOKEN)
    assert (address.org, address.db, address.token) == ("物业", "linli", "open sesame")
    assert address_of("influx2:http://127.0.0.1:8086?org=物业&bucket=linli", TOKEN) == address
    assert "sesame" not in f"{address} {address!r}"


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame")
    file.chmod(0o644)
    with pytest.raises(ConfigInvalid, match="can be read by others"):
        check_spec("influx:http://127.0.0.1:8086/linli", {}, file)
    file.chmod(0o600)
    check_spec("influx:http://127.0.0.1:8086/linli", {}, file)
