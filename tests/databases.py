"""Databases on one PostgreSQL server: each test has its own, copied from one that is migrated already."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from ingest.database import Database, Server
from tests.servers import Postgresql

TEMPLATE = "migrated"


_MEMORY = Path("/dev/shm")  # what is flushed there costs nothing, and outlives a process as a disk does


@contextmanager
def folder_for_anyone() -> Iterator[Path]:
    """A folder that ``nobody`` can reach, unlike pytest's: a server that will not run as root needs it."""
    folder = Path(tempfile.mkdtemp(prefix="linli-", dir=_MEMORY if _MEMORY.is_dir() else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Postgresqls:
    """Databases on one running server."""

    def __init__(self, server: Postgresql) -> None:
        self._server = server
        self._numbers = count()
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        Database(self.of(TEMPLATE)).close()

    @property
    def sockets(self) -> str:
        """The folder of the server's socket."""
        return str(self._server.folder)

    def cut(self, server: Server) -> None:
        """Breaks every connection with a database."""
        self._run(sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}").format(server.name))

    def of(self, name: str) -> Server:
        return Server(self._server.host, name, self._server.port, "linli")

    def fresh(self) -> Server:
        """An empty database, migrated."""
        name = f"centre_{next(self._numbers)}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        return self.of(name)

    def empty(self, how: str = "") -> Server:
        """A database that nobody has used."""
        name = f"centre_{next(self._numbers)}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE template0 " + how).format(sql.Identifier(name)))
        return self.of(name)

    def drop(self, server: Server) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(server.name)))

    def _run(self, statement: sql.Composed) -> None:
        at = {"host": self._server.host, "port": self._server.port, "user": "linli", "dbname": "postgres"}
        with psycopg.connect(**at, autocommit=True) as connection:
            connection.execute(statement)
