"""Where the database is: what an address may say, and what of it is refused before anything is opened."""

from pathlib import Path

import pytest

from ingest.database import Server, place_of
from telemetry.errors import ConfigInvalid


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    password, ca = tmp_path / "password", tmp_path / "ca.pem"
    password.write_text("open sesame\n")
    password.chmod(0o600)
    ca.write_text("")
    return password, ca


def problems(spec: str, folder: Path, *files: Path | None) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        place_of(spec, folder, *files)
    return [f"{problem.path}: {problem.reason}" for problem in caught.value.problems]


def test_without_a_word_it_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert place_of("sqlite", tmp_path) == tmp_path / "centre.db"


def test_an_address_names_host_port_database_and_user(tmp_path: Path, files: tuple[Path, Path]) -> None:
    password, ca = files
    found = place_of("postgresql://li%20nli@db.example.org:6432/wuye", tmp_path, password, ca)
    assert found == Server("db.example.org", "wuye", 6432, "li nli", password, ca)


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        ("postgresql:///linli", "/run/postgresql"),
        ("postgresql://centre@/linli?host=/tmp/sockets", "/tmp/sockets"),
        ("postgresql://127.0.0.1/linli", "127.0.0.1"),
        ("postgresql://[::1]/linli", "::1"),
    ],
)
def test_a_server_of_this_machine_needs_no_certificate(spec: str, host: str, tmp_path: Path) -> None:
    found = place_of(spec, tmp_path)
    assert isinstance(found, Server)
    assert (found.host, found.name, found.port, found.is_here) == (host, "linli", 5432, True)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("duckdb", "'duckdb' is not a kind of database"),
        ("mysql://localhost/linli", "'mysql' is not a kind of database"),
        ("postgresql://[::1/linli", "the address is not a URL"),
        ("postgresql://localhost:0/linli", "no server listens on port 0"),
        ("postgresql://localhost:99999/linli", "the address is not a URL"),
        ("postgresql://localhost/", "the address does not end with the name of a database"),
        ("postgresql://localhost/a/b", "the address does not end with the name of a database"),
        ("postgresql://localhost/linli?sslmode=disable", "only the folder of a socket may follow the name"),
        ("postgresql://localhost/linli?host=/tmp", "only the folder of a socket may follow the name"),
        ("postgresql:///linli?host=elsewhere.org", "only the folder of a socket may follow the name"),
        ("postgresql://db.example.org/linli", "nothing says which certificate db.example.org must show"),
        ("postgresql://127.0.0.1.example.org/linli", "nothing says which certificate 127.0.0.1.example.org must show"),
    ],
)
def test_what_is_no_place_for_a_database_is_refused(spec: str, reason: str, tmp_path: Path) -> None:
    assert f"database: {reason}" in problems(spec, tmp_path)


def test_a_password_in_the_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (said,) = problems("postgresql://linli:open-sesame@localhost/linli", tmp_path)
    assert said == "database: a password does not belong into the address"


def test_a_password_that_others_can_read_and_an_authority_that_is_not_there_are_refused(files: tuple[Path, Path]) -> None:
    password, ca = files
    password.chmod(0o644)
    ca.unlink()
    found = problems("postgresql://db.example.org/linli", password.parent, password, ca)
    assert found == [f"database_ca_file: no file {ca}", ": the database's password can be read by others (mode 0644)"]


def test_a_file_has_neither_password_nor_certificate(files: tuple[Path, Path]) -> None:
    (said,) = problems("sqlite", files[0].parent, files[0])
    assert said == "database: a SQLite file has neither password nor certificate"
