"""InfluxDB 2.x and 3.x as far as their HTTP answers go: no package of this machine has them.

Statuses and bodies are those of InfluxData's API references (influxdb/v2/api, influxdb3/core/api) and of the servers' sources
(influxdb 2.7 http/write_handler.go and tsdb errors; influxdb3_server/src/http.rs); the servers themselves were not run.
What they take is kept as lines, so that a test can look.
"""

import asyncio
import gzip
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[str]:
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return body.decode().split("\n")

    @property
    def said(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Reply(NamedTuple):
    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = {}
    after_s: float = 0.0


def json_reply(status: int, said: object, **headers: str) -> Reply:
    return Reply(status, json.dumps(said).encode(), {"Content-Type": "application/json", **headers})


class Scripted(NamedTuple):
    url: str
    asked: list[Request]

    def of(self, path: str) -> list[Request]:
        return [request for request in self.asked if request.path == path]


@asynccontextmanager
async def scripted(
    answer: Callable[[Request], Reply], *, hangs_up_beyond: int | None = None, secure: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """A server on loopback that answers what ``answer`` says; it breaks the connection of a longer body without reading it."""
    asked: list[Request] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request = _head(head)
                length = int(request.headers.get("content-length", 0))
                if hangs_up_beyond is not None and length > hangs_up_beyond:
                    asked.append(request)
                    writer.transport.abort()
                    return
                request = request._replace(body=await reader.readexactly(length))
                asked.append(request)
                reply = answer(request)
                await asyncio.sleep(reply.after_s)
                writer.write(_said(reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # the test has ended
        finally:
            writer.close()

    server = await asyncio.start_server(talk, HOST, 0, ssl=secure)
    async with server:
        yield Scripted(f"http{'s' if secure else ''}://{HOST}:{server.sockets[0].getsockname()[1]}", asked)


def _head(head: bytes) -> Request:
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    return Request(method, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers, b"")


def _said(reply: Reply) -> bytes:
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body


class Influx3:
    """3 Core: takes the good lines, names the bad ones by number up to ``LISTED``; makes a database when it is written to."""

    LISTED = 100
    VERSION = "3.1.0"

    def __init__(self, token: str = "", bad: Callable[[str], str] = lambda line: "") -> None:
        self.token = token
        self.bad = bad
        self.kept: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        if self.token and request.headers.get("authorization") not in (f"Bearer {self.token}", f"Token {self.token}"):
            return json_reply(401, {"error": "the request was not authenticated"})
        match request.method, request.path:
            case "GET", "/ping":
                said = {"version": self.VERSION, "revision": "83b589b883", "process_id": "b8a2ec0b"}
                headers = {"x-influxdb-version": self.VERSION, "x-influxdb-build": "Core"}
                return json_reply(200, said, **headers)
            case "POST", "/api/v3/write_lp":
                return self._written(request)
            case "POST", "/api/v3/configure/database":
                return json_reply(409, {"error": "resource already exists"}) if self.kept else Reply(200)
            case "GET", "/query":
                return json_reply(200, {"results": [{"statement_id": 0}]})
        return Reply(404, b"not found")

    def _written(self, request: Request) -> Reply:
        assert request.query["precision"] == "nanosecond"
        listed = []
        for number, line in enumerate(request.lines, 1):
            if why := self.bad(line):
                quoted = line.replace('"', "")[:80]
                listed.append({"original_line": quoted, "line_number": number, "error_message": why})
            else:
                self.kept.add(line)
        if listed:
            return json_reply(400, {"error": "partial write of line protocol occurred", "data": listed[: self.LISTED]})
        return Reply(204)


class Influx2:
    """2.x: one organization to begin with, an operator's token; a malformed line refuses all, a conflict drops points."""

    VERSION = "v2.7.6"
    ORG = "0123456789abcde0"

    def __init__(self, token: str, org: str = "wuye", malformed: Callable[[str], bool] = lambda line: False) -> None:
        self.tokens = {token: "operator"}
        self.orgs = {org: self.ORG}
        self.buckets: dict[str, dict[str, Any]] = {}
        self.dbrps: list[dict[str, Any]] = []
        self.authorizations: list[dict[str, Any]] = []
        self.virtual = True  # a bucket is mapped by itself, since 2.4
        self.malformed = malformed
        self.conflict: Callable[[str], bool] = lambda line: False
        self.kept: list[str] = []
        self._ids = (f"{number:016x}" for number in itertools.count(0x0BADC0DE))

    def __call__(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/ping"):
            return Reply(204, headers={"X-Influxdb-Version": self.VERSION, "X-Influxdb-Build": "OSS"})
        if request.headers.get("authorization", "").removeprefix("Token ") not in self.tokens:
            return json_reply(401, {"code": "unauthorized", "message": "unauthorized access"})
        match request.method, request.path:
            case "POST", "/api/v2/write" if request.query["org"] not in self.orgs:
                return self._not_found("organization", request.query["org"])
            case "POST", "/api/v2/write" if request.query["bucket"] not in self.buckets:
                return self._not_found("bucket", request.query["bucket"])
            case "POST", "/write" if request.query["db"] not in {mapping["database"] for mapping in self.dbrps}:
                return self._not_found("dbrp", request.query["db"])
            case "POST", "/api/v2/write" | "/write":
                return self._written(request)
            case "GET", "/query":
                return json_reply(200, {"results": [{"statement_id": 0}]})
            case "POST", "/api/v2/delete":
                return Reply(204)
        return self._administered(request)

    def _not_found(self, what: str, name: str) -> Reply:
        return json_reply(404, {"code": "not found", "message": f'{what} "{name}" not found'})

    def _written(self, request: Request) -> Reply:
        assert request.query["precision"] == "ns"
        if bad := [line for line in request.lines if self.malformed(line)]:
            return json_reply(400, {"code": "invalid", "message": f"unable to parse '{bad[0]}': invalid number"})
        dropped = [line for line in request.lines if self.conflict(line)]
        self.kept += [line for line in request.lines if line not in dropped]
        if dropped:
            said = "failure writing points to database: partial write: field type conflict: input field"
            why = f'{said} "rain" on measurement "environment" is type float, already exists as type string'
            return json_reply(422, {"code": "unprocessable entity", "message": f"{why} dropped={len(dropped)}"})
        return Reply(204)

    def _administered(self, request: Request) -> Reply:
        match request.method, request.path.split("/")[3:]:
            case "GET", ["orgs"]:
                if (name := request.query.get("org")) is not None and name not in self.orgs:
                    return self._not_found("organization name", name)
                found = [{"id": id_, "name": name} for name, id_ in self.orgs.items() if request.query.get("org") in (None, name)]
                return json_reply(200, {"orgs": found})
            case "POST", ["orgs"]:
                name = request.said["name"]
                self.orgs[name] = next(self._ids)
                return json_reply(201, {"id": self.orgs[name], "name": name})
            case "GET", ["buckets"]:
                return json_reply(200, {"buckets": [b for b in self.buckets.values() if b["name"] == request.query["name"]]})
            case "POST", ["buckets"]:
                bucket = {"id": next(self._ids), "type": "user", **request.said}
                self.buckets[bucket["name"]] = bucket
                return json_reply(201, bucket)
            case "PATCH", ["buckets", id_]:
                (bucket,) = [bucket for bucket in self.buckets.values() if bucket["id"] == id_]
                bucket.update(request.said)
                return json_reply(200, bucket)
            case "GET", ["dbrps"]:
                virtual = [_virtual(bucket) for bucket in self.buckets.values() if self.virtual]
                asked = request.query["db"]
                return json_reply(200, {"content": [m for m in (*self.dbrps, *virtual) if m["database"] == asked]})
            case "POST", ["dbrps"]:
                mapping = {"id": next(self._ids), "virtual": False, **request.said}
                self.dbrps.append(mapping)
                return json_reply(201, mapping)
            case "POST", ["authorizations"]:
                made = {"id": next(self._ids), "token": f"made-{len(self.authorizations)}", "status": "active", **request.said}
                self.authorizations.append(made)
                self.tokens[made["token"]] = "made"
                return json_reply(201, made)
        return self._not_found("path", request.path)


def _virtual(bucket: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping that every bucket has by itself since 2.4."""
    place = {"id": bucket["id"], "bucketID": bucket["id"], "orgID": bucket["orgID"], "database": bucket["name"]}
    return {**place, "retention_policy": "autogen", "default": True, "virtual": True}
