"""The centre's database in a file and on a server: `make bench NAME=database`; one alone: `python -m bench.database sqlite`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

import psycopg
import sqlalchemy as sa

import ingest.service  # noqa: F401 - declares every table of the centre
from bench.report import Row, run
from ingest.alerts.tables import rule_state, watermark
from ingest.database import Database, Place, Server, upsert
from tests.servers import HOST, postgresql

TIMES = 400
GROUPS = 10
STATES = 2_000
MARK = {"community": "411202002001", "gateway": "gw-1", "epoch": "0" * 16, "lane": "bulk"}
WORDS = dict.fromkeys(("rule", "subject", "gateway", "lane", "device"), "b3-pump-room-level")
STATE = {
    "community": "411202002001",
    "discriminator": "",
    "version": 1,
    "at": 0,
    "lag": 0,
    "trail": 0,
    "body": b"x" * 120,
    **WORDS,
}


def sqlite(folder: Path) -> Iterator[Row]:
    return asyncio.run(measured("SQLite", folder / "centre.db"))


def server(folder: Path) -> Iterator[Row]:
    folder.chmod(0o755)  # it will not run as root
    with postgresql(folder) as it:
        place = Server(HOST, "postgres", it.port, "linli")
        rows = asyncio.run(measured("PostgreSQL, loopback", place))
        socket = place._replace(host=str(it.folder))
        return iter([*rows, *asyncio.run(measured("PostgreSQL, socket", socket))])


async def measured(name: str, place: Place) -> Iterator[Row]:
    database = Database(place)
    rows = [
        Row(f"{name}: a write of one row, median", await _ms(lambda n: database.write(lambda it: _mark(it, n)), TIMES), "ms"),
        Row(f"{name}: a read of one row, median", await _ms(lambda _: database.read(_look), TIMES), "ms"),
        Row(
            f"{name}: a write of {STATES} states, median",
            await _ms(lambda n: database.write(lambda it: _states(it, n)), GROUPS),
            "ms",
        ),
    ]
    database.close()
    return iter(rows)


async def _ms(do: Callable[[int], Awaitable[object]], times: int) -> float:
    spent = []
    for number in range(times):
        begun = time.perf_counter()
        await do(number)
        spent.append(time.perf_counter() - begun)
    return median(spent) * 1_000


def _mark(connection: sa.Connection, number: int) -> None:
    upsert(connection, watermark, [MARK | {"seq": number}])


def _look(connection: sa.Connection) -> object:
    return connection.execute(sa.select(watermark)).all()


def _states(connection: sa.Connection, number: int) -> None:
    upsert(connection, rule_state, [STATE | {"at": number, "subject": f"gw-1/{each}"} for each in range(STATES)])


if __name__ == "__main__":
    versions = {"sqlalchemy": sa.__version__, "psycopg": psycopg.__version__}
    sys.exit(run({"sqlite": sqlite, "postgresql": server}, sys.argv[1:], Path(__file__).with_name("results.json"), versions))
