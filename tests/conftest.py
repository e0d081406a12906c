"""A database of each kind for the tests that are to hold on both."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.database import Place, Server, database
from tests.databases import Postgresqls, folder_for_anyone
from tests.servers import postgresql


@pytest.fixture(scope="session")
def postgresqls() -> Iterator[Postgresqls]:
    """A server for as long as the tests run; those that need it skip when it is not installed."""
    with folder_for_anyone() as folder, postgresql(folder) as server:
        yield Postgresqls(server)
        server.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked ``both_databases`` runs on each, but for one that is about the file itself: ``sqlite_file``."""
    marked = metafunc.definition.get_closest_marker
    if marked("both_databases"):
        kinds = ("sqlite",) if marked("sqlite_file") else ("sqlite", "postgresql")
        metafunc.fixturenames.insert(0, "each_database")
        metafunc.parametrize("each_database", kinds, indirect=True)


@pytest.fixture
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On ``postgresql``, a database of the server stands for each file that the test would have made."""
    if request.param == "sqlite":
        yield
        return
    databases: Postgresqls = request.getfixturevalue("postgresqls")
    servers: dict[Place, Server] = defaultdict(databases.fresh)
    backend = database.backend_of
    monkeypatch.setattr(database, "backend_of", lambda place: backend(servers[place]))
    yield
    for server in servers.values():
        databases.drop(server)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a test's own database is, migrated to the newest revision or not made yet."""
    if request.param == "sqlite":
        yield tmp_path / "centre.db"
        return
    databases: Postgresqls = request.getfixturevalue("postgresqls")
    server = databases.fresh()
    yield server
    databases.drop(server)
