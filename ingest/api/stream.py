"""The live stream of alerts (server-sent events).

1. Nothing is left out: a reader asks for everything after the last ``seq`` it was sent, so it may be slow or come back later.
2. Bounded: one page of alerts is in memory for a reader; one that takes nothing for ``SEND_TIMEOUT_S`` is let go.
3. It ends when the token does, when the reader leaves and when the program ends.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.alerts import Alert
from ingest.api.feed import FeedFull
from ingest.api.parts import Parts
from ingest.api.problems import problem
from ingest.tokens import Grant
from telemetry.presence import Words

log = structlog.get_logger()

PAGE = 100
HEARTBEAT_S = 15.0
SEND_TIMEOUT_S = 30.0
RETRY_MS = 3_000

TOO_MANY = Words("打开的实时推送过多，请先关闭一个。", "Too many streams are open; close one.")


class AlertStream(Response):
    """Sends the changes after ``after``; ``reset`` says first that the reader's own count is not ours."""

    media_type = "text/event-stream"

    def __init__(
        self, request: Request, parts: Parts, grant: Grant, after: int, reset: bool, view: Callable[[Alert], BaseModel]
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._parts = parts
        self._grant = grant
        self._after = after
        self._reset = reset
        self._view = view

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._parts.feed.reader(self._grant.digest) as woken:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with asyncio.TaskGroup() as group:
                    pump = group.create_task(self._pump(woken, send), name="alert stream")
                    gone = group.create_task(_gone(receive), name="alert stream's reader")
                    pump.add_done_callback(lambda _: gone.cancel())
                    gone.add_done_callback(lambda _: pump.cancel())
        except FeedFull:
            refusal = problem(self._request, 429, "too-many-streams", TOO_MANY, headers={"Retry-After": "60"})
            await refusal(scope, receive, send)

    async def _pump(self, woken: asyncio.Event, send: Send) -> None:
        try:
            async for piece in self._pieces(woken):
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
                await asyncio.sleep(0)  # a send need not wait: else a reader that left is noticed after the whole page
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning("alert stream let go: its reader takes nothing", token=self._grant.name)

    async def _pieces(self, woken: asyncio.Event) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        yield f"retry: {RETRY_MS}\n\n"
        if self._reset:
            yield f"id: {self._after}\nevent: reset\ndata: {{}}\n\n"
        silent_since = clock()
        while self._wanted():
            woken.clear()
            changes = await self._parts.alerts.changes(self._grant.scope, self._after, PAGE)
            for alert in changes.alerts:
                yield f"id: {alert.seq}\nevent: alert\ndata: {self._view(alert).model_dump_json()}\n\n"
                silent_since = clock()
            nothing_new, self._after = changes.reached == self._after, changes.reached
            if nothing_new and not await _woken(woken, silent_since + HEARTBEAT_S):
                yield ":\n\n"
                silent_since = clock()

    def _wanted(self) -> bool:
        return not self._parts.feed.closed and self._parts.tokens.still(self._grant.digest, self._parts.clock()) is not None


async def _woken(woken: asyncio.Event, deadline: float) -> bool:
    """Whether something changed before ``deadline`` of the loop's clock."""
    try:
        async with asyncio.timeout_at(deadline):
            await woken.wait()
    except TimeoutError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
