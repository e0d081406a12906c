"""One HTTP POST to an address that was checked.

1. The name is resolved once, and the connection goes to an address that passed the guard: nothing is asked twice, so nothing
   can be answered otherwise the second time. TLS is for the name.
2. No redirect is followed, no proxy of the environment is used.
3. ``LIMIT_S`` for all of it and ``MAX_ANSWER`` bytes of answer, whatever the other side does.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import httpx

from ingest import address
from ingest.address import OnSite, Url

LIMIT_S = 5.0
MAX_ANSWER = 64 << 10

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Answer(NamedTuple):
    """``body`` is what was read of it, at most ``MAX_ANSWER`` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """Nothing usable came; the message says why, without the URL."""


class Poster:
    """``resolve`` gives the addresses of a name; ``secure`` is the TLS context, the system's authorities unless given."""

    def __init__(self, on_site: Sequence[OnSite], resolve: Resolve, secure: ssl.SSLContext | None = None) -> None:
        self._on_site = on_site
        self._resolve = resolve
        self._client = httpx.AsyncClient(
            verify=secure or ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=LIMIT_S,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def post(self, url: Url, body: bytes, headers: Mapping[str, str], *, read: bool) -> Answer:
        """``read``: the answer's body is wanted too. Raises ``NoAnswer`` and ``address.Refused``."""
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._post(url, body, headers, read)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {LIMIT_S:g} s") from error
        except httpx.HTTPError as error:
            raise NoAnswer(str(error)[:200] or type(error).__name__) from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, url: Url, body: bytes, headers: Mapping[str, str], read: bool) -> Answer:
        found = address.checked(url, await self._addresses(url), self._on_site)
        for number, where in enumerate(found, 1):
            try:
                return await self._ask(url, where, body, headers, read)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(found):
                    raise
        raise NoAnswer(f"{url.host} has no address")

    async def _addresses(self, url: Url) -> Sequence[str]:
        try:
            return await self._resolve(url.host, url.port)
        except OSError as error:
            raise NoAnswer(f"{url.host} cannot be found") from error

    async def _ask(self, url: Url, where: str, body: bytes, headers: Mapping[str, str], read: bool) -> Answer:
        scheme, usual = ("https", 443) if url.secure else ("http", 80)
        named = f"[{url.host}]" if ":" in url.host else url.host
        reached = f"[{where}]" if ":" in where else where
        all_headers = {
            **headers,
            "Host": named if url.port == usual else f"{named}:{url.port}",
            "Accept-Encoding": "identity",
            "User-Agent": "linli",
        }
        request = self._client.build_request(
            "POST",
            f"{scheme}://{reached}:{url.port}{url.path}",
            content=body,
            headers=all_headers,
            extensions={"sni_hostname": url.host},
        )
        answer = await self._client.send(request, stream=True)
        try:
            return Answer(answer.status_code, answer.headers, await _beginning(answer) if read else b"")
        finally:
            await answer.aclose()


async def _beginning(answer: httpx.Response) -> bytes:
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= MAX_ANSWER:
            break
    return read[:MAX_ANSWER]


def resolver(threads: Executor) -> Resolve:
    """The system's resolver, in threads of its own: one that hangs holds up nobody else's work."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, look_up, host, port)

    return resolve


def look_up(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises ``OSError``."""
    return [str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
