"""``/healthz``, ``/metrics``, ``/docs`` and ``/openapi.json``: how the centre itself does, for programs and people who run it."""

import asyncio
import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from ingest import metrics
from ingest.api import docs
from ingest.api.asyncapi import described
from ingest.api.auth import Presented, grant_of
from ingest.api.parts import Wired
from ingest.api.problems import RESPONSES
from ingest.notify import gauges
from ingest.tokens import ALL
from telemetry.identity import Scope

router = APIRouter(tags=["status"])

_PORT = re.compile(r":[0-9]+\Z")


_OK = {"description": "All works.", "content": {"application/json": {"example": {"status": "ok"}}}}
_FAILING = {
    "description": "A part of the centre does not work.",
    "content": {"application/json": {"example": {"status": "failing", "failing": ["points"]}}},
}
_METRICS = {
    "description": "Prometheus text.",
    "content": {"text/plain": {"example": 'linli_alerts{colour="yellow",state="open"} 2\n'}},
}


@router.get("/healthz", responses={200: _OK, 503: _FAILING})
async def healthz(parts: Wired) -> JSONResponse:
    """200 while everything works, 503 with the names of the parts that do not."""
    failing = sorted(parts.failing())
    if failing:
        return JSONResponse({"status": "failing", "failing": failing}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse, responses={200: _METRICS, **RESPONSES})
async def prometheus(request: Request, parts: Wired, presented: Presented) -> PlainTextResponse:
    """Prometheus text of the centre, as far as the token sees. On loopback no token is needed."""
    open_here = parts.open_metrics and _asked_on_loopback(request)
    scope = Scope(ALL) if open_here else (await grant_of(request, parts, presented)).scope
    families = metrics.families(parts.stats, await parts.alerts.counts(scope), parts.registry.gateways(scope))
    told = gauges.families(await parts.notifications.targets(scope), parts.clock())
    return PlainTextResponse(metrics.render((*families, *told)), media_type=metrics.CONTENT_TYPE)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> JSONResponse:
    return JSONResponse(await asyncio.to_thread(request.app.openapi))


@router.get("/asyncapi.json", include_in_schema=False)
async def asyncapi() -> JSONResponse:
    return JSONResponse(described())


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    return HTMLResponse(docs.page(await asyncio.to_thread(request.app.openapi)))


def _asked_on_loopback(request: Request) -> bool:
    """Whether the client named this machine: behind a proxy, or tricked by DNS, it did not."""
    return _PORT.sub("", request.headers.get("host", "")).lower() in ("localhost", "127.0.0.1", "[::1]")
