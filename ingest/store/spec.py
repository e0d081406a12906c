"""Which store a configuration means: ``duckdb``, or a server as ``influx:http://host:port/database``.

``influx:`` asks the server what it is; ``influx1:``, ``influx2:``, ``influx3:`` and ``victoria:`` say it. Secrets come from the
environment or from a file of mode 0600.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ingest.database import Database
from ingest.secret_file import read_secret
from ingest.store.embedded import EmbeddedStore
from ingest.store.influx import InfluxStore
from ingest.store.profile import Address, Profile
from ingest.store.protocol import PointStore
from ingest.store.tls import Tls, secured
from telemetry.broker import is_loopback
from telemetry.errors import ConfigInvalid, Problem

FILE = "telemetry.duckdb"
USER, PASSWORD, TOKEN = "LINLI_INFLUX_USER", "LINLI_INFLUX_PASSWORD", "LINLI_INFLUX_TOKEN"
EXAMPLE = "duckdb, influx:http://127.0.0.1:8086/linli, or influx2:http://127.0.0.1:8086?org=wuye&bucket=linli"
SERVERS: dict[str, Profile | None] = {"influx": None, **{profile.value: profile for profile in Profile}}
MAX_ORG = 128

NO_TLS = Tls()
"""Only the system's authorities."""

Compression = Literal["auto", "gzip", "none"]
"""Of the lines that go to a server: ``auto`` deflates them unless it is on this machine, where the wire is faster than gzip."""

_DB = re.compile("[A-Za-z0-9_-]{1,64}")
_PORTS = {Profile.V3: 8181, Profile.VICTORIA: 8428}


def open_store(
    spec: str,
    data_dir: Path,
    database: Database,
    environ: Mapping[str, str] = os.environ,
    token_file: Path | None = None,
    compression: Compression = "auto",
    tls: Tls = NO_TLS,
) -> PointStore:
    """The store that ``spec`` names, not yet opened. Raises ``ConfigInvalid``.

    The secret of a server is in ``token_file``, or in the environment (LINLI_INFLUX_TOKEN, or LINLI_INFLUX_USER and
    LINLI_INFLUX_PASSWORD).
    """
    if spec == "duckdb":
        return EmbeddedStore(data_dir / FILE)
    return InfluxStore(compressed(address_of(spec, environ, token_file, tls), compression), database)


def check_spec(spec: str, environ: Mapping[str, str] = os.environ, token_file: Path | None = None, tls: Tls = NO_TLS) -> None:
    """Raises ``ConfigInvalid`` when ``open_store`` would, and opens nothing."""
    if spec != "duckdb":
        address_of(spec, environ, token_file, tls)
    elif tls != NO_TLS:
        raise _refusal("duckdb is no server", "leave the store's certificates out")


def address_of(spec: str, environ: Mapping[str, str], token_file: Path | None = None, tls: Tls = NO_TLS) -> Address:
    """The address in ``influx:URL`` with what the centre says who it is. Raises ``ConfigInvalid``."""
    place = with_tls(place_of(spec), tls)
    address = with_secret(place, environ.get(USER), environ.get(PASSWORD), environ.get(TOKEN, ""), token_file)
    if address.org and not (address.token or token_file):
        raise _refusal("influx2: with an organization wants a token", f"set store_token_file, or {TOKEN} in the environment")
    return address


def compressed(address: Address, compression: Compression) -> Address:
    """The address with what ``compression`` means for it."""
    return address._replace(gzip=compression == "gzip" or (compression == "auto" and not _is_here(address.url)))


def place_of(spec: str) -> Address:
    """The address in ``influx:URL``. Raises ``ConfigInvalid``; a password in the URL is refused and not repeated."""
    kind, _, rest = spec.partition(":")
    if kind not in SERVERS:
        raise _refusal(f"{kind!r} is not a kind of store", f"write {EXAMPLE}")
    profile = SERVERS[kind]
    url, port = _url(rest)
    db, org = _place(url, profile)
    address = f"{url.scheme}://{url.netloc.rstrip(':')}"
    if port is None:
        address = f"{address}:{_PORTS.get(profile, 8086) if profile else 8086}"
    return Address(address, db, profile=profile, org=org)


def with_secret(address: Address, user: str | None, password: str | None, token: str, token_file: Path | None) -> Address:
    """The address with user and password, or with a token or its file. Raises ``ConfigInvalid``."""
    if token_file is not None:
        read_secret(token_file, "the store's token")
    if (token or token_file) and (user or password):
        raise _refusal("a token and a password are two ways to say the same", f"keep {TOKEN} or a token file, not {USER} too")
    if not (token or token_file or user or password):
        return address
    if address.url.startswith("http:") and not _is_here(address.url):
        raise _refusal("a password would travel in clear text", "use https, or a server on this machine")
    if token or token_file:
        return address._replace(token=token, token_file=token_file)
    return address._replace(login=(user or "", password or ""))


def _is_here(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def with_tls(address: Address, tls: Tls) -> Address:
    """The address with the files for TLS, tried. Raises ``ConfigInvalid``."""
    if tls != NO_TLS and not address.url.startswith("https:"):
        raise _refusal("certificates are for https alone", "write https in the address, or leave the files out")
    secured(tls)
    return address._replace(tls=tls)


def _url(text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise _refusal("the address is not a URL", f"write {EXAMPLE}") from None
    if url.username is not None or url.password is not None:
        cure = f"set {USER} and {PASSWORD}, or {TOKEN}, in the environment"
        raise _refusal("a user or password does not belong into the address", cure)
    if url.scheme not in ("http", "https") or not host:
        raise _refusal(f"{url.geturl()!r} is not an http or https address", f"write {EXAMPLE}")
    return url, port


def _place(url: SplitResult, profile: Profile | None) -> tuple[str, str]:
    """Database and organization; only 2.x has organizations, and calls its database a bucket."""
    asked = dict(parse_qsl(url.query, keep_blank_values=True))
    db, org = url.path.strip("/") or asked.pop("bucket", ""), asked.pop("org", "")
    if not _DB.fullmatch(db) or asked or url.fragment:
        raise _refusal("the address does not end with the name of a database", f"letters, digits, _ and -: write {EXAMPLE}")
    if len(org) > MAX_ORG or not org.isprintable() or (org and profile is not Profile.V2):
        raise _refusal(f"only influx2: has an organization, of at most {MAX_ORG} characters", f"write {EXAMPLE}")
    return db, org


def _refusal(reason: str, cure: str) -> ConfigInvalid:
    return ConfigInvalid([Problem("configuration", "store", reason, cure)])
