"""Where the centre's database is: a SQLite file in the data folder, or ``postgresql://user@host:port/name``.

A password stands in a file of mode 0600 or in ``~/.pgpass``, never in the address. Beyond this machine the server must show a
certificate that ``ca_file`` vouches for.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ingest.secret_file import read_secret
from telemetry.broker import is_loopback
from telemetry.errors import ConfigInvalid, Problem

SQLITE = "sqlite"
FILE = "centre.db"
EXAMPLE = "sqlite, postgresql://linli@db.example.org/linli, or postgresql:///linli for the server of this machine"
SOCKETS = "/run/postgresql"
"""Where Debian's servers have their sockets."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")


class Server(NamedTuple):
    """A database on a PostgreSQL server. ``host`` is a name or address, or the folder of its socket; without ``user`` it is the
    one that runs the program."""

    host: str
    name: str
    port: int = 5432
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    @property
    def is_here(self) -> bool:
        """Whether what is said to it stays on this machine."""
        return self.host.startswith("/") or is_loopback(self.host)

    def __str__(self) -> str:
        return f"postgresql://{self.host.removeprefix('/')}:{self.port}/{self.name}"


Place = Path | Server


def place_of(spec: str, data_dir: Path, password_file: Path | None = None, ca_file: Path | None = None) -> Place:
    """The place that ``spec`` names. Raises ``ConfigInvalid`` with every problem; a password in it is not repeated."""
    if spec == SQLITE:
        problems = list(_needless(password_file, ca_file))
        place: Place = data_dir / FILE
    else:
        url = _url(spec)
        place = Server(
            _host(url), url.path.removeprefix("/"), url.port or 5432, unquote(url.username or ""), password_file, ca_file
        )
        problems = list(_server_problems(url, place))
    if problems:
        raise ConfigInvalid(problems)
    return place


def _needless(password_file: Path | None, ca_file: Path | None) -> Iterator[Problem]:
    if password_file or ca_file:
        yield _problem(
            "a SQLite file has neither password nor certificate", "leave database_password_file and database_ca_file out"
        )


def _url(spec: str) -> SplitResult:
    try:
        url = urlsplit(spec)
        port = url.port
    except ValueError:
        raise ConfigInvalid([_problem("the address is not a URL", f"write {EXAMPLE}")]) from None
    if port == 0:
        raise ConfigInvalid([_problem("no server listens on port 0", f"write {EXAMPLE}")])
    if url.scheme != "postgresql":
        raise ConfigInvalid([_problem(f"{url.scheme or spec!r} is not a kind of database", f"write {EXAMPLE}")])
    return url


def _host(url: SplitResult) -> str:
    """Of the socket's folder, when no host is named: ``?host=/run/postgresql``."""
    return url.hostname or dict(parse_qsl(url.query)).get("host", SOCKETS)


def _server_problems(url: SplitResult, server: Server) -> Iterator[Problem]:
    asked = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    if url.password is not None:
        yield _problem("a password does not belong into the address", "set database_password_file, or use ~/.pgpass")
    if not _NAME.fullmatch(server.name) or url.fragment:
        yield _problem("the address does not end with the name of a database", f"write {EXAMPLE}")
    if asked - {"host"} or (asked and (url.hostname or not server.host.startswith("/"))):
        yield _problem("only the folder of a socket may follow the name", f"write postgresql:///linli?host={SOCKETS}")
    if not server.is_here and server.ca_file is None:
        cure = "set database_ca_file; for a public authority /etc/ssl/certs/ca-certificates.crt"
        yield _problem(f"nothing says which certificate {server.host} must show", cure)
    if server.ca_file is not None and not server.ca_file.is_file():
        yield _problem(f"no file {server.ca_file}", "name the certificate of the authority", "database_ca_file")
    if find_spec("psycopg") is None:
        yield _problem("PostgreSQL's driver is not installed", "pip install 'linli[postgresql]'")
    if server.password_file is not None:
        try:
            read_secret(server.password_file, "the database's password")
        except ConfigInvalid as error:
            yield from error.problems


def _problem(reason: str, cure: str, path: str = "database") -> Problem:
    return Problem("configuration", path, reason, cure)
