"""Which server of line protocol it is, and how each wants to be spoken to: pure.

Sources: InfluxDB 1.6.7 and VictoriaMetrics 1.79.5 as tried; the API references of InfluxDB 1.8, 2.7 and 3 Core.
"""

import base64
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from ingest.store.tls import Tls


class Profile(Enum):
    """The value is the word before the address in ``store:``."""

    V1 = "influx1"
    V2 = "influx2"
    V3 = "influx3"
    VICTORIA = "victoria"


class Address(NamedTuple):
    """``url`` is scheme, host and port; ``db`` the database, on 2.x the bucket. Secrets are never part of a message.

    Without a ``profile`` the server is asked what it is. ``org`` makes 2.x take the native endpoint, which wants a token;
    ``token_file`` is read again whenever the server has refused us. ``gzip``: lines go deflated.
    """

    url: str
    db: str
    login: tuple[str, str] | None = None
    profile: Profile | None = None
    org: str = ""
    token: str = ""
    token_file: Path | None = None
    gzip: bool = True
    tls: Tls = Tls()

    def __repr__(self) -> str:
        return f"{self.url}/{self.db}"


class Endpoint(NamedTuple):
    path: str
    parameters: dict[str, str]


def writing(address: Address, profile: Profile) -> Endpoint:
    """Where lines go. 2.x without an organization takes them by its mapping of databases to buckets."""
    if profile is Profile.V3:
        v3 = {"db": address.db, "precision": "nanosecond", "accept_partial": "true", "no_sync": "false"}
        return Endpoint("/api/v3/write_lp", v3)
    if profile is Profile.V2 and address.org:
        return Endpoint("/api/v2/write", {"org": address.org, "bucket": address.db, "precision": "ns"})
    return Endpoint("/write", {"db": address.db, "precision": "ns"})


def authorization(address: Address, profile: Profile | None, token: str) -> dict[str, str]:
    """The header that says who we are; empty for nobody. While the server is unknown a token is a Bearer's: only 3.x asks
    for one before it tells its version."""
    if token:
        scheme = "Token" if profile in (Profile.V1, Profile.V2) else "Bearer"
        return {"Authorization": f"{scheme} {token}"}
    if address.login is not None:
        return {"Authorization": f"Basic {base64.b64encode(':'.join(address.login).encode()).decode()}"}
    return {}


def recognised(version: str) -> Profile | None:
    """The profile of InfluxDB's own version, such as ``1.6.7~rc0``, ``v2.7.6`` or ``3.1.0``; ``None`` when it is none."""
    major = version.removeprefix("v").partition(".")[0]
    return {"1": Profile.V1, "2": Profile.V2, "3": Profile.V3}.get(major)
