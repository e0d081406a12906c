"""A server that takes line protocol, over HTTP: InfluxDB 1 to 3, or VictoriaMetrics.

Every request has a time limit; whatever goes wrong on the way is ``StoreUnavailable``, but for ``post``, which says what it
means for its lines. Lines go out in threads: on a loop that decodes batches a body of megabytes would wait for a turn for each
piece that the socket takes.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from ingest.secret_file import read_secret
from ingest.store.answer import Meaning, Verdict, verdict
from ingest.store.profile import Address, Profile, authorization, recognised, writing
from ingest.store.tls import secured
from telemetry.errors import ConfigInvalid, StoreUnavailable

CONNECT_S = 3.0
ANSWER_S = 15.0
DELETE_S = 120.0
"""A server rewrites its files to delete."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unwelcome(StoreUnavailable):
    """The server asks for other credentials, or for rest."""

    def __init__(self, message: str, found: Verdict) -> None:
        self.found = found
        super().__init__(message)


class LineServer:
    """One server and one database on it. ``prepare`` comes before anything else."""

    def __init__(self, address: Address, answer_s: float = ANSWER_S) -> None:
        """Raises ``ConfigInvalid`` when files for TLS cannot be used."""
        self._address = address
        self._profile = Profile.V1
        self._identity: dict[str, str] = {}
        timeout = httpx.Timeout(answer_s, connect=CONNECT_S)
        verify = secured(address.tls)
        self._http = httpx.AsyncClient(base_url=address.url, timeout=timeout, trust_env=False, verify=verify)
        self._posting = httpx.Client(base_url=address.url, timeout=timeout, trust_env=False, verify=verify)

    async def close(self) -> None:
        await self._http.aclose()
        self._posting.close()

    async def prepare(self) -> Profile:
        """Finds out what it is, unless the address says so; on InfluxDB 1.x makes the database if it may."""
        self._profile = await self.identify()
        self._identity = authorization(self._address, self._profile, self._token())
        if self._profile is Profile.V1:
            made = await self._send("POST", "/query", {"q": f'CREATE DATABASE "{self._address.db}"'})
            if made.status_code != 403:  # whoever may not make it may still write to it
                self._checked(made)
        return self._profile

    async def identify(self) -> Profile:
        """What it is, as the address says or as it answers."""
        return self._address.profile or await self._probed(authorization(self._address, None, self._token()))

    def pack(self, lines: bytes) -> bytes:
        """Lines as ``post`` takes them; in whatever thread."""
        return deflated(lines) if self._address.gzip else lines

    async def post(self, packed: bytes) -> Verdict:
        """Writes lines, and says what the answer means for them. When it is cancelled they may be written all the same."""
        try:
            return await asyncio.to_thread(self._post, packed)
        except OSError as error:
            return Verdict(Meaning.LATER, str(error))

    def _post(self, packed: bytes) -> Verdict:
        path, parameters = writing(self._address, self._profile)
        encoding = {"Content-Encoding": "gzip"} if self._address.gzip else {}
        headers = {"Content-Type": "text/plain; charset=utf-8", **encoding, **self._identity}
        try:
            answer = self._posting.post(path, params=parameters, content=packed, headers=headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            return Verdict(Meaning.CUT, str(error) or type(error).__name__)
        except httpx.HTTPError as error:
            return Verdict(Meaning.LATER, str(error) or type(error).__name__)
        return verdict(answer.status_code, answer.content, answer.headers)

    async def query(self, statement: str) -> bytes:
        """The answer to an InfluxQL statement, its instants in nanoseconds."""
        parameters = {"db": self._address.db, "epoch": "ns", "q": statement}
        return self._checked(await self._send("GET", "/query", parameters)).content

    async def delete(self, measurement: str, before: int) -> None:
        """Deletes the points of a measurement that are older than ``before``, microseconds: InfluxDB 1.x, and 2.x natively.

        The end of 2.x' range belongs to it.
        """
        if self._profile is Profile.V1:
            statement = {"db": self._address.db, "q": f'DELETE FROM "{measurement}" WHERE time < {before * 1000}'}  # noqa: S608 - ours
            answer = await self._send("POST", "/query", statement, timeout_s=DELETE_S)
        else:
            bucket = {"org": self._address.org, "bucket": self._address.db}
            last = (_EPOCH + timedelta(microseconds=before - 1)).isoformat().replace("+00:00", "Z")
            span = {"start": "1970-01-01T00:00:00Z", "stop": last, "predicate": f'_measurement="{measurement}"'}
            answer = await self._send("POST", "/api/v2/delete", bucket, msgspec.json.encode(span), DELETE_S)
        self._checked(answer)

    async def export(self, parameters: dict[str, str]) -> AsyncIterator[str]:
        """The lines of VictoriaMetrics' export, one series each."""
        try:
            async with self._http.stream("GET", "/api/v1/export", params=parameters, headers=self._identity) as answer:
                if not answer.is_success:
                    raise StoreUnavailable(f"{self._address}: status {answer.status_code}")
                async for line in answer.aiter_lines():
                    if line:
                        yield line
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self._address}: {str(error) or type(error).__name__}") from error

    async def _probed(self, identity: dict[str, str]) -> Profile:
        """VictoriaMetrics is asked for first: later ones say that they are InfluxDB 1.8."""
        if b"VictoriaMetrics" in (await self._send("GET", "/-/healthy", {}, identity=identity)).content:
            return Profile.VICTORIA
        answer = self._checked(await self._send("GET", "/ping", {}, identity=identity))
        profile = recognised(answer.headers.get("X-Influxdb-Version") or _version(answer.content))
        if profile is None:
            raise StoreUnavailable(f"{self._address}: neither InfluxDB nor VictoriaMetrics answers there; if it does, name it")
        return profile

    def _token(self) -> str:
        if self._address.token_file is None:
            return self._address.token
        try:
            return read_secret(self._address.token_file, "the store's token").strip()
        except ConfigInvalid as error:
            raise StoreUnavailable(str(error)) from error

    async def _send(
        self,
        method: str,
        path: str,
        parameters: dict[str, str],
        body: bytes = b"",
        timeout_s: float | None = None,
        identity: dict[str, str] | None = None,
    ) -> httpx.Response:
        headers = self._identity if identity is None else identity
        limit = self._http.timeout if timeout_s is None else httpx.Timeout(timeout_s, connect=CONNECT_S)
        try:
            return await self._http.request(method, path, params=parameters, headers=headers, content=body, timeout=limit)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self._address}: {str(error) or type(error).__name__}") from error

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        found = verdict(answer.status_code, answer.content, answer.headers)
        if found.meaning is Meaning.DENIED or found.wait_s:
            raise Unwelcome(f"{self._address}: {found.reason}", found)
        if found.meaning is not Meaning.STORED:
            raise StoreUnavailable(f"{self._address}: {found.reason}")
        return answer


def deflated(lines: bytes) -> bytes:
    """gzip at level 1: a tenth of the bytes for a tenth of the time of level 9."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return deflater.compress(lines) + deflater.flush()


def _version(body: bytes) -> str:
    """The version in the body of 3.x' ping."""
    try:
        return str(msgspec.json.decode(body, type=dict[str, object]).get("version") or "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
