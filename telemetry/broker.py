"""Where an MQTT broker is and how to talk to it: a frozen value that both sides put into their configuration.

Clear text is for loopback alone. Passwords and keys stand in files of their own, which the callers read.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from telemetry.errors import Problem


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach an MQTT broker. ``mqtt://`` in the clear is for loopback alone; elsewhere ``mqtts://``."""

    url: str
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    certificate_key_file: str = ""
    keepalive_s: Annotated[int, msgspec.Meta(ge=2, le=600)] = 6
    protocol: Literal["3.1.1", "5"] = "3.1.1"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine: localhost or an address of the loopback range, and no name that looks like one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def broker_problems(broker: Broker, file: str, path: str) -> Iterator[Problem]:
    """What is wrong with a broker's address: the scheme, the port, or clear text beyond this machine."""
    try:
        parts = urlsplit(broker.url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:  # a broken IPv6 address, or a port that is no number
        parts, port_ok = SplitResult("", "", "", "", ""), False
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not port_ok or parts.path not in ("", "/"):
        yield Problem(file, f"{path}.url", f"{broker.url!r} is not a broker's address", "write mqtts://host:8883")
    elif parts.username or parts.password:
        yield Problem(file, f"{path}.url", "a user or password stands in the address", "use user and password_file")
    elif not broker.tls and not is_loopback(broker.host):
        yield Problem(file, f"{path}.url", f"clear text to {broker.host}", "use mqtts://; mqtt:// is for this machine alone")
    if bool(broker.user) != bool(broker.password_file):
        yield Problem(file, path, "user and password_file go together", "give both or neither")


class TlsFiles(NamedTuple):
    """Shaped as aiomqtt's ``TLSParameters``, which stays out of this pure room; what is ``None`` is the system's default."""

    ca_certs: str | None
    certfile: str | None
    keyfile: str | None
    cert_reqs: None = None
    tls_version: None = None
    ciphers: None = None
    keyfile_password: None = None


def public_files(broker: Broker) -> tuple[str, ...]:
    """The certificates, which anyone may read."""
    return tuple(name for name in (broker.ca_file, broker.certificate_file) if name)


def secret_files(broker: Broker) -> tuple[str, ...]:
    """The files that only their owner may read."""
    return tuple(name for name in (broker.password_file, broker.certificate_key_file) if name)


def connection(broker: Broker, resolve: Callable[[str], str], password: str | None) -> dict[str, Any]:
    """The arguments that aiomqtt's client takes for this broker, TLS material and credentials in place.

    ``resolve`` turns a file named in the configuration into a path.
    """
    arguments: dict[str, Any] = {"hostname": broker.host, "port": broker.port, "keepalive": broker.keepalive_s}
    if broker.user:
        arguments |= {"username": broker.user, "password": password}
    if broker.tls:
        ca, certificate, key = (
            resolve(name) if name else None for name in (broker.ca_file, broker.certificate_file, broker.certificate_key_file)
        )
        arguments["tls_params"] = TlsFiles(ca, certificate, key)
    return arguments
