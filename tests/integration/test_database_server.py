"""The centre's database on a real PostgreSQL server that is killed, cut off, taken by another centre, or not fit for it."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from ingest.alerts.tables import watermark
from ingest.database import Database, Server, upsert
from telemetry.errors import ConfigInvalid, StoreDiverged, StoreUnavailable
from tests.databases import Postgresqls, folder_for_anyone
from tests.servers import HOST, Postgresql, postgresql

STREAM = {"community": "411202002001", "gateway": "gw-1", "epoch": "0" * 16, "lane": "bulk"}


@pytest.fixture
def own_server() -> Iterator[Postgresql]:
    """A server of the test's own."""
    with folder_for_anyone() as folder, postgresql(folder) as server:
        yield server


@pytest.fixture
def empty(postgresqls: Postgresqls) -> Iterator[Server]:
    place = postgresqls.empty()
    yield place
    postgresqls.drop(place)


def put(seq: int, gateway: str = "gw-1") -> "sa.Executable":
    return watermark.insert().values(STREAM | {"gateway": gateway, "seq": seq})


async def marks(database: Database) -> dict[str, int]:
    rows = await database.read(lambda connection: connection.execute(sa.select(watermark.c.gateway, watermark.c.seq)).all())
    return {row.gateway: row.seq for row in rows}


async def when_it_is_back(database: Database, seq: int) -> None:
    """Writes again and again until it is taken, as a sink does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await database.write(lambda connection: upsert(connection, watermark, [STREAM | {"seq": seq}]))
            except StoreUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_write_is_there_if_and_only_if_it_was_confirmed_though_the_server_is_killed(
    own_server: Postgresql,
) -> None:
    database = Database(Server(HOST, "postgres", own_server.port, "linli"))
    harm = asyncio.create_task(asyncio.to_thread(kill_and_start, own_server, 2), name="harm")
    confirmed = failed = 0
    async with asyncio.timeout(120):
        while not harm.done() or confirmed < 20:
            try:
                await database.write(partial(insert_mark, confirmed))  # a second time it would be refused
                confirmed += 1
            except StoreUnavailable:
                failed += 1
                await asyncio.sleep(0.05)
    await harm
    assert failed > 0
    assert await marks(database) == {str(number): number for number in range(confirmed)}
    database.close()


def kill_and_start(server: Postgresql, times: int) -> None:
    for _ in range(times):
        time.sleep(0.3)
        server.kill()
        time.sleep(0.3)
        server.start()


def insert_mark(number: int, connection: sa.Connection) -> None:
    connection.execute(put(number, str(number)))


async def test_a_second_centre_is_refused_until_the_first_has_ended(empty: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.database.postgresql.LOCK_WAIT_S", 0.2)
    first = Database(empty)
    with pytest.raises(StoreUnavailable, match="another centre works on this database"):
        Database(empty)
    await first.write(lambda connection: connection.execute(put(1)))
    first.close()
    second = Database(empty)
    assert await marks(second) == {"gw-1": 1}
    second.close()


async def test_a_centre_that_was_cut_off_while_another_wrote_ends(empty: Server, postgresqls: Postgresqls) -> None:
    first = Database(empty)
    postgresqls.cut(empty)
    Database(empty).close()
    for _ in range(2):
        with pytest.raises(StoreDiverged, match="another centre has written"):
            await first.write(lambda connection: connection.execute(put(1)))
    assert await marks(first) == {}
    first.close()


async def test_a_centre_that_was_cut_off_goes_on_when_nobody_else_wrote(empty: Server, postgresqls: Postgresqls) -> None:
    database = Database(empty)
    for seq in (1, 2, 3):
        await when_it_is_back(database, seq)
        postgresqls.cut(empty)
        await marks(database)
    database.close()


class Cutter:
    """Stands between a centre and its server, and cuts the line at the next COMMIT: before the server hears it, or after."""

    def __init__(self, port: int) -> None:
        self._to = (HOST, port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut = ""
        self.meanwhile: Callable[[], object] = lambda: None
        """Happens when the line is to be cut, before anybody notices."""
        self._answered = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Nobody gets through any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        while said := self._said(client):
            if b"COMMIT" in said and self.cut:
                when, self.cut = self.cut, ""
                self.meanwhile()
                client.shutdown(socket.SHUT_RDWR)
                if when == "after":
                    server.sendall(said)
                    self._answered.wait(30)
                break
            server.sendall(said)
        for line in (client, server):  # closing alone would wait for who listens to it
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        while said := self._said(server):
            try:
                client.sendall(said)
            except OSError:  # it is cut: nobody hears this
                self._answered.set()
                return

    def _said(self, by: socket.socket) -> bytes:
        try:
            return by.recv(65_536)
        except OSError:
            return b""


@pytest.fixture
def cutter(empty: Server) -> Iterator[Cutter]:
    made = Cutter(empty.port)
    yield made
    made.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_whose_confirmation_is_lost_happened_or_did_not(empty: Server, cutter: Cutter, when: str) -> None:
    database = Database(empty._replace(port=cutter.port))
    cutter.cut = when
    if when == "after":
        await database.write(lambda connection: connection.execute(put(7)))
    else:
        with pytest.raises(StoreUnavailable):
            await database.write(lambda connection: connection.execute(put(7)))
        assert await marks(database) == {}
        await database.write(lambda connection: connection.execute(put(7)))
    assert not cutter.cut
    assert await marks(database) == {"gw-1": 7}
    database.close()


FORGETFUL = "wal_writer_delay = 10s\nwal_writer_flush_after = 1GB\n"


async def test_a_write_that_a_crash_undid_is_not_taken_for_that_of_another_with_its_number() -> None:
    """A server gives the number of a transaction again that never reached its disk."""
    with folder_for_anyone() as folder, postgresql(folder, settings=FORGETFUL) as server:
        cutter = Cutter(server.port)
        database = Database(Server(HOST, "postgres", cutter.port, "linli"))
        numbers: list[int] = []

        def numbered(connection: sa.Connection) -> None:
            numbers.append(connection.exec_driver_sql("SELECT pg_current_xact_id()::text::bigint").scalar_one())
            connection.execute(put(7))

        def crash() -> None:
            server.kill()
            server.start()
            with psycopg.connect(host=HOST, port=server.port, user="linli", dbname="postgres", autocommit=True) as other:
                for _ in range(100):
                    numbers.append(other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0])  # type: ignore[index]

        cutter.meanwhile, cutter.cut = crash, "before"
        with pytest.raises(StoreUnavailable):
            await database.write(numbered)
        assert numbers[0] in numbers[1:]
        assert await marks(database) == {}
        await when_it_is_back(database, 7)
        assert await marks(database) == {"gw-1": 7}
        database.close()
        cutter.close()


async def test_a_write_of_which_nobody_can_say_what_became_of_it_ends_the_centre(
    empty: Server, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.database.postgresql.SETTLE_S", 0.5)
    database = Database(empty._replace(port=cutter.port))
    cutter.cut = "after"
    cutter.close()
    with pytest.raises(StoreDiverged, match="nobody knows"):
        await database.write(lambda connection: connection.execute(put(7)))
    with pytest.raises(StoreDiverged, match="nobody knows"):
        await database.write(lambda connection: connection.execute(put(7)))
    database.close()


async def test_a_server_that_says_nothing_is_as_one_that_is_away(own_server: Postgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(Server(HOST, "postgres", own_server.port, "linli"))

    def silenced(connection: sa.Connection) -> object:
        own_server.pause()
        return connection.execute(sa.select(watermark)).all()

    monkeypatch.setattr("ingest.database.postgresql.ANSWER_S", 1.0)
    for ask in (database.write, database.read):
        with pytest.raises(StoreUnavailable, match="no answer in 1 s"):
            await asyncio.wait_for(ask(silenced), 30)
        own_server.resume()
    monkeypatch.undo()
    await when_it_is_back(database, 2)
    assert await marks(database) == {"gw-1": 2}
    database.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("ENCODING 'LATIN1' LOCALE 'C'", "in LATIN1, not UTF8"),
        ("LOCALE_PROVIDER icu ICU_LOCALE 'zh-CN' LOCALE 'C.UTF-8'", "sorts text by a language"),
    ],
)
def test_a_database_that_would_keep_other_than_was_written_is_refused(postgresqls: Postgresqls, how: str, reason: str) -> None:
    place = postgresqls.empty(how)
    with pytest.raises(ConfigInvalid, match=rf"{reason}.*createdb --template=template0 --encoding=UTF8 --locale=C"):
        Database(place)
    postgresqls.drop(place)


def test_a_server_that_does_not_flush_is_refused_and_one_that_answers_too_early_is_told_to_wait(own_server: Postgresql) -> None:
    place = Server(HOST, "postgres", own_server.port, "linli")
    set_to(own_server, "synchronous_commit", "off")
    database = Database(place)
    assert asyncio.run(database.write(lambda c: c.exec_driver_sql("SHOW synchronous_commit").scalar_one())) == "on"
    database.close()
    set_to(own_server, "fsync", "off")
    with pytest.raises(ConfigInvalid, match="does not flush what it writes"):
        Database(place)


def set_to(server: Postgresql, setting: str, value: str) -> None:
    """New connections see it at once."""
    at = {"host": HOST, "port": server.port, "user": "linli", "dbname": "postgres"}
    with psycopg.connect(**at, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {setting} = {value}")
        connection.execute("SELECT pg_reload_conf()")
    for _ in range(300):
        with psycopg.connect(**at) as connection:
            if connection.execute(f"SHOW {setting}").fetchone() == (value,):
                return


def test_nobody_there_and_nobody_of_that_name_is_said(empty: Server) -> None:
    for place in (empty._replace(port=1), empty._replace(user="nobody-of-that-name"), empty._replace(name="not_there")):
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            Database(place)


async def test_a_server_of_this_machine_is_reached_by_its_socket(empty: Server, postgresqls: Postgresqls) -> None:
    database = Database(empty._replace(host=postgresqls.sockets))
    await database.write(lambda connection: connection.execute(put(1)))
    database.close()


TLS = """
listen_addresses = '*'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
password_encryption = 'scram-sha-256'
"""


@pytest.fixture
def elsewhere() -> Iterator[tuple[Postgresql, Server, Path]]:
    """A server as if on another machine: known by its certificate, asking for a password, in clear text for nobody."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip(f"{name}, the name of this machine, leads nowhere")
    with folder_for_anyone() as folder:
        for file, of in (("server", name), ("other", name), ("stranger", "elsewhere.example")):
            names = ("-subj", f"/CN={of}", "-addext", f"subjectAltName=DNS:{of}")
            kind = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
            made = ["openssl", "req", *kind, *names, "-keyout", f"{file}.key", "-out", f"{file}.pem"]
            subprocess.run(made, cwd=folder, check=True, capture_output=True, timeout=60)
            if os.geteuid() == 0:
                shutil.chown(folder / f"{file}.key", "nobody")
        with postgresql(folder, settings=TLS.format(folder=folder)) as server:
            place = Server(name, "postgres", server.port, "centre", folder / "password", folder / "server.pem")
            at = {"host": HOST, "port": server.port, "user": "linli", "dbname": "postgres"}
            with psycopg.connect(**at, autocommit=True) as connection:
                connection.execute("CREATE ROLE centre LOGIN SUPERUSER PASSWORD 'open sesame'")
                connection.execute("SELECT pg_reload_conf()")
            hba = server.folder / "data" / "pg_hba.conf"
            hba.write_text("hostssl all centre all scram-sha-256\nhost all linli 127.0.0.1/32 trust\n")
            server.stop()
            server.start()
            yield server, place, folder


def test_beyond_this_machine_a_server_is_known_by_its_certificate_and_a_centre_by_its_password(
    elsewhere: tuple[Postgresql, Server, Path],
) -> None:
    server, place, folder = elsewhere
    password = folder / "password"
    password.write_text("open sesame\n")
    password.chmod(0o600)
    Database(place).close()

    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        Database(place._replace(ca_file=folder / "other.pem"))
    password.write_text("close sesame\n")
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        Database(place)
    assert "sesame" not in str(caught.value)
    password.chmod(0o644)
    with pytest.raises(StoreUnavailable, match="can be read by others"):
        Database(place)

    password.chmod(0o600)
    for kind in ("key", "pem"):
        (folder / f"stranger.{kind}").replace(folder / f"server.{kind}")
    server.stop()
    server.start()
    with pytest.raises(StoreUnavailable, match="does not match host name"):
        Database(place)
