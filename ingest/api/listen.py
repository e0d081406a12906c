"""The API on a socket: opened first, so that a port in use is said before anything starts; served until told to stop.

Signals are the program's own: the server installs no handlers.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from ingest.api.feed import Feed
from ingest.api.seldom import Seldom
from telemetry.errors import LinliError

CONNECTIONS = 512
HEAD_S = 10.0
"""How long a connection may take to say a request's head: half a request must not keep a place for ever."""

GRACE_S = 2
_SELDOM = Seldom()


class ListenRefused(LinliError):
    """The address cannot be listened on: choose another, or end the program that has it."""


class _Connection(H11Protocol):
    """Closes itself when the head of a request does not come whole within ``HEAD_S``."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.transport.close)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ``ListenRefused``."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise ListenRefused(
            f"cannot listen on {host}:{port}: {error.strerror or error}; is another program using the port?"
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer's body waits 40 ms behind its head
    return listener


async def serve(
    app: FastAPI, feed: Feed, listener: socket.socket, stop: asyncio.Event, certificate: tuple[str, str] | None = None
) -> None:
    """Answers on ``listener`` until ``stop``; streams end first, requests under way get ``GRACE_S``.

    ``certificate``: the paths of a certificate chain and its key. Raises ``ListenRefused`` when it cannot be used.
    """
    chain, key = certificate or (None, None)
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=chain,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ListenRefused(f"the certificate {chain} cannot be used: {error}") from error
    logging.getLogger("uvicorn.error").addFilter(_SELDOM)  # it warns of every request that is none
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([listener]), name="api")
        await stop.wait()
        feed.close()
        server.should_exit = True
