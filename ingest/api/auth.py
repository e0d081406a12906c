"""Who asks. Decided for each route by a dependency of the route itself, never by how the path is written."""

import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from ingest.api.parts import Wired
from ingest.api.problems import Refused
from ingest.api.recorder import address_of
from ingest.tokens import Grant, Role
from telemetry.presence import Words

_bearer = HTTPBearer(auto_error=False, description="A token made with `linli ingest token add`.")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="linli"'}
TOO_OFTEN = Words("请求过于频繁，请稍后再试。", "This token asks too often: wait as long as Retry-After says.")
Presented = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def grant_of(request: Request, parts: Wired, presented: Presented) -> Grant:
    """What the request's token allows; 401 without a valid one, 429 for one that asks too often."""
    now = parts.clock()
    found = parts.tokens.find(presented.credentials, now) if presented else None
    if found is None:
        raise HTTPException(401, "Give a valid token: Authorization: Bearer linli_...", _CHALLENGE)
    if parts.limits is not None and (wait_s := parts.limits.wait_s(found.name, now)):
        raise Refused(429, "too-often", TOO_OFTEN, {"Retry-After": str(math.ceil(wait_s))})
    request.state.grant = found
    parts.access_log.used(found, address_of(request.scope))
    return found


def _handler(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is Role.VIEWER:
        raise HTTPException(403, "This token may read only; acting needs the role handler.")
    return grant


def _supervisor(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if not grant.role.includes(Role.SUPERVISOR):
        raise HTTPException(403, "Works and drills are announced with a token of the role supervisor.")
    return grant


def _admin(grant: Annotated[Grant, Depends(grant_of)]) -> Grant:
    if grant.role is not Role.ADMIN:
        raise HTTPException(403, "Replays, dead letters and notifications need a token with the role admin.")
    return grant


def _whole(grant: Annotated[Grant, Depends(_admin)], parts: Wired) -> Grant:
    if not parts.registry.is_within(grant.scope):
        raise HTTPException(403, "This concerns the whole centre: it needs a token of the role admin that sees every community.")
    return grant


Viewer = Annotated[Grant, Depends(grant_of)]
Handler = Annotated[Grant, Depends(_handler)]
Supervisor = Annotated[Grant, Depends(_supervisor)]
Admin = Annotated[Grant, Depends(_admin)]
WholeAdmin = Annotated[Grant, Depends(_whole)]
"""For what is of no community: its answer or its effect would reach beyond a scope."""
