"""Notes in the access log what is done through the API, before the answer leaves: every request that may change something, and
every answer that says who was where (``request.state.personal``). Without a valid token nothing is done, and nothing noted."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.access_log import AccessLog
from ingest.tokens import Grant
from telemetry.errors import StoreUnavailable

log = structlog.get_logger()

_READS = frozenset(("GET", "HEAD", "OPTIONS"))


class Recorder:
    def __init__(self, app: ASGIApp, access_log: AccessLog) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "http" else send)

    async def _note(self, scope: Scope, status: int) -> None:
        state = scope.get("state", {})
        grant: Grant | None = state.get("grant")
        if grant is None or (scope["method"] in _READS and not state.get("personal")):
            return
        query = scope["query_string"].decode("latin-1")
        try:
            await self._access_log.append(grant, scope["method"], scope["path"], query, status, address_of(scope))
        except StoreUnavailable as error:
            log.error("access not noted", token=grant.name, method=scope["method"], path=scope["path"], error=str(error))


def address_of(scope: Scope) -> str:
    """Where a request comes from; behind a proxy, the proxy."""
    client = scope.get("client")
    return str(client[0]) if client else ""
