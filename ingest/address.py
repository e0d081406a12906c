"""Which addresses a notification may be sent to: the guard against being used to reach into our own network.

1. A URL is https to port 443 or 8443, without user, fragment or characters that two parsers could read differently.
2. An address is public, however it is written: loopback, private, link-local, shared, multicast and reserved ones are
   refused, also inside IPv6. One bad address among those of a name refuses the name.
3. What stands on site is named by network and ports (``on_site``), and may then be plain http.

Pure: names are resolved by the caller, once, and the connection goes to an address that was checked here.
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec

MAX_URL = 2048
PORTS = (443, 8443)

Address = IPv4Address | IPv6Address

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PLAIN = re.compile(r"[!-~]+")


class OnSite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of the site's own, as ``10.1.2.0/24``, and the ports that may be asked there."""

    network: str
    ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=65_535)], ...]

    def covers(self, address: Address, port: int) -> bool:
        network = ip_network(self.network)
        return port in self.ports and address.version == network.version and address in network


class Url(NamedTuple):
    """A URL in its parts. ``path`` has the query with it."""

    secure: bool
    host: str
    port: int
    path: str


class Refused(ValueError):
    """A URL or an address that nothing is sent to; the message says why, and names no secret of the URL."""


def parse(text: str) -> Url:
    """Raises ``Refused``."""
    if len(text) > MAX_URL:
        raise Refused(f"the URL is longer than {MAX_URL} characters")
    if not _PLAIN.fullmatch(text) or "\\" in text:
        raise Refused("the URL holds blanks, control characters, a backslash or letters beyond ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refused("host or port of the URL are malformed") from error
    if parts.scheme not in ("https", "http"):
        raise Refused(f"the scheme {parts.scheme[:20]!r} is not https")
    if "@" in parts.netloc or "#" in text:
        raise Refused("a user, a password or a fragment stands in the URL")
    host = (parts.hostname or "").rstrip(".")
    if not (_HOST.fullmatch(host) or _literal(host)):
        raise Refused("the URL names no host")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(secure, host, port if port is not None else (443 if secure else 80), path)


def static_reason(url: Url, on_site: Sequence[OnSite]) -> str:
    """Why ``url`` can never be sent to, as far as that is known without asking for its name; else ``""``."""
    spelt = _literal(url.host)
    if spelt is not None:
        return _reason(url, spelt, on_site)
    if url.host == "localhost" or url.host.endswith((".localhost", ".local", ".internal")):
        return f"{url.host} is a name of this machine or its network"
    if _is_usual(url) or any(url.port in site.ports for site in on_site):
        return ""
    return _unusual(url)


def checked(url: Url, found: Sequence[str], on_site: Sequence[OnSite]) -> list[str]:
    """The addresses to connect to. Raises ``Refused`` when there is none, or one that must not be."""
    if not found:
        raise Refused(f"{url.host} has no address")
    for text in found:
        if reason := _reason(url, ip_address(text.partition("%")[0]), on_site):
            raise Refused(reason)
    return list(dict.fromkeys(found))


def reachable(address: Address, port: int, on_site: Sequence[OnSite]) -> bool:
    """Whether anything may be sent there, over whatever protocol."""
    return _is_public(address) or any(site.covers(address, port) for site in on_site)


def _reason(url: Url, address: Address, on_site: Sequence[OnSite]) -> str:
    if any(site.covers(address, url.port) for site in on_site):
        return ""
    if not _is_public(address):
        return f"{url.host} is {address}, which is not a public address; name its network in on_site if it is meant"
    return "" if _is_usual(url) else _unusual(url)


def _is_usual(url: Url) -> bool:
    return url.secure and url.port in PORTS


def _unusual(url: Url) -> str:
    return f"port {url.port} is not 443 or 8443" if url.secure else "http is in the clear; write https"


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _literal(host: str) -> Address | None:
    """The address that ``host`` spells, in any way that the system would read: ``0``, ``2130706433``, ``0x7f.1``."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
