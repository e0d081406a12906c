"""The centre's database on a PostgreSQL server.

1. One centre at a time: the writing connection holds a lock while it lives; another centre is refused. The lock of one that lost
   its power is given back when the server misses it, so a refusal may pass.
2. A write is durable when it returns: ``synchronous_commit`` is on, and a server that does not flush to its disk is refused.
3. When a connection breaks while a transaction commits, the server is asked what became of it: a write happened, or it did not.
   Each leaves its number in the transaction itself: the server's own numbers are given anew after a crash. ``StoreDiverged`` when
   that cannot be learned within ``SETTLE_S``, or when another centre wrote meanwhile.
4. Every wait has its limit: a server that says nothing for ``ANSWER_S`` is as one that is away.
5. Text compares byte by byte, as in SQLite; a database that compares otherwise is refused. NUL, which PostgreSQL has not, is
   kept as ``␀``.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumperUnknown

from ingest import migrations
from ingest.database import tenure
from ingest.database.place import Server
from ingest.secret_file import read_secret
from telemetry.errors import ConfigInvalid, Problem, StoreDiverged, StoreUnavailable

_T = TypeVar("_T")

LOCK = int.from_bytes(b"linli")
LOCK_WAIT_S = 5.0
SETTLE_S = 60.0
ANSWER_S = 90.0
OLDEST = 130_000
_AGAIN_S = 0.1
_SETTINGS = {
    "statement_timeout": 60_000,  # below ANSWER_S: of a server that lives we hear why
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 120_000,
    "tcp_keepalives_idle": 10,  # a centre that lost its power gives the lock back
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}


class _Text(StrDumperUnknown):
    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "␀") if "\0" in obj else obj)


class _Connection(psycopg.Connection[Any]):
    """Does not wait for ever; ``unhurried`` is for work whose length nobody can know."""

    unhurried = False

    def wait(self, gen: Generator[Any, Any, _T], *arguments: Any, **named: Any) -> _T:
        if self.unhurried:
            return super().wait(gen, *arguments, **named)
        try:
            return super().wait(_limited(gen, ANSWER_S), *arguments, **named)
        except _Silent as error:
            self.close()
            raise psycopg.OperationalError(f"no answer in {ANSWER_S:g} s") from error


class _Silent(Exception):
    """The server said nothing for too long."""


def _limited(exchange: Generator[Any, Any, _T], limit_s: float) -> Generator[Any, Any, _T]:
    """The exchange with a server, which whoever drives it takes up ten times a second, until too long has passed."""
    give_up = time.monotonic() + limit_s
    heard = None
    while True:
        try:
            wanted = exchange.send(heard)
        except StopIteration as end:
            return cast("_T", end.value)
        heard = yield wanted
        if not heard and time.monotonic() > give_up:
            raise _Silent


class PostgresqlServer:
    """Implements ``ingest.database.Backend``."""

    def __init__(self, server: Server, readers: int) -> None:
        self._server = server
        self._term: int | None = None
        self._writes = 0
        self._diverged = ""
        self._changes = _engine(self._hold, 1)
        self._looks = _engine(self._look, readers, isolation_level="REPEATABLE READ")

    def __str__(self) -> str:
        return str(self._server)

    def open(self) -> None:
        with self._changes.begin() as connection, _unhurried(connection):
            if problems := _unfit(connection, str(self)):
                raise ConfigInvalid(problems)
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            migrations.upgrade(connection, str(self))
            term = tenure.take(connection)
        self._term = term

    def transact(self, change: Callable[[sa.Connection], _T]) -> _T:
        if self._diverged:
            raise StoreDiverged(self._diverged)
        self._writes += 1
        changed = False
        with self._changes.connect() as connection:
            try:
                with connection.begin():
                    tenure.note(connection, self._writes)
                    result = change(connection)
                    changed = True
            except sa.exc.DBAPIError as error:
                if not (changed and error.connection_invalidated):
                    raise
                broken = error
            else:
                return result
        if not self._has_happened():
            raise broken
        return result

    def ask(self, question: Callable[[sa.Connection], _T]) -> _T:
        with self._looks.connect() as connection:
            return question(connection)

    def close(self) -> None:
        self._looks.dispose()
        self._changes.dispose()

    def _has_happened(self) -> bool:
        """What became of the last write, whose end was not heard. Who holds the lock again knows that it has ended."""
        give_up = time.monotonic() + SETTLE_S
        while time.monotonic() < give_up:
            try:
                with self._changes.connect() as connection:
                    return tenure.last(connection) == self._writes
            except sa.exc.DBAPIError:
                time.sleep(_AGAIN_S)  # the server is still away
        raise self._end(f"{self}: went away while it was writing; nobody knows whether it did")

    def _end(self, why: str) -> StoreDiverged:
        """Nothing more is written: each thing that was would be of a memory that may be wrong."""
        self._diverged = why
        return StoreDiverged(why)

    def _hold(self, parameters: Mapping[str, Any]) -> _Connection:
        """A connection that writes, and holds the lock."""
        connection = _connected(self._server, parameters)
        try:
            self._take_place(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _look(self, parameters: Mapping[str, Any]) -> _Connection:
        connection = _connected(self._server, parameters)
        connection.read_only = True
        return connection

    def _take_place(self, connection: _Connection) -> None:
        give_up = time.monotonic() + LOCK_WAIT_S
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone() != (True,):
            if time.monotonic() > give_up:
                if self._term is None:
                    raise StoreUnavailable(f"{self}: another centre works on this database; stop it, or wait until it is missed")
                raise psycopg.OperationalError("another connection has the centre's place")
            time.sleep(_AGAIN_S)
        if self._term is not None and connection.execute("SELECT term FROM centre_tenure").fetchone() != (self._term,):
            raise self._end(f"{self}: another centre has written since; this one must start anew")
        connection.commit()


def _connected(server: Server, parameters: Mapping[str, Any]) -> _Connection:
    connection = _Connection.connect(**parameters, **_parameters(server))
    connection.adapters.register_dumper(str, _Text)
    connection.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
    connection.commit()
    return connection


def _parameters(server: Server) -> dict[str, Any]:
    """As libpq names them; every wait has its limit."""
    known = {"host": server.host, "port": server.port, "dbname": server.name, "application_name": "linli"}
    known |= {"connect_timeout": 5, "tcp_user_timeout": 20_000, "gssencmode": "disable"}
    known |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    known |= {"options": " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())}
    if not server.is_here:
        known |= {"sslmode": "verify-full", "sslrootcert": str(server.ca_file)}
    if server.user:
        known |= {"user": server.user}
    if server.password_file is not None:
        known |= {"password": _password(server)}
    return known


@contextmanager
def _unhurried(connection: sa.Connection) -> Iterator[None]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, _Connection)
    driver.unhurried = True
    yield
    driver.unhurried = False


def _password(server: Server) -> str:
    """Read at each connection, so that a new one is taken without a restart."""
    try:
        return read_secret(server.password_file, "the database's password").rstrip("\r\n") if server.password_file else ""
    except ConfigInvalid as error:
        raise psycopg.OperationalError(str(error)) from error


def _engine(connect: Callable[[Mapping[str, Any]], Any], connections: int, **how: Any) -> sa.Engine:
    engine = sa.create_engine("postgresql+psycopg://", pool_size=connections, max_overflow=0, pool_pre_ping=True, **how)
    sa.event.listen(engine, "do_connect", lambda _dialect, _record, _arguments, named: connect(named))
    return engine


def _unfit(connection: sa.Connection, place: str) -> list[Problem]:
    """Why a server cannot keep what the database promises."""
    said = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding,"
        " 'B' < 'a' AND 'a b' < 'aB' AND 'z' < 'é' AS bytewise,"
        " current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS flushes"
    ).one()
    anew = "make it anew: createdb --template=template0 --encoding=UTF8 --locale=C NAME"
    checks = (
        (said.version >= OLDEST, "PostgreSQL is older than 13", "install a newer one"),
        (said.encoding == "UTF8", f"the database is in {said.encoding}, not UTF8", anew),
        (said.bytewise, "the database sorts text by a language, not byte by byte", anew),
        (said.flushes, "the server does not flush what it writes", "set fsync and full_page_writes to on"),
    )
    return [Problem(place, "", reason, cure) for good, reason, cure in checks if not good]
