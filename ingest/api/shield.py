"""What stands before every route: a bound on the request's body and its time, one end of it, an address that is text, no
parameter twice (which one would count?), and the headers that browsers need.

Plain ASGI, so that a response that streams is not gathered.
"""

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.api.faults import Wrong
from ingest.api.problems import MALFORMED, Refused, problem
from telemetry.presence import Words

MAX_BODY = 64 * 1024
BODY_TIMEOUT_S = 10.0
MAX_PARAMETERS = 64
"""Looked at; no route takes as many."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

ONE_LENGTH = Words("正文只能有一个长度。", "A body has one length.")
NOT_TEXT = Words("不是合法的 UTF-8 文本", "it is not text in UTF-8")
CONTROL = Words("含有控制字符", "it holds control characters")
TWICE = Words("重复给出", "it stands twice")
TOO_SLOW = Words("正文未能及时到达。", "The body did not come in time.")
TOO_LARGE = Words(f"正文最多 {MAX_BODY} 字节。", f"At most {MAX_BODY} bytes are taken.")

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
            if _ends_twice(scope["headers"]):
                refusal = problem(Request(scope), 400, "malformed", ONE_LENGTH, headers={"Connection": "close"})
                await refusal(scope, receive, guarded)
            elif (fault := _fault(scope)) is not None:
                await problem(Request(scope), 400, "malformed", MALFORMED, [fault])(scope, receive, guarded)
            else:
                await self._app(scope, _bounded(receive), guarded)
        else:
            await self._app(scope, receive, send)


def _fault(scope: Scope) -> Wrong | None:
    """What no route need look at: bytes that are no text, control characters, a parameter that is given more than once."""
    try:
        path = unquote_to_bytes(scope["raw_path"]).decode()
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return Wrong("path or query", NOT_TEXT)
    if _CONTROL.search(path):
        return Wrong("path", CONTROL)
    names = [name for name, _ in asked]
    for number, (name, value) in enumerate(asked[:MAX_PARAMETERS]):
        if _CONTROL.search(name + value):
            return Wrong("query", CONTROL)
        if name in names[:number]:
            return Wrong(f"query.{name}", TWICE)
    return None


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
            raise Refused(408, "too-slow", TOO_SLOW) from error
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > MAX_BODY:
            raise Refused(413, "too-large", TOO_LARGE)
        return message

    return bounded


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return guarded
