"""Every store that a contract test is run against, each as it really is."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ingest.store import PointStore
from tests.servers import Server, influxdb, victoria_metrics
from tests.shelf import Shelf


@pytest.fixture(scope="module", params=["duckdb", "influxdb", "victoria-metrics"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server | None]:
    start: Callable[[Path], Server] | None = {"influxdb": influxdb, "victoria-metrics": victoria_metrics}.get(request.param)
    if start is None:
        yield None
    else:
        with start(tmp_path_factory.mktemp("server")) as running:
            yield running


_databases = count(1)


@pytest.fixture
def shelf(server: Server | None, tmp_path: Path) -> Shelf:
    return Shelf("duckdb" if server is None else f"influx:{server.url}/linli-{next(_databases)}", tmp_path, server)


@pytest.fixture
async def store(shelf: Shelf) -> AsyncIterator[PointStore]:
    async with shelf.opened() as opened:
        yield opened
