"""Receivers of notifications on free ports: an HTTP server and a mail server of our own that answer as they are told."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One request; the names of ``headers`` are in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


def answer(status: int = 200, body: object = b"", **headers: str) -> bytes:
    """A whole HTTP answer; what is not bytes is said as JSON."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(text)}", "Connection: close", "", ""]).encode() + text


@dataclass
class Receiver:
    """``say`` makes the answer of a request; what it asks to wait for is waited for before it."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    say: Callable[[Asked], bytes] = lambda _asked: answer()
    silent: asyncio.Event | None = None
    endless: bool = False
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, count: int, limit_s: float = 10.0) -> list[Asked]:
        """The requests, when there are ``count`` or more."""
        async with asyncio.timeout(limit_s), self.came:
            await self.came.wait_for(lambda: len(self.asked) >= count)
        return self.asked

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(head[0].split(" ")[1], headers, body)
            async with self.came:
                self.asked.append(asked)
                self.came.notify_all()
            if self.silent is not None:
                await self.silent.wait()
            writer.write(self.say(asked))
            while self.endless:
                writer.write(b"x" * 65_536)
                await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(secure: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    one = Receiver()
    server = await asyncio.start_server(one._serve, host, 0, ssl=secure)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        if one.silent is not None:
            one.silent.set()
        one.endless = False
        server.close()


@dataclass
class MailBox:
    """A mail server's; ``refuses`` are the recipients it does not take, ``greeting`` is how it greets."""

    port: int = 0
    mails: list[bytes] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    greeting: bytes = b"220 mail ready\r\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        try:
            while line := (await reader.readline()).decode().strip():
                verb = line.split(" ")[0].upper()
                if verb == "DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(self._answer(verb, line))
                await writer.drain()
                if verb == "QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, verb: str, line: str) -> bytes:
        if verb == "RCPT" and line.partition("<")[2].partition(">")[0] in self.refuses:
            return b"550 no such box\r\n"
        return b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n"


@asynccontextmanager
async def mailbox() -> AsyncIterator[MailBox]:
    box = MailBox()
    server = await asyncio.start_server(box._serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
