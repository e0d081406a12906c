"""Rows 9 and 10: the database dies, is away for long, answers with errors, slowly, or not to the point."""

import random
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
import pytest

from tests.databases import folder_for_anyone
from tests.faults.rig import Rig
from tests.servers import HOST, influxdb, postgresql

pytestmark = pytest.mark.slow

GROWTH = 40 << 20
STOPPED_WITHIN_S = 10.0
"""Less than an answer of the database is waited for."""


def test_row_9_while_the_database_is_away_the_queue_grows_on_the_gateways_disk_and_nowhere_else(tmp_path: Path) -> None:
    with influxdb(tmp_path) as database, Rig(tmp_path, store=f"influx:{database.url}/linli") as rig:
        rig.start()
        rig.until_accepted(200)
        memory = {program: psutil.Process(program.pid).memory_info().rss for program in (rig.edge, rig.centre)}
        database.kill()
        rig.until_accepted(600)
        rig.until(lambda: rig.http.get("/healthz").json()["status"] == "failing", 10, "the centre says so")
        for program, before in memory.items():
            assert psutil.Process(program.pid).memory_info().rss < before + GROWTH, program.name
        assert rig.alerts(), "a dead database mutes the rules"
        database.start()
        rig.settle()
        assert rig.verdict() == []


def test_row_9_a_centre_stops_at_once_though_its_database_hangs_in_the_middle_of_a_write(tmp_path: Path) -> None:
    with influxdb(tmp_path) as database, Rig(tmp_path, store=f"influx:{database.url}/linli") as rig:
        rig.start()
        rig.until_accepted(200)
        database.pause()
        rig.until_accepted(400)
        rig.centre.signal(signal.SIGTERM)
        assert rig.centre.wait(STOPPED_WITHIN_S) == 0
        database.resume()
        rig.centre.start()
        rig.settle()
        assert rig.verdict() == []


def test_row_9_a_database_server_that_is_killed_again_and_again_costs_neither_reading_nor_alert(
    tmp_path: Path, chance: random.Random
) -> None:
    with folder_for_anyone() as folder, postgresql(folder) as server:
        with psycopg.connect(host=HOST, port=server.port, user="linli", dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE linli")
        with Rig(tmp_path, database=f"postgresql://linli@{HOST}:{server.port}/linli") as rig:
            rig.start()
            for _ in range(4):
                rig.until_accepted(chance.randint(40, 120))
                server.kill()
                time.sleep(chance.uniform(0.0, 1.0))
                server.start()
            rig.settle()
            assert rig.verdict() == []
            assert rig.alerts()


def test_row_10_a_database_that_answers_all_sorts_of_things_delays_and_doubles_nothing(
    tmp_path: Path, chance: random.Random
) -> None:
    with influxdb(tmp_path) as database, Moody(database.port, chance) as moody, before(moody, tmp_path) as rig:
        rig.start()
        moody.mood = 0.5
        rig.until(lambda: len(moody.answered) >= 4, 30, "four kinds of trouble")
        moody.mood = 0.0
        rig.settle()
        assert rig.verdict() == []
        assert rig.metric("dead_letters") == 0


def before(moody: "Moody", folder: Path) -> Rig:
    return Rig(folder, store=f"influx:http://{HOST}:{moody.port}/linli")


class Moody:
    """Stands before a database; ``mood`` is the share of the writes that go wrong, in one of five ways."""

    WAYS = ("500", "503", "429", "slow", "cut", "stored and 500")

    def __init__(self, target: int, chance: random.Random) -> None:
        self.mood = 0.0
        self.answered: Counter[str] = Counter()
        self._chance = chance
        moody = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                way = moody.draw() if self.path.startswith("/write") else ""
                match way:
                    case "500" | "503" | "429":
                        self._say(int(way), b'{"error":"engine: cache maximum memory size exceeded"}')
                    case "cut":
                        self.connection.close()
                        self.close_connection = True
                    case "slow":
                        time.sleep(1.5)
                        self._pass_on(body)
                    case "stored and 500":
                        self._pass_on(body, instead=500)
                    case _:
                        self._pass_on(body)

            def _pass_on(self, body: bytes | None, instead: int | None = None) -> None:
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in ("host", "connection", "accept-encoding")
                }
                asked = urllib.request.Request(
                    f"http://{HOST}:{target}{self.path}", data=body, headers=headers, method=self.command
                )
                try:
                    with urllib.request.urlopen(asked, timeout=10) as answer:
                        status, said, kind = answer.status, answer.read(), answer.headers
                except urllib.error.HTTPError as error:
                    status, said, kind = error.code, error.read(), error.headers
                self._say(
                    instead or status,
                    said,
                    {name: kind[name] for name in kind if name.startswith("X-") or name == "Content-Encoding"},
                )

            def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Answer)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def draw(self) -> str:
        if self._chance.random() >= self.mood:
            return ""
        way = self._chance.choice(self.WAYS)
        self.answered[way] += 1
        return way

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
