"""Which store a configuration means: ``duckdb``, or ``influx:http://host:port/database``."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ingest.database import Database
from ingest.store.embedded import EmbeddedStore
from ingest.store.influx import InfluxStore
from ingest.store.line_server import Address
from ingest.store.protocol import PointStore
from telemetry.broker import is_loopback
from telemetry.errors import ConfigInvalid, Problem

FILE = "telemetry.duckdb"
USER, PASSWORD = "LINLI_INFLUX_USER", "LINLI_INFLUX_PASSWORD"
EXAMPLE = "duckdb, or influx:http://127.0.0.1:8086/linli"

_DB = re.compile("[A-Za-z0-9_-]{1,64}")


def open_store(spec: str, data_dir: Path, database: Database, environ: Mapping[str, str] = os.environ) -> PointStore:
    """The store that ``spec`` names, not yet opened. Raises ``ConfigInvalid``.

    User and password of a server come from the environment (LINLI_INFLUX_USER, LINLI_INFLUX_PASSWORD).
    """
    check_spec(spec, environ)
    if spec == "duckdb":
        return EmbeddedStore(data_dir / FILE)
    return InfluxStore(address_of(spec, environ), database)


def check_spec(spec: str, environ: Mapping[str, str] = os.environ) -> None:
    """Raises ``ConfigInvalid`` when ``open_store`` would, and opens nothing."""
    if spec.startswith("influx:"):
        address_of(spec, environ)
    elif spec != "duckdb":
        raise _refusal(f"{spec.partition(':')[0]!r} is not a kind of store", f"write {EXAMPLE}")


def address_of(spec: str, environ: Mapping[str, str]) -> Address:
    """The address in ``influx:URL``. Raises ``ConfigInvalid``; a password in the URL is refused and not repeated."""
    try:
        url = urlsplit(spec.removeprefix("influx:"))
        host, port = url.hostname, url.port
    except ValueError:
        raise _refusal("the address is not a URL", f"write {EXAMPLE}") from None
    if url.username is not None or url.password is not None:
        raise _refusal("a user or password does not belong into the address", f"set {USER} and {PASSWORD} in the environment")
    if url.scheme not in ("http", "https") or not host:
        raise _refusal(f"{url.geturl()!r} is not an http or https address", f"write {EXAMPLE}")
    db = url.path.strip("/")
    if not _DB.fullmatch(db) or url.query or url.fragment:
        raise _refusal("the address does not end with the name of a database", f"letters, digits, _ and -: write {EXAMPLE}")
    return Address(f"{url.scheme}://{url.netloc}" if port else _with_port(url), db, _login(url, environ))


def _with_port(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc.rstrip(':')}:8086"


def _login(url: SplitResult, environ: Mapping[str, str]) -> tuple[str, str] | None:
    user, password = environ.get(USER), environ.get(PASSWORD)
    if not user and not password:
        return None
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise _refusal("a password would travel in clear text", "use https, or a server on this machine")
    return user or "", password or ""


def _refusal(reason: str, cure: str) -> ConfigInvalid:
    return ConfigInvalid([Problem("configuration", "store", reason, cure)])
