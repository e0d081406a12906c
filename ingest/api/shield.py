"""What stands before every route: a bound on the request's body and its time, one end of it, no parameter twice (which one would
count?), and the headers that browsers need.

Plain ASGI, so that a response that streams is not gathered.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.api.problems import Fault, problem

MAX_BODY = 64 * 1024
BODY_TIMEOUT_S = 10.0
MAX_PARAMETERS = 64
"""Looked at; no route takes as many."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"),
    (b"cache-control", b"no-store"),
)


class Shield:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            guarded = _guarded(send)
            twice = _twice(scope["query_string"])
            if _ends_twice(scope["headers"]):
                refusal = problem(Request(scope), 400, "A body has one length.", headers={"Connection": "close"})
                await refusal(scope, receive, guarded)
            elif twice is None:
                await self._app(scope, _bounded(receive), guarded)
            else:
                faults = [Fault(where=f"query.{twice}", reason="it stands twice")]
                refusal = problem(Request(scope), 400, "The request cannot be taken as it is.", faults)
                await refusal(scope, receive, guarded)
        else:
            await self._app(scope, receive, send)


def _twice(query: bytes) -> str | None:
    """A parameter that is given more than once."""
    names = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    return next((name for number, name in enumerate(names[:MAX_PARAMETERS]) if name in names[:number]), None)


def _ends_twice(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a proxy before us may see another end of this request, and so another request after it, than we do."""
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}


def _bounded(receive: Receive) -> Receive:
    """``receive`` that refuses a body beyond ``MAX_BODY``, or one that takes longer than ``BODY_TIMEOUT_S``."""
    taken = 0
    whole = False
    deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S

    async def bounded() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, "The body did not come in time.") from error
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > MAX_BODY:
            raise HTTPException(413, f"At most {MAX_BODY} bytes are taken.")
        return message

    return bounded


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return guarded
