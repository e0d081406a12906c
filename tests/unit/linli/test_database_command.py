"""``linli ingest db``: what operators ask of the centre's database, and that nothing happens to one that is in use."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest import migrations
from ingest.database import Database, Server, revision
from linli.commands.ingest import ingest
from telemetry.errors import ConfigInvalid
from tests.databases import Postgresqls

CENTRE = """
broker: {url: "mqtt://127.0.0.1"}
gateways_file: gateways.yaml
tokens_file: tokens.yaml
rules: [rules]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "centre.yaml").write_text(CENTRE)
    return tmp_path / "centre.yaml"


@pytest.fixture
def server(postgresqls: Postgresqls) -> Iterator[Server]:
    place = postgresqls.empty()
    yield place
    postgresqls.drop(place)


def db(config: Path, *words: str) -> Result:
    return CliRunner().invoke(ingest, ["db", *words, "--config", str(config)])


def test_the_revision_is_said_before_and_after_an_upgrade(config: Path) -> None:
    newest, file = migrations.newest(), config.parent / "data" / "centre.db"
    assert db(config, "current").output == f"{file}: revision none; this program's is {newest}\n"
    assert not file.exists()
    assert db(config, "upgrade").output == f"{file}: revision {newest}\n"
    assert db(config, "current").output == f"{file}: revision {newest}; this program's is {newest}\n"


def test_a_database_goes_back_only_when_told_so_twice(config: Path) -> None:
    file = config.parent / "data" / "centre.db"
    db(config, "upgrade")
    assert db(config, "downgrade", "--to", "0001").exit_code == 1  # nobody said yes
    assert revision(file) == migrations.newest()
    assert db(config, "downgrade", "--to", "0001", "--yes").exit_code == 0
    assert revision(file) == "0001"


@pytest.mark.parametrize("words", [("upgrade",), ("downgrade", "--to", "0001", "--yes")])
def test_what_a_running_centre_uses_is_left_alone(config: Path, words: tuple[str, ...]) -> None:
    (config.parent / "data").mkdir()
    with (config.parent / "data" / "ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = db(config, *words)
    assert isinstance(refused.exception, ConfigInvalid)
    assert "another centre runs" in str(refused.exception)
    assert revision(config.parent / "data" / "centre.db") is None


def test_a_file_is_copied_to_the_server_that_the_configuration_names(config: Path, server: Server) -> None:
    refused = db(config, "copy")
    assert "names no PostgreSQL server" in refused.output
    db(config, "upgrade")
    with config.open("a") as more:
        more.write(f"database: postgresql://{server.user}@{server.host}:{server.port}/{server.name}\n")
    copied = db(config, "copy")
    assert copied.output.endswith(f"{server}: 0 rows\n"), copied.output
    assert revision(server) == migrations.newest()
    Database(server).close()
