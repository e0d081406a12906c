"""A server that takes line protocol, over HTTP: the one endpoint that InfluxDB 1 to 3 and VictoriaMetrics share.

Every request has a time limit; whatever goes wrong on the way is ``StoreUnavailable``.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from typing import NamedTuple

import httpx

from ingest.store.answer import Meaning, verdict
from telemetry.errors import StoreUnavailable

CONNECT_S = 3.0
ANSWER_S = 15.0


class Dialect(Enum):
    INFLUX = "influx"
    VICTORIA = "victoria"


class Address(NamedTuple):
    """``url`` is scheme, host and port; ``login`` is user and password, and never part of a message."""

    url: str
    db: str
    login: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"{self.url}/{self.db}"


class LineServer:
    """One server and one database on it."""

    def __init__(self, address: Address, answer_s: float = ANSWER_S) -> None:
        self._address = address
        self._http = httpx.AsyncClient(
            base_url=address.url,
            auth=address.login,
            timeout=httpx.Timeout(answer_s, connect=CONNECT_S),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def prepare(self) -> Dialect:
        """Finds out what it is; on InfluxDB 1.x makes the database when it is not there."""
        answer = await self._request("GET", "/ping")
        version = answer.headers.get("X-Influxdb-Version", "")
        if not version:
            return Dialect.VICTORIA
        if version.removeprefix("v").startswith("1."):
            await self._request("POST", "/query", params={"q": f'CREATE DATABASE "{self._address.db}"'})
        return Dialect.INFLUX

    async def write(self, lines: Sequence[str]) -> str:
        """Writes the lines; ``""`` when all of them are stored, else why at least one of them never will be."""
        body = await asyncio.to_thread(_deflated, lines)
        parameters = {"db": self._address.db, "precision": "ns"}
        answer = await self._send("POST", "/write", params=parameters, content=body, headers={"Content-Encoding": "gzip"})
        found = verdict(answer.status_code, answer.content)
        if found.meaning is Meaning.LATER:
            raise StoreUnavailable(f"{self._address}: {found.reason}")
        return found.reason

    async def query(self, statement: str) -> bytes:
        """The answer to an InfluxQL statement, its instants in nanoseconds."""
        parameters = {"db": self._address.db, "epoch": "ns", "q": statement}
        return (await self._request("GET", "/query", params=parameters)).content

    async def export(self, parameters: dict[str, str]) -> AsyncIterator[str]:
        """The lines of VictoriaMetrics' export, one series each."""
        try:
            async with self._http.stream("GET", "/api/v1/export", params=parameters) as answer:
                if not answer.is_success:
                    raise StoreUnavailable(f"{self._address}: status {answer.status_code}")
                async for line in answer.aiter_lines():
                    if line:
                        yield line
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self._address}: {error or type(error).__name__}") from error

    async def _request(self, method: str, path: str, params: dict[str, str] | None = None) -> httpx.Response:
        answer = await self._send(method, path, params=params or {})
        found = verdict(answer.status_code, answer.content)
        if found.meaning is not Meaning.STORED:
            raise StoreUnavailable(f"{self._address}: {found.reason}")
        return answer

    async def _send(
        self, method: str, path: str, params: dict[str, str], content: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            return await self._http.request(method, path, params=params, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self._address}: {str(error) or type(error).__name__}") from error


def _deflated(lines: Sequence[str]) -> bytes:
    """gzip at level 1: a tenth of the bytes for a tenth of the time of level 9."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return deflater.compress("\n".join(lines).encode()) + deflater.flush()
